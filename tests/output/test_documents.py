"""``run.json`` and ``metrics.json``: what they hold, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.documents import FORMAT_VERSION, Document, Part, parse, read_json
from coreframe.tasks.output.metrics import MethodMetrics, Metrics
from coreframe.tasks.output.result import Result
from coreframe.tasks.output.run import Run, RunParameters
from tests.output.made import make_metrics, make_run
from tests.stores import make_store


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(make_store(tmp_path / "store", np.eye(4, dtype=np.int16), [4]), {})


def read_again(document: Document, folder: Path) -> Document:
    path = folder / "document.json"
    path.write_text(document.text())
    return parse(type(document), read_json(path), path)


def test_what_is_written_is_read_again(run: Run, tmp_path: Path) -> None:
    metrics = make_metrics([3, 1])
    for document in (run, metrics):
        again = read_again(document, tmp_path)
        assert again == document
        assert again.text() == document.text()
        first, *_ = json.loads(document.text()).items()
        assert first == ("format_version", FORMAT_VERSION)
    for nothing_new in (False, True):
        result = Result(run, metrics, nothing_new)
        assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
        assert ("nothing_new" in result.to_json()["run"]) == nothing_new


def test_what_does_not_apply_is_left_out_and_what_is_not_known_is_null(run: Run) -> None:
    exact = make_metrics([1]).methods.coreset
    keys = list(exact.model_dump())
    assert not {"l2_mean_ci95", "sampled_pairs"} & set(keys)
    sampled = {"l2_mean_ci95": 0.1, "l2_p10_ci95": 0.2, "l2_p90_ci95": 0.3, "sampled_frames": 5}
    estimated = exact.model_copy(update={**sampled, "sampled_pairs": 10, "exact": False})
    place = keys.index("exact") + 1
    expected = [*keys[:place], *sampled, "sampled_pairs", *keys[place:]]
    assert list(estimated.model_dump()) == expected
    empty = exact.model_copy(update={"l2_min": None, "rows": None}).model_dump()
    assert empty["l2_min"] is None
    assert "rows" not in empty
    assert json.loads(make_metrics([1]).text())["knee"] is None
    assert list(run.parameters.model_dump()) == ["store", "out", "selecting", "picture", "compute"]


def parts_of(kind: type[Part]) -> set[type[Part]]:
    found = {kind}
    for field in kind.model_fields.values():
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for one in inner:
            if isinstance(one, type) and issubclass(one, Part):
                found |= parts_of(one)
    return found


@pytest.mark.parametrize("kind", [Run, Metrics])
def test_every_key_is_described(kind: type[Document]) -> None:
    parts = parts_of(kind)
    assert len(parts) > 4
    assert {MethodMetrics, RunParameters} & parts
    for part in parts:
        described = part.model_json_schema()["properties"]
        assert described
        assert all(len(field["description"]) > 4 for field in described.values()), part


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format_version": 3}, r"run\.json is of format 3, and this version .* formats up to 2: "),
        ({"format_version": "x"}, r"run\.json cannot be read \(format_version: .*\): select again"),
        ({"counts": 3}, r"run\.json cannot be read \(counts: .*\): select again"),
        ({"command": None}, r"run\.json cannot be read \(command: .*\): select again"),
    ],
)
def test_what_is_not_as_it_should_be_is_said_in_a_sentence(
    run: Run, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(run.text()) | change))
    with pytest.raises(UsageError, match=sentence) as raised:
        parse(Run, read_json(path), path)
    assert "\n" not in str(raised.value)


def test_a_missing_key_is_of_an_earlier_version_only_where_the_file_names_none(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    content = json.loads(run.text())
    del content["command"]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"run\.json cannot be read \(command: Field required\)"):
        parse(Run, read_json(path), path)
    del content["format_version"]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=rf"{re.escape(str(tmp_path))} was written by an earlier"):
        parse(Run, read_json(path), path)


def test_keys_to_come_are_passed_over(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    content = json.loads(run.text()) | {"mood": "calm"}
    content["counts"]["smiles"] = 3
    path.write_text(json.dumps(content))
    assert parse(Run, read_json(path), path) == run


def test_documents_do_not_change(run: Run) -> None:
    with pytest.raises(ValidationError):
        run.command = "another"  # type: ignore[misc]
