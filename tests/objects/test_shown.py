"""What is measured and shown of frames chosen by objects, against plain NumPy."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch  # noqa: F401 - it starts processes when it is imported

from coreframe.tasks.errors import UsageError
from coreframe.tasks.kcenter.local import local_partitions
from coreframe.tasks.measure.task import measure_selection
from coreframe.tasks.output.exported import Exported
from coreframe.tasks.output.selection_table import write_selection
from coreframe.tasks.report.compared import Compared
from coreframe.tasks.report.facts import verdict
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.settings import OBJECTS
from tests.objects.test_choosing import FLAT, Corpus, by_objects
from tests.output.made import make_metrics

N = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cluster: str) -> tuple[Corpus, Selection]:
    corpus = Corpus(tmp_path_factory.mktemp("shown") / "store")
    return corpus, choose_frames(corpus.store, by_objects(N), "cpu", cluster)


def distances(corpus: Corpus, objects: np.ndarray, to: np.ndarray) -> np.ndarray:
    own, other = (corpus.vectors[some].astype(np.int64) for some in (objects, to))
    return np.sqrt(((own[:, None] - other[None]) ** 2).sum(axis=2)) / 4000


def measured(corpus: Corpus) -> np.ndarray:
    """Numbers of the objects in frames that show something."""
    can = ~np.isin(corpus.row, FLAT)
    can[list(corpus.small)] = False
    return np.flatnonzero(can)


def test_gaps_are_between_objects(made: tuple[Corpus, Selection], cluster: str) -> None:
    corpus, selection = made
    choice = by_objects(N)
    found = measure_selection(corpus.store, selection, choice, Exported(), "cpu", cluster).methods
    every = measured(corpus)
    assert (found.original.n, found.original.objects) == (len(set(corpus.row[every])), len(every))
    assert set(selection.chosen.tolist()) == set(found.coreset.rows or [])
    for name in ("coreset", "fixed_rate", "random"):
        method = found.by_key()[name]
        own = every[np.isin(corpus.row[every], method.rows)]
        assert (method.n, method.objects) == (N, len(own))
        gaps = distances(corpus, every, own).min(axis=1)
        assert method.coverage_radius == pytest.approx(gaps.max(), abs=1e-6)
        assert method.coverage_mean == pytest.approx(gaps.mean(), abs=1e-6)
        pairs = distances(corpus, own, own)[np.triu_indices(len(own), 1)]
        assert method.l2_min == pytest.approx(pairs.min(), abs=1e-4)
        assert method.distinct is None
    radius = selection.frames["radius"].iloc[-1]
    assert found.coreset.coverage_radius is not None
    assert found.coreset.coverage_radius >= radius  # exact duplicates count in the one alone
    metrics = make_metrics(selection.chosen.tolist()).model_copy(update={"methods": found})
    assert metrics.compared == "object"
    assert f"cover the {len(every):,} objects of the corpus within" in verdict(metrics)


def test_what_chosen_frames_stand_for_are_the_objects_nearest_to_theirs(
    made: tuple[Corpus, Selection],
) -> None:
    corpus, selection = made
    compared = Compared.of(corpus.store, by_objects(N), selection.units, selection.frames)
    every, rows = measured(corpus), selection.frames["row"].tolist()
    own = every[np.isin(corpus.row[every], rows)]
    assert compared.numbers.tolist() == every.tolist()
    assert compared.centers.tolist() == own.tolist()
    assert [rows[pick] for pick in compared.pick] == corpus.row[own].tolist()
    with local_partitions(corpus.store, every, device="cpu", place=OBJECTS) as parts:
        vectors = corpus.store.row_reader(OBJECTS)(own)
        stood, _, _ = parts.represented(own, vectors, every)
    standing = compared.standing(stood, vectors)
    away = distances(corpus, every, own)
    nearest = away.argmin(axis=1)
    others = ~np.isin(every, own)
    for pick, row in enumerate(rows):
        of = corpus.row[own[nearest]] == row
        assert standing.count[pick] == (of & others).sum()
        theirs = {center: away[others & (nearest == center), center] for center in range(len(own))}
        mine = [center for center in theirs if corpus.row[own[center]] == row]
        picked = own.tolist().index(selection.frames["object"][pick])
        most = max(mine, key=lambda center: (len(theirs[center]), -center))
        shown = picked if len(theirs[picked]) else most
        if len(theirs[shown]):
            assert standing.shown[pick] == shown
            farthest = max(theirs[center].max(initial=0) for center in mine)
            weakest = theirs[int(standing.weakest[pick])]
            assert weakest.max(initial=0) == pytest.approx(farthest, abs=1e-9)


def test_other_objects_than_then_are_refused(made: tuple[Corpus, Selection]) -> None:
    corpus, selection = made
    frames = selection.frames.assign(object=selection.frames["object"][::-1].to_numpy())
    with pytest.raises(UsageError, match="has other objects than when"):
        Compared.of(corpus.store, by_objects(N), selection.units, frames)


def test_the_table_names_the_object_only_where_there_is_one(
    made: tuple[Corpus, Selection], tmp_path: Path, cluster: str
) -> None:
    corpus, selection = made
    plain = choose_frames(corpus.store, Choice(budget=by_objects(N).budget), "cpu", cluster)
    for chosen, there in ((selection, True), (plain, False)):
        write_selection(tmp_path, chosen.frames.assign(video="v", file="f"))
        table = pd.read_parquet(tmp_path / "selection.parquet")
        assert ("object" in table) is there
    found = measure_selection(corpus.store, plain, Choice(), Exported(), "cpu", cluster)
    assert "objects" not in json.dumps(found.methods.model_dump())
