"""What is not given is the store's: the rule of `coreframe.tasks.store.settings`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from coreframe.flows.parameters import NEW_STORE, Compute, Ingestion
from coreframe.flows.preflight import follow_store, open_store
from coreframe.tasks.embedders.simclr import Checkpoint, Network
from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.settings import FORMAT_VERSION, MADE, StoreSettings
from coreframe.tasks.store.store import Store

COMPUTE = Compute(device="cpu")

OTHERS = {
    "every 3": ({"every": 3}, "was made with sampling every 2, not every 3"),
    "every frame": ({"every": 1}, "was made with sampling every 2, not all"),
    "rate": ({"sample_fps": "2"}, "was made with sampling every 2, not 2 fps"),
    "crop": ({"crop": "16:16:0:0"}, "was made with crop 32:32:0:0, not 16:16:0:0"),
    "pixels": ({"pixels": "square"}, "was made with pixels stored, not square"),
    "stream": ({"stream": "1"}, "was made with stream best, not 1"),
    "rows": ({"block_rows": 8}, "was made with block-rows 16, not 8"),
    "size": ({"input_size": 64}, "was made with input-px 128, not 64"),
}
MADE_WITH = {
    "every": 2,
    "crop": "32:32:0:0",
    "input_size": 128,
    "block_rows": 16,
    "pixels": "stored",
}


def store_with(place: Path, **given: Any) -> str:
    open_store(str(place / "store"), Ingestion(**given), COMPUTE)
    return str(place / "store")


def checkpoint(folder: Path, seed: int = 0, input_px: int = 32) -> str:
    """The name of a simclr embedder with weights of its own."""
    torch.manual_seed(seed)
    folder.mkdir(exist_ok=True)
    content = Checkpoint(Network().eval(), input_px, 1, 8).to_bytes()
    (folder / "checkpoint.safetensors").write_bytes(content)
    return f"simclr:{folder}"


def test_a_gpu_decodes_for_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coreframe.flows.preflight.has_gpu_driver", lambda: False)
    asked = Ingestion(decoder="gpu")
    with pytest.raises(UsageError, match="--decoder gpu: there is no NVIDIA driver here"):
        follow_store(str(tmp_path / "store"), asked, Compute())
    follow_store(str(tmp_path / "store"), asked, Compute(cluster="tcp://elsewhere:8786"))
    with pytest.raises(UsageError, match=r"--decoder gpu and --device cpu: .* one of them out"):
        open_store(str(tmp_path / "store"), Ingestion(decoder="gpu"), COMPUTE)
    open_store(str(tmp_path / "store"), Ingestion(decoder="cpu"), COMPUTE)


def test_a_new_store_gets_what_new_stores_get(tmp_path: Path) -> None:
    made, ingestion = open_store(str(tmp_path / "store"), Ingestion(), COMPUTE)
    settings = made.settings
    assert (settings.embedder, settings.sampling, settings.crop) == ("descriptor-3", "all", "")
    assert (settings.block_rows, settings.format_version, settings.digest) == (1024, 3, 2)
    assert ingestion == Ingestion(**NEW_STORE)
    assert (settings.pixels, settings.stream) == ("square", "best")
    assert (settings.tone_map, settings.deinterlace) == ("on", "off")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"every": 2},
        {"sample_fps": "29.97"},
        {"crop": "32:32:0:0"},
        {"input_size": 128},
        {"block_rows": 16},
        MADE_WITH,
    ],
    ids=str,
)
def test_what_is_not_given_is_the_stores(given: dict[str, Any], tmp_path: Path) -> None:
    store = store_with(tmp_path, **given)
    made = Store.open(store).settings
    opened, ingestion = open_store(store, Ingestion(), COMPUTE)
    assert opened.settings == made
    assert str(ingestion.sampling()) == made.sampling
    assert (ingestion.crop or "") == made.crop
    for name, value in given.items():  # the same, given again, is no other
        assert open_store(store, Ingestion(**{name: value}), COMPUTE)[0].settings == made


@pytest.mark.parametrize(("given", "sentence"), OTHERS.values(), ids=list(OTHERS))
def test_only_another_value_that_is_given_is_refused(
    given: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    store = store_with(tmp_path, **MADE_WITH)
    with pytest.raises(UsageError, match=sentence):
        open_store(store, Ingestion(**given), COMPUTE)


def test_the_embedder_of_the_store_is_found_again(tmp_path: Path) -> None:
    name = checkpoint(tmp_path / "model")
    store = store_with(tmp_path, embedder=name)
    assert follow_store(store, Ingestion(), COMPUTE).embedder == name
    with pytest.raises(UsageError, match=f"made with embedder {name}, not descriptor"):
        open_store(store, Ingestion(embedder="descriptor"), COMPUTE)

    (tmp_path / "model").rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=r"cannot be used here: .*--embedder where it is now"):
        open_store(store, Ingestion(), COMPUTE)
    with pytest.raises(UsageError, match=r"^no checkpoint at|^.*not found.*make one with"):
        open_store(store, Ingestion(embedder=name), COMPUTE)
    opened, _ = open_store(store, Ingestion(embedder=f"simclr:{tmp_path / 'moved'}"), COMPUTE)
    assert opened.settings.embedder == name


@pytest.mark.parametrize("input_px", [32, 64])
def test_another_embedder_in_the_same_place_is_refused(input_px: int, tmp_path: Path) -> None:
    store = store_with(tmp_path, embedder=checkpoint(tmp_path / "model"))
    name = checkpoint(tmp_path / "model", seed=1, input_px=input_px)
    with pytest.raises(UsageError, match=rf"{name} when it was simclr-.* now it is simclr-"):
        open_store(store, Ingestion(), COMPUTE)


def test_a_store_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    store = store_with(tmp_path)
    path = Path(store, MADE)
    content = json.loads(path.read_text())
    content["attributes"]["coreframe"] |= {"format_version": FORMAT_VERSION + 1, "colour": "red"}
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    sentence = rf"has format {FORMAT_VERSION + 1}, .* reads formats up to {FORMAT_VERSION}: install"
    for use in (Store.open, lambda store: open_store(store, Ingestion(), COMPUTE)):
        with pytest.raises(UsageError, match=sentence):
            use(store)
    assert path.read_bytes() == before


def test_an_earlier_format_is_extended_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a version with a new setting sees it: the setting has the value of the time before."""
    store = store_with(tmp_path, every=2)
    before = Path(store, MADE).read_bytes()

    @dataclass(frozen=True)
    class Later(StoreSettings):
        colour: str = "none"

    monkeypatch.setattr("coreframe.tasks.store.store.FORMAT_VERSION", FORMAT_VERSION + 1)
    monkeypatch.setattr("coreframe.tasks.store.store.StoreSettings", Later)
    opened, _ = open_store(store, Ingestion(), COMPUTE)
    assert asdict(opened.settings) == asdict(Store.open(store).settings)
    assert (opened.settings.sampling, opened.settings.format_version) == ("every 2", FORMAT_VERSION)
    assert asdict(opened.settings)["colour"] == "none"
    assert Path(store, MADE).read_bytes() == before
