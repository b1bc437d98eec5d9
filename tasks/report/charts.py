"""The report's plots, as Vega-Lite charts: the page draws them, and they are saved as pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from coreframe.tasks.names import shown_all
from coreframe.tasks.output.metrics import Knee, Metrics
from coreframe.tasks.report.draw import Drawn, draw
from coreframe.tasks.report.tables import NAMES

alt.data_transformers.disable_max_rows()


METHODS = ("coreset", "fixed rate", "random", "original", "facility location")
"""In the order of the colours below; the last only where that chose."""

Chart = alt.Chart | alt.LayerChart | alt.FacetChart

LOWER_BOUND = "no choice of k can be below"

VIDEO_PX, AXES_PX = 34, 80
"""Height of a video on the timeline, and of what stands around it."""

COLOURED = 7
"""Videos with a colour of their own on the map; eyes tell no more apart."""

OTHERS = "other videos"

WIDTH_PX = 760
"""Of saved pictures."""

DASHES = ([1, 0], [6, 3], [2, 2], [1, 0], [8, 2, 2, 2])
"""So that lines differ without their colours."""

# The palette of Okabe and Ito, which colour-blind people can tell apart, its yellow left out and
# each hue made light or dark enough for the page behind it.
PALETTES = {
    "light": [
        *("#0072b2", "#d55e00", "#007a5a", "#6b6b6b"),
        *("#a8457f", "#9a7400", "#56b4e9", "#000000"),
    ],
    "dark": [
        *("#5ab4f0", "#ff9a4d", "#3fc79a", "#a3a3a3"),
        *("#e08fc0", "#e6b840", "#c3ecff", "#ffffff"),
    ],
}
INK = {"light": "#1b1f24", "dark": "#e6e8eb"}
FAINT = {"light": "#d9dce1", "dark": "#3a4048"}


def theme(name: str) -> dict[str, Any]:
    """Vega's configuration for a light or a dark page."""
    ink, faint = INK[name], FAINT[name]
    font = "system-ui, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
    words = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": None,
        "font": font,
        "axis": words
        | {"gridColor": faint, "domainColor": faint, "tickColor": faint, "titleFontWeight": 400},
        "legend": words | {"symbolStrokeWidth": 2, "titleFontWeight": 600, "columns": 4},
        "view": {"stroke": None},
        "text": {"color": ink, "fontSize": 12},
        "rule": {"color": ink},
        "range": {"category": PALETTES[name]},
    }


def pairs_chart(metrics: Metrics, *, log: bool = False) -> Chart:
    """Distributions of the pairwise distances of the corpus and of every method's choice."""
    bin_l2 = metrics.l2_bin
    rows = []
    for key, measured in metrics.methods.by_key().items():
        counts = np.array(measured.l2_counts, np.float64)
        middles = (np.arange(len(counts)) + 0.5) * bin_l2
        shares = counts / max(1.0, counts.sum())
        rows += [(NAMES[key], *one) for one in zip(middles.round(5), shares.round(7), strict=True)]
    data = pd.DataFrame(rows, columns=["set", "distance", "share"])
    measured_names = {NAMES[key] for key in metrics.methods.by_key()}
    named = [name for name in METHODS if name in measured_names]
    if log:
        data = data[data["share"] > 0]
    return (
        alt.Chart(data)
        .mark_line(strokeWidth=2, interpolate="step")
        .encode(
            x=alt.X("distance:Q", title="L2 distance between two of a set"),
            y=alt.Y(
                "share:Q",
                title=f"share of its pairs, for each {bin_l2:.4f} of distance",
                axis=alt.Axis(format=".1%" if not log else "~e", tickCount=6),
                scale=alt.Scale(type="log" if log else "linear"),
            ),
            **_lines("set:N", named, DASHES[: len(named)]),
        )
        .properties(width="container", height=300)
    )


