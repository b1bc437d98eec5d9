"""The comparison table, and numbers, as text for any renderer."""

from coreframe.tasks.output.metrics import MethodMetrics, Metrics

SELECTED_MARK = "✓"
COLUMNS = {
    "n": "frames",
    "distinct": "different",
    "coverage_radius": "gap max",
    "coverage_mean": "gap mean",
    "l2_min": "L2 min",
    "l2_p10": "L2 p10",
    "l2_mean": "L2 mean",
    "l2_p90": "L2 p90",
    "l2_max": "L2 max",
}
"""Titles; first what decides, which a phone has room for."""

BETTER = {"distinct": 1, "l2_min": 1, "l2_p10": 1, "coverage_mean": -1, "coverage_radius": -1}
"""Whether more is better, or less, where that can be said."""
EXTREMES = {"l2_min": "≤", "l2_max": "≥"}
NAMES = {
    "original": "original",
    "fixed_rate": "fixed rate",
    "random": "random",
    "coreset": "coreset",
    "facility_location": "facility location",
}


def comparison(metrics: Metrics) -> list[dict[str, str]]:
    """One row a method, every value as people read it; the selected one's name is marked.

    What was found from a sample has its 95 % confidence interval, and an extreme the sign that
    the true one may lie beyond it.

    Args:
        metrics: of the run.
    """
    rows, every = [], metrics.methods.by_key()
    counted = any(measured.distinct is not None for measured in every.values())
    for key, measured in every.items():
        chosen = key == metrics.selected_key
        row = {"method": f"{NAMES[key]} {SELECTED_MARK}" if chosen else NAMES[key]}
        for column, title in COLUMNS.items():
            if column == "distinct" and not counted:
                continue
            in_sequences = column == "n" and metrics.sequence_length > 1
            row["sequences" if in_sequences else title] = _cell(measured, column)
            if column == "n" and measured.objects is not None:
                row["objects"] = _cell(measured, "objects")
        if not measured.exact:
            row["method"] += " *"
        rows.append(row)
    return rows


def _cell(measured: MethodMetrics, column: str) -> str:
    text = _number(getattr(measured, column))
    half_width = getattr(measured, f"{column}_ci95", None)
    if half_width is not None:
        return f"{text} ±{half_width:.3f}"
    if not measured.exact and column in EXTREMES:
        return f"{EXTREMES[column]} {text}"
    return text


def best(metrics: Metrics) -> set[tuple[str, str]]:
    """The methods, and the titles of the columns in which each is best: alone, not level.

    A larger smallest distance and a larger 10th percentile are better, and so are smaller gaps.
    """
    found = set()
    for column, sign in BETTER.items():
        values = {
            key: sign * getattr(measured, column)
            for key, measured in metrics.methods.by_key().items()
            if key != "original" and getattr(measured, column) is not None
        }
        winners = [key for key, value in values.items() if value == max(values.values())]
        if len(winners) == 1:
            found.add((winners[0], COLUMNS[column]))
    return found


def size(count: float) -> str:
    """Bytes in decimal units with three significant digits: ``6.40 MB``."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    unit = 0
    while count >= 999.5 and unit < len(units) - 1:
        count, unit = count / 1000, unit + 1
    digits = 0 if unit == 0 or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {units[unit]}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
