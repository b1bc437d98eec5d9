"""The page's content, apart from how it looks: that is for `tests.test_report`."""

import json
import re
from dataclasses import replace
from html import unescape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from coreframe.tasks.names import shown
from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.output.metrics import Methods
from coreframe.tasks.output.thumbnails import small_picture
from coreframe.tasks.report.alike import alike_side_by_side
from coreframe.tasks.report.curve import find_knee, radius_curve
from coreframe.tasks.report.draw import Drawn
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.gather import PageLimits
from coreframe.tasks.report.markdown import report_markdown
from coreframe.tasks.report.marks import plain_pictures
from coreframe.tasks.report.other_selections import Other
from coreframe.tasks.report.projection import pca
from coreframe.tasks.report.rivals import SHEET
from coreframe.tasks.report.tables import COLUMNS, NAMES
from coreframe.tasks.report.timeline import timeline
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.store.store import Store
from tests.report.pages import look, page_of, renamed, rows_of, selected
from tests.stores import make_store, walks

ALL = (
    *("comparison", "frames", "distances", "radius", "map", "timeline", "dropped", "quality"),
    *("input", "made"),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("page")
    return make_store(folder / "store", walks(300, 16, 3), [100, 40, 160], copies={9: 8})


@pytest.fixture(scope="module")
def twenty(
    store: Store, tmp_path_factory: pytest.TempPathFactory, cluster: str
) -> tuple[OutputFolder, Evidence]:
    """Twenty frames of it, for tests that only read."""
    return selected(store, tmp_path_factory.mktemp("twenty"), 20, cluster)


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests that are marked so let Vega draw, which takes a second of a core for each page."""
    if request.node.get_closest_marker("drawn") is None:

        def nothing(charts: dict[str, Any], _: object) -> Drawn:
            return Drawn(dict.fromkeys(charts, b""), "")

        monkeypatch.setattr("coreframe.tasks.report.charts.draw", nothing)


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_comparison_is_that_of_the_metrics(
    store: Store, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, evidence = twenty
    html = page_of(written, evidence, store)
    head, *rows = rows_of(html, "comparison")
    assert head == ["method", *COLUMNS.values()]
    names = {key: NAMES[key] for key in written.metrics.methods.by_key()}
    for row, (key, name) in zip(rows, names.items(), strict=True):
        measured = written.metrics.methods.by_key()[key]
        assert row[0].removesuffix(" ✓") == name
        assert int(row[1].replace(",", "")) == measured.n
        assert row[2] == ("–" if key == "original" else str(measured.distinct))
        assert row[3:] == [f"{getattr(measured, column):.3f}" for column in list(COLUMNS)[2:]]
    radius = written.metrics.methods.coreset.coverage_radius
    assert f"cover the corpus within {radius:.3f}" in html
    stars = re.findall(r'<td class="number best">([\d.]+)</td>', html)
    methods = [one for key, one in written.metrics.methods.by_key().items() if key != "original"]
    best = {
        f"{choose(getattr(one, column) for one in methods):.3f}"
        for column, choose in (
            ("l2_min", max),
            ("l2_p10", max),
            ("coverage_mean", min),
            ("coverage_radius", min),
        )
    }
    assert set(stars) <= best | {str(max(one.distinct for one in methods))}
    assert len(stars) == 5


def test_the_evidence_equals_a_plain_computation(
    store: Store, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, evidence = twenty
    vectors = store.read_rows(np.arange(300)).astype(np.int64)
    picks = written.selection["row"].to_numpy()
    squared = ((vectors[:, None] - vectors[picks][None]) ** 2).sum(axis=2)
    nearest, least = squared.argmin(axis=1), squared.min(axis=1)
    assert evidence.stands_for.tolist() == (np.bincount(nearest, minlength=20) - 1).tolist()
    assert evidence.stands_for.sum() == evidence.units - 20 == 280
    dropped = ~np.isin(np.arange(300), picks)
    assert len(evidence.dropped) > 20
    for one in evidence.dropped.itertuples():
        own = np.flatnonzero(dropped & (nearest == one.pick))
        extreme = least[own].min() if one.kind == "near" else least[own].max()
        assert least[one.row] == extreme
        assert nearest[one.row] == one.pick
        assert one.distance == pytest.approx(extreme**0.5 / 4000)
    farthest = evidence.dropped[evidence.dropped["kind"] == "farthest"]["distance"]
    assert farthest.is_monotonic_decreasing
    radius = written.metrics.methods.coreset.coverage_radius
    assert farthest.iloc[0] == pytest.approx(radius)
    mapped = evidence.mapped.set_index("row")
    assert mapped.index.tolist() == list(range(300))
    assert (mapped["pick"] == nearest).all()
    assert np.allclose(mapped["distance"], least**0.5 / 4000)
    assert np.flatnonzero(mapped["chosen"]).tolist() == sorted(picks.tolist())


def test_of_a_large_corpus_a_sample_is_mapped_with_all_that_is_chosen(
    store: Store, cluster: str, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, _ = twenty
    limits = PageLimits(mapped=50)
    evidence = look(written, store, Choice(budget=Budget(n_samples=20)), cluster, limits)
    assert 50 <= len(evidence.mapped) <= 70
    assert evidence.mapped["chosen"].sum() == 20
    html = page_of(written, evidence, store)
    assert f"{len(evidence.mapped)} of 300 frames, drawn at random" in html
    limits = PageLimits(mapped=50, mapped_chosen=5)
    fewer = look(written, store, Choice(budget=Budget(n_samples=20)), cluster, limits)
    picks = written.selection["row"]
    assert set(picks[:5]) <= set(fewer.mapped["row"])
    assert len(fewer.mapped) < len(evidence.mapped)


def test_frames_of_videos_that_are_gone_are_shown_as_such(
    store: Store, tmp_path: Path, cluster: str, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, _ = twenty
    own = make_store(tmp_path / "store", walks(300, 16, 3), [100, 40, 160])
    catalogue = own.read_catalogue()
    catalogue.videos[1] = replace(catalogue.videos[1], state="retired", path="v0.mp4")
    own.write_catalogue(catalogue)
    evidence = look(written, own, Choice(budget=Budget(n_samples=20)), cluster)
    rows = written.selection["row"]
    gone = rows.between(100, 139)
    assert 0 < gone.sum() < 20
    assert evidence.units == 260
    assert evidence.stands_for.sum() == 260 - (20 - gone.sum())
    assert evidence.stands_for.min() >= 0
    spans, ticks = timeline(written, evidence, own.read_catalogue().videos)
    assert spans.set_index("name")["chosen"].to_dict() == {
        "v0.mp4": (rows < 100).sum(),
        "v2.mp4": (rows >= 140).sum(),
    }
    assert (ticks["method"] == "coreset").sum() == 20 - gone.sum()
    page_of(written, evidence, own)


def test_what_is_said_of_the_order_is_true(store: Store, tmp_path: Path, cluster: str) -> None:
    said = "each was the farthest from all before it"
    assert said in page_of(*selected(store, tmp_path, 12, cluster), store)
    assert said not in page_of(*selected(store, tmp_path, 12, cluster, method="random"), store)
    written, evidence = selected(store, tmp_path, 12, cluster, prefer_sharp=0.5)
    asked = written.run.parameters.model_copy(update={"selecting": {"prefer_sharp": 0.5}})
    written = replace(written, run=written.run.model_copy(update={"parameters": asked}))
    assert said not in page_of(written, evidence, store)


def test_pictures_take_no_more_room_than_there_is(
    store: Store, tmp_path: Path, cluster: str
) -> None:
    written, _ = selected(store, tmp_path, 20, cluster)
    rng = np.random.default_rng(0)
    (tmp_path / "frames").mkdir()
    files = [f"frames/{number}.png" for number in range(20)]
    for file in files:
        Image.fromarray(rng.integers(256, size=(60, 80, 3), dtype=np.uint8)).save(tmp_path / file)
    (tmp_path / files[2]).unlink()
    broken = bytearray((tmp_path / files[4]).read_bytes())
    broken[60:200] = bytes(140)
    (tmp_path / files[4]).write_bytes(broken)
    written.selection["file"] = files
    choice = Choice(budget=Budget(n_samples=20))
    evidence = look(written, store, choice, cluster)
    assert sorted(set(files) - set(evidence.images)) == [files[2], files[4]]
    html = page_of(written, evidence, store)
    assert html.count("<li data-video=") == 20
    assert html.count('<span class="none">no image</span>') == 2
    assert "as many as this page has room for" not in html
    sizes = [len(evidence.images.get(file, b"")) for file in files]
    limits = PageLimits(pictures_bytes=sum(sizes[:10]) + 1100)
    evidence = look(written, store, choice, cluster, limits)
    assert evidence.pictured == 10
    assert list(evidence.images) == [
        file for file in files[:10] if file not in (files[2], files[4])
    ]
    assert "The first 10 of 20 are shown" in page_of(written, evidence, store)


@pytest.mark.drawn
def test_making_it_again_gives_the_same_page(
    store: Store, cluster: str, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, evidence = twenty
    again = look(written, store, Choice(budget=Budget(n_samples=20)), cluster)
    assert page_of(written, again, store) == page_of(written, evidence, store)


NAMES_OF_ALL_KINDS = {
    0: "<img src=x onerror=alert(1)>.mp4",
    1: "</script><script>alert(2)</script>.mp4",
    2: "quote\"s 'and' {{ braces }} & 雪\n.mp4",
    3: "\x1b[2J\ufffe\u202e\x0b.mp4",
    4: r"\x1b[2J\ufffe\u202e\x0b.mp4",
}
SHOWN_NAMES = {
    *(NAMES_OF_ALL_KINDS[number] for number in (0, 1, 4)),
    r"quote\"s 'and' {{ braces }} & 雪\n.mp4".replace('\\"', '"'),
    f"{NAMES_OF_ALL_KINDS[4]} (2)",
}


def test_what_shows_nothing_is_shown_apart_and_counts_in_a_second_line(
    tmp_path: Path, cluster: str
) -> None:
    lattice = walks(300, 16, 3)
    lattice[40:43] = -lattice[0]  # far from all that is shown
    flat = (7, 40, 41, 42, *range(100, 120))
    store = make_store(tmp_path / "store", lattice, [100, 40, 160], flat=flat)
    written, evidence = selected(store, tmp_path, 20, cluster)
    assert not set(written.selection["row"]) & set(flat)
    original = written.metrics.methods.original
    assert original.n == evidence.units == 300 - len(flat)
    assert original.coverage_radius_all is None
    rows = np.setdiff1d(np.arange(300), flat)
    for key, method in written.metrics.methods.by_key().items():
        if key == "original":
            continue
        own = lattice[method.rows].astype(float) / 4000
        gaps = np.sqrt(((lattice[:, None] / 4000 - own[None]) ** 2).sum(-1)).min(1)
        assert method.coverage_radius == pytest.approx(gaps[rows].max())
        assert method.coverage_mean == pytest.approx(gaps[rows].mean())
        assert method.coverage_radius_all == pytest.approx(gaps.max())
        assert gaps.max() > gaps[rows].max() + 0.1
        assert not set(method.rows) & set(flat)
    html = page_of(written, evidence, store)
    assert f"Left out: {len(flat)} frames that show nothing" in html
    assert f"coreset {written.metrics.methods.coreset.coverage_radius_all:.3f}" in html
    assert evidence.flat["row"].tolist() == [flat[n] for n in (0, 2, 4, 6, 8, 10)] + [
        flat[n] for n in (12, 14, 16, 18, 20, 23)
    ]
    kept, looked_at = selected(store, tmp_path, 20, cluster, keep_flat=True)
    assert set(kept.selection["row"]) & set(flat)
    assert looked_at.flat.empty
    assert 'id="flat"' not in page_of(kept, looked_at, store)


@pytest.mark.parametrize("length", [1, 2])
def test_what_nothing_resembles_is_skipped_and_shown(
    length: int, tmp_path: Path, cluster: str
) -> None:
    rng = np.random.default_rng(6)
    lattice = walks(300, 16, 4)
    odd = rng.choice(150, 30, replace=False) * 2
    scattered = rng.normal(size=(30, 16))
    scattered *= 4000 / np.linalg.norm(scattered, axis=1, keepdims=True)
    lattice[odd] = np.rint(scattered)
    store = make_store(tmp_path / "store", lattice, [100, 40, 160], flat=(odd[0],))
    options = {"skip_outliers": 0.1, "keep_flat": True, "sequence_length": length}
    written, evidence = selected(store, tmp_path, 20, cluster, **options)
    count = written.run.counts.outlier_frames
    assert count == length * (300 // length // 10)
    shown = evidence.odd["row"].to_numpy()
    assert len(shown) == min(24, count // length)
    assert (np.diff(evidence.odd["typical"]) >= 0).all()
    if length == 1:
        assert set(shown) <= set(odd.tolist())
        assert not set(written.selection["row"]) & set(odd.tolist())
        assert written.metrics.methods.original.n == evidence.units == 270
    chosen = written.metrics.chosen
    assert chosen.coverage_radius is not None
    assert chosen.coverage_radius_all is not None
    assert chosen.coverage_radius_all > chosen.coverage_radius
    html = page_of(written, evidence, store)
    assert f"Skipped: {count} frames that nothing resembles" in html
    assert '<a href="#odd">' in html
    section = html[html.index('<section id="odd">') :].partition("</section>")[0]
    assert ("The 24 least typical\nframes:" in section) == (length == 1)
    assert section.count("<li") == len(shown)
    first = evidence.odd.iloc[0]
    assert f"{first.typical:.3f} · " in section
    assert f"{count} that nothing resembles skipped" in html
    plain, looked_at = selected(store, tmp_path, 20, cluster, keep_flat=True)
    assert looked_at.odd.empty
    assert 'id="odd"' not in page_of(plain, looked_at, store)


def test_what_others_miss_is_what_a_greedy_choice_would_add_to_them(
    store: Store, tmp_path: Path, cluster: str, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, evidence = twenty
    picks = written.selection["row"].to_numpy()
    vectors = store.read_rows(np.arange(300)).astype(np.int64)

    def squared(rows: np.ndarray, others: list[int]) -> np.ndarray:
        return ((vectors[rows][:, None] - vectors[others][None]) ** 2).sum(-1)

    html = page_of(written, evidence, store)
    for method, measured in written.metrics.methods.by_key().items():
        if method not in evidence.rivals:
            continue
        shown = evidence.missed[evidence.missed["method"] == method]
        theirs = measured.rows
        assert len(shown) == 6
        for place, one in enumerate(shown.itertuples()):
            before = [*theirs, *picks[shown["pick"][:place]]]
            assert squared(picks, before).min(1).argmax() == one.pick
            nearest = squared(picks[[one.pick]], theirs)[0]
            assert one.row in theirs
            assert nearest[theirs.index(one.row)] == nearest.min()
            assert one.distance == pytest.approx(np.sqrt(nearest.min()) / 4000)
            of = written.selection.iloc[one.pick]
            assert of["video"] == f"v{one.of_video}.mp4"
            assert of["time_s"] == one.of_time_s
    radius = written.metrics.chosen.coverage_radius
    fixed = evidence.missed[evidence.missed["method"] == "fixed_rate"]
    missed = html[html.index('id="missed"') : html.index("What random frames miss")]
    assert missed.count("<figure>") == 2 * (fixed["distance"] > radius).sum() > 0
    assert html.index('id="missed"') < html.index('id="comparison"')
    for method in ("random", "fixed-rate"):
        other, looked_at = selected(store, tmp_path, 20, cluster, method=method)
        assert looked_at.missed.empty
        assert 'id="missed"' not in page_of(other, looked_at, store)


def test_the_sheets_of_the_others_fade_what_is_no_different(
    store: Store, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, evidence = selected(store, tmp_path, 60, cluster)
    vectors = store.read_rows(np.arange(300)).astype(np.int64)
    least = round((written.metrics.methods.different * 4000) ** 2)
    html = page_of(written, evidence, store)
    for method, title in (("fixed_rate", "a fixed rate"), ("random", "random")):
        own = evidence.sheets[evidence.sheets["method"] == method]
        rows = sorted(written.metrics.methods.by_key()[method].rows)
        assert len(own) == SHEET < len(rows)
        assert own["row"].tolist() == sorted(set(own["row"]))
        assert set(own["row"]) <= set(rows)
        assert {rows[0], rows[-1]} <= set(own["row"])
        left: list[int] = []
        for row, again in zip(own["row"], own["again"], strict=True):
            near = any(((vectors[row] - vectors[one]) ** 2).sum() < least for one in left)
            assert near == again
            left += [row] * (not near)
        assert f"The frames of {title}</summary>" in html
    assert html.count('<li class="again">') == evidence.sheets["again"].sum() > 0
    fixed, _ = selected(store, tmp_path, 9, cluster, method="fixed-rate")
    page = page_of(fixed, look(fixed, store, Choice("fixed-rate", Budget(9)), cluster), store)
    assert "The frames of random</summary>" in page
    assert "The frames of a fixed rate</summary>" not in page
    monkeypatch.setattr("coreframe.tasks.measure.task.COUNTED_UNITS", 19)
    _, many = selected(store, tmp_path, 20, cluster)  # of which the page says nothing of the kind
    assert not many.sheets["again"].any()


def test_frames_to_look_at_before_they_are_labelled(
    store: Store, tmp_path: Path, cluster: str
) -> None:
    written, evidence = selected(store, tmp_path, 40, cluster)
    frames = store.frames()
    sharpest = frames.groupby("video")["sharpness"].quantile(0.9)
    own = frames.set_index("row").loc[written.selection["row"]]
    soft = (own["sharpness"] < own["video"].map(sharpest) / 3).to_numpy()
    assert evidence.marks["soft"].tolist() == soft.tolist()
    assert 0 < soft.sum() < 40
    assert not evidence.marks["plain"].any()  # there are no pictures
    html = page_of(written, evidence, store)
    assert f"{soft.sum()} chosen, less than a third as sharp" in html
    assert "one colour in three quarters" not in html


def test_plain_pictures_are_told() -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (96, 128, 3), np.uint8)
    title = np.full((96, 128, 3), (20, 60, 120), np.uint8)
    title[40:56, 20:108] = noise[40:56, 20:108]  # an eighth of it is print
    half = title.copy()
    half[:48] = noise[:48]
    slope = np.repeat(np.linspace(0, 255, 128).astype(np.uint8)[None, :, None], 96, axis=0)
    shown = [noise, title, half, slope.repeat(3, axis=2), title // 12]
    pictures = [small_picture(Image.fromarray(one), 112) for one in shown]
    assert plain_pictures([*pictures, None]).tolist() == [False, True, False, False, True, False]


def test_the_most_alike_are_side_by_side(store: Store, tmp_path: Path, cluster: str) -> None:
    written, evidence = selected(store, tmp_path, 40, cluster)
    vectors = store.read_rows(written.selection["row"].to_numpy()).astype(np.int64)
    order = evidence.alike.tolist()
    assert sorted(order) == list(range(40))
    assert order[0] == 0
    squared = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    tree = {one: set() for one in order}  # Kruskal's
    for one, other in sorted(combinations(order, 2), key=lambda edge: squared[edge]):
        if other not in reached(tree, one):
            tree[one].add(other)
            tree[other].add(one)
    for place, one in enumerate(order):  # what hangs on one follows it, the nearest branch first
        ahead = [other for other in tree[one] if other in order[place:]]
        for branch in sorted(ahead, key=lambda other: squared[one, other]):
            assert order[place + 1] == branch
            place += len(reached(tree, branch, without=one))
    places = dict(
        re.findall(r'data-place="(\d+)" data-alike="(\d+)"', page_of(written, evidence, store))
    )
    assert [int(places[str(pick)]) for pick in order] == list(range(40))
    rows = np.arange(300)
    assert alike_side_by_side(store.read_rows(rows[:0])).tolist() == []
    assert alike_side_by_side(store.read_rows(rows[:1])).tolist() == [0]


def reached(tree: dict[int, set[int]], one: int, without: int | None = None) -> set[int]:
    """What is connected with one, itself among it, but not by way of another."""
    found, ahead = set(), [one]
    while ahead:
        found.add(ahead.pop())
        ahead += [n for last in found for n in tree[last] if n not in found and n != without]
    return found


def test_what_labelling_costs_is_said_when_asked(
    store: Store, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, evidence = twenty
    assert "to label the" not in page_of(written, evidence, store)
    asked = written.run.parameters.model_copy(update={"selecting": {"cost_per_frame": 0.5}})
    written = replace(written, run=written.run.model_copy(update={"parameters": asked}))
    said = (
        "At 0.5 a frame, to label the 20 chosen costs 10.00, and all 300 would cost 150.00. Of "
        "that, 0.00 goes to frames no different from another, but "
        f"{(20 - written.metrics.methods.fixed_rate.distinct) / 2:.2f} at a fixed rate and "
        f"{(20 - written.metrics.methods.random.distinct) / 2:.2f} at random."
    )
    assert said in unescape(page_of(written, evidence, store))
    assert said in report_markdown(written.run, written.metrics)


def test_measures_are_shown_along_their_distribution(
    store: Store, tmp_path: Path, cluster: str
) -> None:
    written, evidence = selected(store, tmp_path, 20, cluster, sequence_length=2)
    frames = store.frames().iloc[::2]
    html = page_of(written, evidence, store)
    for measure in ("luminance", "sharpness"):
        values = dict(zip(frames["row"], frames[measure], strict=True))
        own = evidence.graded[evidence.graded["measure"] == measure]
        assert len(own) == 8
        assert own["value"].tolist() == sorted(own["value"])
        assert {own["value"].min(), own["value"].max()} == {
            *(min(values.values()), max(values.values()))
        }
        for one in own.itertuples():
            assert values[one.row] == one.value
            assert one.below == np.mean([value < one.value for value in values.values()])
        histogram = evidence.histograms[measure]
        assert sum(histogram.counts) == len(values)
        tenth = own["value"][own["below"] <= 0.105].max()
        assert f"{written.run.command} --min {measure}={tenth:.3g}" in unescape(html)
    assert html.index("<h3>Sharpness") < html.index("<h3>Luminance")


def test_the_headline_counts_frames_that_differ(store: Store, tmp_path: Path, cluster: str) -> None:
    vectors = store.read_rows(np.arange(300)).astype(np.int64)
    for choice, way in (
        ({}, "chosen frames"),
        ({"sharpest_within": 0.2}, "chosen frames"),
        ({"method": "random"}, "in a coreset"),
    ):
        written, evidence = selected(store, tmp_path, 20, cluster, **choice)
        metrics, counts = written.metrics, {}
        coreset = metrics.methods.coreset
        apart = max(0.75 * coreset.coverage_radius, coreset.l2_min)
        least = round((min(coreset.coverage_radius, apart) * 4000) ** 2)
        for key, method in metrics.methods.by_key().items():
            if key == "original":
                assert method.distinct is None
                continue
            order = method.rows
            left: list[int] = []
            for row in order:
                if all(((vectors[row] - vectors[one]) ** 2).sum() >= least for one in left):
                    left.append(row)
            counts[key] = len(left)
            assert method.distinct == len(left), key
        assert counts["coreset"] == 20 > max(counts["random"], counts["fixed_rate"])
        html = page_of(written, evidence, store)
        found = re.search("<h1>(.*?)</h1>", html)
        assert found is not None
        assert way in found[1]
        assert f"Of 20 at a fixed rate, {counts['fixed_rate']} are; of 20 " in found[1]


@pytest.mark.drawn
def test_names_are_text(tmp_path: Path, cluster: str) -> None:
    store = make_store(tmp_path / "store", walks(90, 8, 1), [18] * 5)
    renamed(store, NAMES_OF_ALL_KINDS)
    html = page_of(*selected(store, tmp_path, 12, cluster), store)
    assert "<img src=x" not in html
    assert "<script>alert" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;.mp4" in html
    names = {row["name"] for row in _rows(data_of(html)["charts"]["timeline"], "length_s")}
    assert names == SHOWN_NAMES
    picked = {unescape(name) for name in re.findall('data-video="([^"]*)"', html)}
    assert picked <= names  # which the filter by video compares
    assert len(picked) > 2
    assert not {one for one in html if shown(one) != one} - {"\n", "\t", "\u200d"}


def _rows(spec: dict[str, Any], column: str) -> list[dict[str, Any]]:
    columns = next(one for one in spec["datasets"].values() if column in one)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_the_timeline_says_where_nothing_was_chosen(
    store: Store, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, evidence = twenty
    spans, ticks = timeline(written, evidence, store.read_catalogue().videos)
    assert spans["name"].tolist() == ["v0.mp4", "v1.mp4", "v2.mp4"]
    assert spans["sampled"].tolist() == [100, 40, 160]
    assert spans["chosen"].sum() == spans["fixed"].sum() == 20
    assert len(ticks) == 40
    for video in spans.itertuples():
        times = written.selection[written.selection["video"] == video.name]["time_s"]
        edges = np.sort(np.r_[video.first_s, times, video.last_s])
        widest = np.diff(edges).argmax()
        assert (video.empty_from_s, video.empty_to_s) == tuple(edges[widest : widest + 2].round(3))


@pytest.mark.drawn
def test_other_selections_stand_beside(store: Store, tmp_path: Path, cluster: str) -> None:
    written, evidence = selected(store, tmp_path / "a", 20, cluster)
    other, _ = selected(store, tmp_path / "b", 8, cluster)
    foreign, _ = selected(store, tmp_path / "c", 5, cluster)
    settings = replace(foreign.run.store, fingerprint="other")
    foreign = replace(foreign, run=foreign.run.model_copy(update={"store": settings}))
    others = [Other("eight", other, {}), Other("foreign", foreign, {})]
    html = page_of(written, evidence, store, others)
    head, *rows = rows_of(html, "beside")
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["selection"] for row in found] == ["this selection", "eight", "foreign"]
    assert [row["chosen"] for row in found] == ["20 frames", "8 frames", "5 frames"]
    assert [row["frames in common"] for row in found] == ["20", "8", "5"]
    radius = other.metrics.methods.coreset.coverage_radius
    assert found[1]["gap max"] == f"{radius:.3f}"
    assert "cannot be compared: foreign." in html
    lines = {row["line"] for row in _rows(data_of(html)["charts"]["beside"], "line")}
    assert lines == {"this selection", "eight"}


@pytest.mark.drawn
@pytest.mark.parametrize(
    ("lengths", "n", "choice"),
    [
        ([1], 1, {}),
        ([2], 2, {}),
        ([40], 12, {}),
        ([40, 1], 41, {}),
        ([40, 30], 12, {"method": "random"}),
        ([40, 30], 12, {"method": "fixed-rate"}),
        ([40, 30], 12, {"sequence_length": 4}),
        ([1] * 5000, 300, {}),
    ],
    ids=[
        "one frame",
        "two",
        "one video",
        "all",
        "random",
        "fixed rate",
        "sequences",
        "5000 videos",
    ],
)
def test_the_page_makes_sense(
    lengths: list[int], n: int, choice: dict[str, Any], tmp_path: Path, cluster: str
) -> None:
    vectors = (
        walks(sum(lengths), 8, 2)
        if sum(lengths) > 20
        else np.eye(8, dtype=np.int16)[: sum(lengths)] * 4000
    )
    store = make_store(tmp_path / "store", vectors, lengths, block_rows=1024)
    written, evidence = selected(store, tmp_path, n, cluster, **choice)
    html = page_of(written, evidence, store)
    assert [section for section in ALL if f'<section id="{section}">' in html] == list(ALL)
    assert len(re.findall(r"<li data-video=", html)) == len(written.units)
    assert ("Nothing was dropped" in html) == (len(written.units) == evidence.units)
    assert not re.search(r"\bnan\b", re.sub(r"<script.*?</script>", "", html.lower(), flags=re.S))
    assert len(html) < 5_000_000


@pytest.mark.drawn
def test_an_empty_selection_has_a_page(
    store: Store, tmp_path: Path, cluster: str, twenty: tuple[OutputFolder, Evidence]
) -> None:
    written, _ = twenty
    empty = {"n": 0, "l2_counts": [], "coverage_radius": None, "coverage_mean": None}
    empty |= dict.fromkeys(("l2_min", "l2_p10", "l2_mean", "l2_p90", "l2_max"))
    methods = {
        key: measured if key == "original" else measured.model_copy(update=empty | {"rows": []})
        for key, measured in written.metrics.methods.by_key().items()
    }
    metrics = written.metrics.model_copy(update={"methods": Methods(**methods), "knee": None})
    nothing = OutputFolder(tmp_path, written.table.slice(0, 0), metrics, written.run)
    evidence = look(nothing, store, Choice(budget=Budget(n_samples=20)), cluster)
    html = page_of(nothing, evidence, store)
    assert "No frame was chosen." in html
    assert "every frame of the corpus is chosen" not in html
    assert "0 of 300 frames" in html


def test_the_bend_is_where_a_curve_bends() -> None:
    k = np.arange(1, 41)
    radius = np.where(k <= 10, 1 - 0.08 * (k - 1), 0.28 - 0.002 * (k - 10))
    curve = pd.DataFrame({"k": k, "radius": radius, "lower_bound": radius / 2})
    knee = find_knee(curve)
    assert knee is not None
    assert knee.k == 10
    assert (knee.before, knee.after) == pytest.approx((0.08, 0.002))
    assert find_knee(curve.head(9)) is None
    assert find_knee(curve.assign(radius=0.5)) is None
    straight = np.linspace(1.0, 0.1, len(curve))
    for bend, found in ((0.0, False), (0.1, False), (0.35, True)):
        bent = straight - bend * np.sin(np.linspace(0, np.pi, len(curve)))
        assert (find_knee(curve.assign(radius=bent)) is not None) == found


def test_a_curve_leaves_out_what_is_not_known() -> None:
    selection = pd.DataFrame(
        {"radius": [np.nan, 0.5, 0.5, 0.4, 0.4, 0.3], "lower_bound": [np.nan] + [0.2] * 5}
    )
    assert radius_curve(selection, 1)["k"].tolist() == [2, 3, 4, 5, 6]
    assert radius_curve(selection, 2)["k"].tolist() == [2, 3]


@pytest.mark.parametrize("dim", [7, 70])  # fewer, and more than there are points
def test_the_projection_keeps_distances_in_a_plane(dim: int) -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(50, 2)) * [3, 1]
    basis = np.linalg.qr(rng.normal(size=(dim, 2)))[0]
    shown, variance = pca(plane @ basis.T + 5)
    assert variance == pytest.approx(1)
    apart = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    assert np.allclose(np.linalg.norm(shown[:, None] - shown[None], axis=2), apart, atol=1e-5)
    assert pca(np.ones((3, 4)))[1] == 0
    assert pca(np.ones((1, 1)))[0].tolist() == [[0, 0]]


@pytest.mark.drawn
def test_facility_location_is_told_by_its_mean_gap(
    store: Store, tmp_path: Path, cluster: str
) -> None:
    written, evidence = selected(store, tmp_path, 20, cluster, method="facility-location")
    mean = written.metrics.chosen.coverage_mean
    assert mean is not None
    assert mean < (written.metrics.methods.coreset.coverage_mean or 0)
    html = page_of(written, evidence, store)
    found = (
        f"A frame of the corpus is on average {mean:.3f} from the nearest of 20 chosen frames; of"
    )
    assert found in html
    fixed = written.metrics.methods.fixed_rate.coverage_mean
    assert f"mean gap; fixed rate leaves {fixed:.3f}" in html
    timeline = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])["charts"][
        "timeline"
    ]
    assert "facility location" in json.dumps(timeline["layer"][-1]["encoding"]["color"]["scale"])
