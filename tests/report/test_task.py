"""The page as a person sees it: in Chromium, without a network; and the flow that makes it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from prefect.client.orchestration import get_client

from coreframe.flows.artifacts import artifact_key
from coreframe.flows.choosing import Selecting
from coreframe.flows.cli import app
from coreframe.flows.curate import curate
from coreframe.flows.options import command
from coreframe.flows.parameters import Compute, Ingestion, Picture, Sources
from coreframe.flows.preflight import check_corpus, check_output
from coreframe.flows.report import report
from coreframe.flows.selection import select
from coreframe.tasks.errors import UsageError
from coreframe.tasks.names import shown
from coreframe.tasks.output.thumbnails import THUMBNAILS
from coreframe.tasks.store.store import Store
from tests.stores import make_store

NAME = "<img src=x onerror=alert(1)>.mp4"
SECTIONS = [
    *("missed", "comparison", "frames", "distances", "radius", "map", "timeline", "dropped"),
    *("quality", "beside", "input", "made"),
]
MADE_BY_1E0A6DD = Path(__file__).parents[1] / "data" / "made_by_1e0a6dd"
WIDTHS_PX = {"laptop": 1280, "phone": 390}


@pytest.fixture(scope="module")
def folder(
    made_videos: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    server: str,
    forked: None,
) -> Path:
    """A corpus, its store, two selections, and the page of one beside the other."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "videos").mkdir()
    shutil.copy(made_videos["vp9.webm"], folder / "videos" / NAME)
    for name in ("closed_gop.mp4", "ten_bit.mp4", "odd_size.mkv"):
        shutil.copy(made_videos[name], folder / "videos")
    (folder / "videos" / "broken.mp4").write_bytes(b"no video at all")
    store, compute = str(folder / "store"), Compute(workers=2, device="cpu")
    curate(
        store=store,
        out=str(folder / "out"),
        corpus=Sources(videos=[str(folder / "videos")], corrupt_threshold=0.5),
        selecting=Selecting(n_samples=30),
        compute=compute,
        page_url="https://media.example.org/out/",
    )
    links = {"curated": _page_link(folder / "out")}
    shutil.copytree(folder / "out", folder / "as-curated")
    (folder / "out" / THUMBNAILS).unlink()  # made of the images again, they are the same
    report(store=store, out=str(folder / "out"), compute=compute)
    shutil.copytree(folder / "out", folder / "again")
    other = str(folder / "other")
    picture = Picture(format="jpg", resize="50x")
    ten = Selecting(n_samples=10)
    select(store=store, out=other, selecting=ten, picture=picture, compute=compute)
    shutil.copytree(other, folder / "other-as-selected")
    (folder / "other" / THUMBNAILS).unlink()
    report(store=store, out=other, compute=compute)
    report(store=store, out=str(folder / "out"), others=[other], compute=compute)
    links |= {"reported": _page_link(folder / "out"), "other": _page_link(folder / "other")}
    (folder / "links.json").write_text(json.dumps(links))
    return folder