def radius_chart(
    curve: pd.DataFrame, metrics: Metrics, others: Mapping[str, pd.DataFrame] = {}
) -> Chart:
    """The largest gap after each pick, the bound below which no choice gets, and other methods.

    Args:
        curve: ``k``, ``radius``, ``lower_bound``, a row each pick of which they are known.
        metrics: of the run.
        others: the same of other selections, by name, drawn instead of the bound.
    """
    own = metrics.selected_name if not others else "this selection"
    lines = [curve[["k", "radius"]].assign(line=own)]
    if others:
        lines += [some[["k", "radius"]].assign(line=name) for name, some in others.items()]
    else:
        bound = curve[["k", "lower_bound"]].rename(columns={"lower_bound": "radius"}).dropna()
        lines += [bound.assign(line=LOWER_BOUND)] if len(bound) else []
    data = pd.concat([_thinned(line) for line in lines], ignore_index=True)
    domain = [own, *others] if others else _of_methods(metrics, LOWER_BOUND in set(data["line"]))
    look = _lines("line:N", domain, [[1, 0] if name == own else [4, 3] for name in domain])
    x = alt.X("k:Q", title=f"{metrics.noun}s chosen")
    y = alt.Y("radius:Q", title="largest gap (covering radius, L2)")
    layers = [
        alt.Chart(data)
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            **look,
        )
    ]
    if not others:
        layers.append(
            alt.Chart(_radius_points(metrics))
            .mark_point(size=90, filled=True, opacity=1)
            .encode(x=x, y=y, color=look["color"])
        )
        layers += _knee_marks(metrics.knee)
    return alt.layer(*layers).properties(width="container", height=300)


def _of_methods(metrics: Metrics, bounded: bool) -> list[str]:
    """The lines and points of one selection's chart, in the order of their colours."""
    names = [NAMES[key] for key in metrics.methods.by_key() if key != "original"]
    names.sort(key=lambda name: (name != metrics.selected_name, METHODS.index(name)))
    return [*names, LOWER_BOUND] if bounded else names


def _radius_points(metrics: Metrics) -> pd.DataFrame:
    """The radius of each method at the same count."""
    methods = metrics.methods
    points = [
        (methods.coreset.n, measured.coverage_radius, NAMES[key])
        for key, measured in methods.by_key().items()
        if key != "original"
    ]
    return pd.DataFrame(points, columns=["k", "radius", "line"])


def _knee_marks(knee: Knee | None) -> list[alt.Chart]:
    if knee is None:
        return []
    at = pd.DataFrame([knee.model_dump() | {"text": f"bends at {knee.k:,}"}])
    return [
        alt.Chart(at).mark_rule(strokeDash=[2, 2], opacity=0.6).encode(x="k:Q"),
        alt.Chart(at)
        .mark_text(align="left", dx=5, dy=4, baseline="top")
        .encode(x="k:Q", y=alt.value(0), text="text:N"),
    ]


def map_chart(mapped: pd.DataFrame, plane: str) -> Chart:
    """The corpus on a plane, the chosen units on top.

    Args:
        mapped: ``name`` (of the video), ``time_s``, ``pick``, ``distance``, ``chosen``, and the
            plane's two columns.
        plane: ``PCA`` or another that is there.
    """
    by_size = mapped["name"].value_counts().index.tolist()
    own = by_size[: COLOURED if len(by_size) <= COLOURED else COLOURED - 1]
    data = mapped.assign(video=mapped["name"].where(mapped["name"].isin(own), OTHERS))
    data = data.rename(columns={f"{plane} x": "x", f"{plane} y": "y"})
    data = data[["row", "name", "time_s", "pick", "distance", "chosen", "video", "x", "y"]]
    domain = [*own, *([OTHERS] if len(by_size) > len(own) else [])]
    axis = alt.Axis(labels=False, ticks=False, grid=False)
    place = {
        "x": alt.X("x:Q", title=f"{plane} 1", axis=axis, scale=alt.Scale(zero=False)),
        "y": alt.Y("y:Q", title=f"{plane} 2", axis=axis, scale=alt.Scale(zero=False)),
    }
    colour = alt.Color(
        "video:N",
        scale=alt.Scale(domain=domain),
        legend=alt.Legend(orient="bottom", labelLimit=220, symbolOpacity=1),
    )
    every = (
        alt.Chart(data)
        .mark_circle(opacity=0.45, size=18, tooltip={"content": "data"})
        .encode(**place, color=colour)
    )
    chosen = (
        alt.Chart(data)
        .transform_filter("datum.chosen")
        .mark_point(filled=True, opacity=1, size=70, shape="diamond", tooltip={"content": "data"})
        .encode(**place, color=colour, stroke=alt.value("white"), strokeWidth=alt.value(1))
    )
    return alt.layer(every, chosen).properties(width="container", height=480)


