"""Names that Prefect's pages show: of runs and of artifacts."""

import re

import pytest

from coreframe.flows.artifacts import artifact_key
from coreframe.flows.run_names import news_of, said_of

NEW = {"count": 12, "first": ["a.mp4"]}
GONE = {"count": 1, "first": ["b.mp4"]}


@pytest.mark.parametrize(
    ("record", "news"),
    [
        (
            {"changes": {"gone": GONE, "new": NEW}, "counts": {"selected_frames": 1340}},
            "12 new, 1 gone, 1,340 frames",
        ),
        ({"changes": {}, "counts": {"selected_frames": 1}}, "1 frame"),
        ({"changes": {"new": NEW}, "counts": {"embedded_frames": 9000}}, "12 new, 9,000 frames em"),
        ({"changes": {}, "counts": {"embedded_frames": 0}}, "nothing new"),
        ({"changes": {}, "counts": {"sound": True}}, "sound"),
        ({"changes": {}, "counts": {"sound": False}}, "damaged"),
        ({"changes": {}}, ""),
    ],
)
def test_news_are_a_few_words(record: dict, news: str) -> None:
    found = news_of(record)
    assert found.startswith(news)
    assert bool(found) == bool(news)


def test_how_a_run_ended_is_said_in_a_sentence() -> None:
    record = {"flow": "curate", "outcome": "completed with warnings", "reason": "a.mp4 is broken"}
    assert said_of(record) == "curate completed with warnings: a.mp4 is broken"
    assert said_of(record | {"outcome": "completed", "reason": ""}) == "curate completed"


def test_keys_of_artifacts_tell_stores_apart() -> None:
    places = [
        *("/data/night/store", "/data/day/store", "/data/day/Store", "s3://bucket/store"),
        *("/data/雪", "/", "/data/" + "long " * 40),
    ]
    keys = {artifact_key("run", place) for place in places}
    assert len(keys) == len(places)
    assert all(re.fullmatch(r"coreframe-run(-[a-z0-9]+)+", key) for key in keys)
    assert max(map(len, keys)) < 70
    assert artifact_key("run", "/data/My store").startswith("coreframe-run-my-store-")