def _page_link(out: Path) -> str:
    """What Prefect links the page of an output folder to, and under which name of a run."""
    with get_client(sync_client=True) as client:
        asked = {"artifacts": {"key": {"any_": [artifact_key("page", str(out))]}}}
        answer = client.request("POST", "/artifacts/latest/filter", json=asked)
    (found,) = answer.json()
    return str(found["data"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail("Chromium is not installed, and REQUIRE_CHROMIUM is set")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=chromium, args=options)
        yield started
        started.close()


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, folder: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, drawn; whatever it says on the console or asks of a network fails the test."""
    context = browser.new_context(
        color_scheme=request.param, viewport={"width": 1280, "height": 900}, offline=True
    )
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda said: troubles.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("file:", "data:")) else troubles.append(asked.url)
        ),
    )
    page.goto((folder / "out" / "report.html").as_uri())
    page.wait_for_selector("html[data-drawn=true]", timeout=30_000)
    yield page
    context.close()
    assert not troubles


def test_every_section_is_there_and_drawn(page: Page) -> None:
    assert page.eval_on_selector_all("main section", "all => all.map(one => one.id)") == SECTIONS
    for chart in ("pairs", "radius", "timeline", "beside"):
        assert page.locator(f"#chart-{chart} svg path").count() > 3, chart
    assert page.locator("#chart-map canvas").count() == 1
    assert page.locator("#sheet li img").count() == 30
    broken = "all => all.filter(one => !one.closest('dialog') && !one.naturalWidth).length"
    assert page.eval_on_selector_all("main section img", broken) == 0
    assert page.locator("#dropped img[data-row]").count() > 20
    assert page.locator("#missed .strip i").count() > page.locator("#missed .strip i.this").count()
    assert page.locator("#missed > ul").bounding_box()["y"] < 1600  # type: ignore[index]
    assert page.get_by_text(NAME, exact=True).count() > 0
    assert page.locator("#input").get_by_text("broken.mp4").count() > 0


def test_the_video_filter_leaves_its_frames_only(page: Page, folder: Path) -> None:
    selection = pd.read_parquet(folder / "out" / "selection.parquet")
    own = int((selection["video"] == NAME).sum())
    assert 0 < own < 30
    page.get_by_label("Video", exact=True).select_option(NAME)
    shown = "all => all.filter(one => !one.hidden).map(one => one.dataset.video)"
    assert page.eval_on_selector_all("#sheet li", shown) == [NAME] * own
    assert page.locator("#sheet-count").text_content() == f"{own} of 30 shown"
    expect(page.locator("#timeline-page")).to_have_text("1 to 1 of 1")


def test_the_timeline_is_in_the_order_asked_for(page: Page, folder: Path) -> None:
    labels = "all => all.map(one => one.textContent.slice(0, 9))"  # long ones are cut
    names = "#chart-timeline .role-axis-label text"
    chosen = pd.read_parquet(folder / "out" / "selection.parquet")["video"].value_counts()
    assert page.eval_on_selector_all(names, labels)[-4:] == [
        name[:9] for name in sorted(chosen.index)
    ]
    page.get_by_label("Order").select_option("chosen")
    by_number = sorted(chosen.index, key=lambda name: (-chosen[name], name))
    expect(page.locator(names).nth(-4)).to_contain_text(by_number[0][:9])
    assert page.eval_on_selector_all(names, labels)[-4:] == [name[:9] for name in by_number]


def test_hovering_over_the_map_shows_the_frame(page: Page) -> None:
    chart = page.locator("#chart-map canvas")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    card = page.locator("#hover")
    for step in range(4000):
        x, y = step * 37 % int(box["width"]), step * 23 % int(box["height"])
        page.mouse.move(box["x"] + x, box["y"] + y)
        if card.is_visible():
            break
    assert card.is_visible()
    assert "number" in (card.text_content() or "")
    assert card.locator("img").evaluate("one => one.naturalWidth") > 0


def test_a_frame_opens_large_and_the_keyboard_goes_on(page: Page, folder: Path) -> None:
    selection = pd.read_parquet(folder / "out" / "selection.parquet")
    page.locator("#sheet button").first.focus()
    page.keyboard.press("Enter")
    large = page.locator("dialog#large")
    assert large.is_visible()
    first, second = selection["file"].iloc[:2]
    assert page.locator("#large-file").text_content() == first
    page.keyboard.press("ArrowRight")
    assert page.locator("#large-file").text_content() == second
    size = "one => [one.naturalWidth, one.naturalHeight]"
    page.wait_for_function("document.querySelector('#large img').src.startsWith('file:')")
    with Image.open(folder / "out" / second) as image:
        assert page.locator("#large img").evaluate(size) == list(image.size)
    assert f"{selection['distance'].iloc[1]:.3f} from all before it" in (
        page.locator("#large-text").text_content() or ""
    )
    page.keyboard.press("Escape")
    assert not large.is_visible()


def test_scales_themes_and_searching(page: Page) -> None:
    drawn = "document.querySelector('#chart-pairs svg').outerHTML"
    linear = page.evaluate(drawn)
    page.get_by_role("button", name="Logarithmic").click()
    page.wait_for_function(f"old => {drawn} !== old", arg=linear)
    theme = page.evaluate("document.documentElement.dataset.theme")
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") != theme
    page.get_by_label("Find").fill("ten_bit")
    expect(page.locator("#timeline-page")).to_have_text("1 to 1 of 1")
    page.get_by_label("Find").fill("no such thing")
    expect(page.locator("#timeline-page")).to_have_text("no such video")


@pytest.mark.parametrize("width", WIDTHS_PX)
def test_it_is_accessible_at_any_width(page: Page, width: str) -> None:
    page.set_viewport_size({"width": WIDTHS_PX[width], "height": 800})
    page.reload()
    page.wait_for_selector("html[data-drawn=true]", timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS_PX[width]
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


LINES_OF_CELLS = """() => {
  const rows = [...document.querySelectorAll("#input tbody tr")];
  rows.forEach(row => row.lastChild.textContent += " for a reason of many words".repeat(20));
  return rows.map(row => [row.firstChild.textContent, new Set([...(() => {
    const range = document.createRange();
    range.selectNodeContents(row.firstChild);
    return range.getClientRects();
  })()].map(line => line.top)).size]);
}"""


def test_short_words_stay_whole_beside_long_reasons(page: Page) -> None:
    lines = dict(page.evaluate(LINES_OF_CELLS))
    assert {"broken.mp4", "ok"} <= set(lines)
    assert all(number == 1 for text, number in lines.items() if len(text) <= 24)


def test_making_it_again_changes_nothing(folder: Path) -> None:
    first, again = folder / "as-curated", folder / "again"
    assert (first / "report.html").read_bytes() == (again / "report.html").read_bytes()
    pair = folder / "other-as-selected", folder / "other"  # of JPEG, which loses something
    assert len({(one / "report.html").read_bytes() for one in pair}) == 1
    plots = sorted(path.name for path in (first / "plots").iterdir())
    assert plots == ["map_pca.png", "pairs.png", "pairs_log.png", "radius.png", "timeline.png"]
    for name in plots:
        assert (first / "plots" / name).read_bytes() == (again / "plots" / name).read_bytes()
    assert (folder / "out" / "plots" / "beside.png").exists()


def test_prefect_has_a_link_to_the_page_or_its_address(folder: Path) -> None:
    links = json.loads((folder / "links.json").read_text())
    assert "(https://media.example.org/out/report.html)" in links["curated"]
    for name, out in (("reported", folder / "out"), ("other", folder / "other")):
        assert links[name] == f"```\n{(out / 'report.html').as_uri()}\n```"


def test_only_our_own_plots_are_replaced_and_an_old_page_does_not_stay(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder / "again", out)
    (out / "plots" / "beside.png").touch()
    (out / "plots" / "mine.png").touch()
    report(store=str(folder / "store"), out=str(out), compute=Compute(workers=1, device="cpu"))
    assert (out / "plots" / "mine.png").exists()
    assert not (out / "plots" / "beside.png").exists()
    monkeypatch.setattr("coreframe.tasks.report.task.gather_evidence", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        select(
            store=str(folder / "store"),
            out=str(out),
            selecting=Selecting(n_samples=3),
            compute=Compute(workers=1, device="cpu"),
        )
    assert (out / "run.json").exists()
    assert not (out / "report.html").exists()


ODD_NAME = "a 'b'\\ \n\x1b3\x9b3\u202e3\U000e00413.mp4"


@pytest.mark.integration
def test_the_command_makes_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option that is not a default, through the command line and back."""
    asked: dict[str, Any] = {}
    for check in ("check_corpus", "output_folder", "open_store"):
        monkeypatch.setattr(f"coreframe.flows.preflight.{check}", lambda *_: None)
    monkeypatch.setattr("coreframe.flows.preflight.follow_store", lambda _, given, __: given)
    monkeypatch.setattr("coreframe.flows.preflight_choice.check_selecting", lambda *_: None)
    monkeypatch.setattr("coreframe.flows.curate.curate", lambda **given: asked.update(given))
    monkeypatch.setattr("coreframe.flows.terminal.show_result", lambda *_: None)
    parameters = {
        "store": "a store",
        "out": "-out",
        "corpus": Sources(
            videos=["-x.mp4", ODD_NAME], include=["*.mp4", "-y"], corrupt_threshold=0.3
        ),
        "ingestion": Ingestion(sample_fps="2", crop="8:8:0:0", block_rows=64),
        "selecting": Selecting(n_samples=7, min=["sharpness=0.1"], drop_gone=True, name="n"),
        "picture": Picture(format="jpg", quality=50, resize="64x"),
        "compute": Compute(workers=2, device="cpu", memory_limit=10**9),
    }
    dumped = {
        name: value if isinstance(value, str) else value.model_dump()
        for name, value in parameters.items()
    }
    line = command(dumped)
    assert shown(line) == line
    read = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    words = read.stdout.decode().split("\0")[:-1]
    assert words[0] == "coreframe"
    app(words[1:], standalone_mode=False)
    assert {name: asked[name] for name in parameters} == parameters


def test_a_report_on_what_is_no_selection_is_refused(folder: Path, tmp_path: Path) -> None:
    store = str(folder / "store")
    with pytest.raises(UsageError, match=r"no selection in .*: make one with `coreframe select"):
        report(store=store, out=str(tmp_path))
    shutil.copytree(folder / "again", tmp_path / "old")
    run = json.loads((tmp_path / "old" / "run.json").read_text())
    run["store"]["fingerprint"] = "another"
    (tmp_path / "old" / "run.json").write_text(json.dumps(run))
    with pytest.raises(UsageError, match=r"is of embedder descriptor.*name the store"):
        report(store=store, out=str(tmp_path / "old"))
    run["store"]["fingerprint"] = "?"
    shutil.copytree(folder / "again", tmp_path / "foreign")
    made = Store.open(store)
    foreign = make_store(tmp_path / "other", np.zeros((200, made.settings.dim), np.int16), [200])
    foreign.settings = replace(foreign.settings, fingerprint=made.settings.fingerprint)
    with pytest.raises(UsageError, match=r"is of frames that the store .* does not hold"):
        check_output(foreign, str(tmp_path / "foreign"))
    del run["command"], run["format_version"]  # as earlier versions wrote it
    (tmp_path / "old" / "run.json").write_text(json.dumps(run))
    with pytest.raises(UsageError, match="written by an earlier version"):
        report(store=store, out=str(tmp_path / "old"))
    assert Store.open(store).read_catalogue().state() == run["corpus"]


@pytest.mark.integration
def test_an_output_folder_among_the_videos_is_not_searched(
    made_videos: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copy(made_videos["closed_gop.mp4"], tmp_path / "a.mp4")
    for own in ("plots", "frames", "coco/images"):
        (tmp_path / "out" / own).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "out" / own / "picture.png")
    corpus = Sources(videos=[str(tmp_path)])
    found = check_corpus(corpus, str(tmp_path / "store"), str(tmp_path / "out"))
    assert [file.name for file in found] == ["a.mp4"]
    assert len(check_corpus(corpus, str(tmp_path / "store"))) == 4  # else they would be videos


@pytest.mark.usefixtures("folder")
def test_a_report_on_what_an_earlier_version_wrote(tmp_path: Path) -> None:
    """Of commit 1e0a6dd, whose videos have been moved since: their pictures are missed."""
    shutil.copytree(MADE_BY_1E0A6DD, tmp_path / "old")
    store, out = str(tmp_path / "old" / "store"), tmp_path / "old" / "out"
    before = {name: (out / name).read_bytes() for name in ("run.json", "metrics.json")}
    report(store=store, out=str(out), compute=Compute(workers=1, device="cpu"))
    html = (out / "report.html").read_text()
    assert html.count("<li data-video=") == 5
    assert "5 of 20 frames (coreset) cover the corpus within" in html
    assert "cannot be decoded any more" in html
    assert (out / "plots" / "timeline.png").exists()
    assert {name: (out / name).read_bytes() for name in before} == before