def timeline_chart(videos: pd.DataFrame, ticks: pd.DataFrame, *, ordered: bool = True) -> Chart:
    """Where in each video frames were chosen, and where none was.

    Args:
        videos: ``name``, ``length_s``, ``first_s``, ``last_s``, ``sampled``, ``chosen``,
            ``fixed``, and ``empty_from_s``, ``empty_to_s``: the longest stretch of sampled
            frames without a chosen one.
        ticks: ``name``, ``time_s``, ``method`` (coreset or another, and fixed rate).
        ordered: keep the order of ``videos``; the page gives one of its own.
    """
    names = videos["name"].tolist()
    y = alt.Y(
        "name:N",
        sort=names if ordered else None,
        title=None,
        axis=alt.Axis(labelLimit=190, grid=False),
    )
    base = alt.Chart(videos.assign(begin_s=0))
    tooltip = [
        alt.Tooltip("name:N", title="video"),
        alt.Tooltip("length_s:Q", title="length, s", format=",.2f"),
        alt.Tooltip("sampled:Q", title="frames sampled", format=","),
        alt.Tooltip("chosen:Q", title="frames chosen", format=","),
        alt.Tooltip("fixed:Q", title="at a fixed rate", format=","),
        alt.Tooltip("empty_from_s:Q", title="nothing chosen from, s", format=",.2f"),
        alt.Tooltip("empty_to_s:Q", title="to, s", format=",.2f"),
    ]
    colour = alt.Color(
        "method:N",
        title=None,
        scale=alt.Scale(domain=list(METHODS)),
        legend=alt.Legend(orient="top", values=ticks["method"].unique().tolist()),
    )
    layers = [
        base.mark_bar(height=24, opacity=0.12, color="#808080").encode(
            x="begin_s:Q", x2="length_s:Q", y=y, tooltip=tooltip
        ),
        base.mark_bar(height=2, opacity=0.7, color="#808080").encode(
            x=alt.X("first_s:Q", title="seconds"), x2="last_s:Q", y=y
        ),
        base.mark_bar(height=24, opacity=0.2, color="#808080").encode(
            x="empty_from_s:Q", x2="empty_to_s:Q", y=y, tooltip=tooltip
        ),
        *(
            alt.Chart(ticks)
            .transform_filter(f"datum.method {sign} 'fixed rate'")
            .mark_tick(size=10, thickness=2, opacity=1, yOffset=offset)
            .encode(x="time_s:Q", y=y, color=colour)
            for sign, offset in (("!=", -6), ("==", 6))
        ),
    ]
    return alt.layer(*layers).properties(
        width="container", height=AXES_PX + VIDEO_PX * len(videos), autosize="fit"
    )


def loss_chart(losses: Sequence[float]) -> Chart:
    """The loss of each epoch of a training."""
    data = pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses})
    return (
        alt.Chart(data)
        .mark_line(point=True)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(format="d", tickMinStep=1)),
            y=alt.Y("loss:Q", title="contrastive loss (NT-Xent)"),
        )
        .properties(width="container", height=300)
    )


def _lines(
    field: str, domain: Sequence[str], dashes: Sequence[Sequence[int]]
) -> dict[str, alt.Color | alt.StrokeDash]:
    """Lines that differ by colour and dash, with one legend below the plot."""
    legend = alt.Legend(orient="bottom", symbolType="stroke", symbolSize=400, labelLimit=0)
    names = list(domain)
    return {
        "color": alt.Color(
            field, title=None, sort=names, scale=alt.Scale(domain=names), legend=legend
        ),
        "strokeDash": alt.StrokeDash(
            field,
            title=None,
            sort=names,
            scale=alt.Scale(domain=names, range=list(dashes)),
            legend=legend,
        ),
    }


def _thinned(line: pd.DataFrame, points: int = 1000) -> pd.DataFrame:
    """Of many points some at an even stride, the first and the last among them."""
    places = np.unique(np.linspace(0, len(line) - 1, points).round().astype(int))
    return line.iloc[places] if len(line) > points else line


def draw_charts(charts: Mapping[str, Chart]) -> Drawn:
    """Draw charts as pictures on white.

    Raises:
        CoreframeError: see :func:`coreframe.tasks.report.draw.draw`.
    """
    config = theme("light") | {"background": "white", "padding": 12}
    specs = {name: _spec(chart.properties(width=WIDTH_PX)) for name, chart in charts.items()}
    return draw(specs, config)


def page_spec(chart: Chart) -> dict[str, Any]:
    """A chart for the page: its tables by column, which takes a third of the bytes of rows."""
    spec = _spec(chart)
    spec["datasets"] = {
        name: {key: [row[key] for row in rows] for key in rows[0]} if rows else {}
        for name, rows in spec.get("datasets", {}).items()
    }
    return spec


def _spec(chart: Chart) -> dict[str, Any]:
    """A chart for Vega, which ends where a text holds what XML has no room for.

    Each part was checked when it was made; to check the whole again takes as long as all the rest.
    """
    spec: dict[str, Any] = shown_all(chart.to_dict(validate=False))
    return spec
