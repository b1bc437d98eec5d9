"""Classes and their shares."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.balance import BINS, NO_VALUE, Balance, ClassTable, form_classes


def classes(text: str, values: list[object], eligible: list[int] | None = None) -> ClassTable:
    return several([text], [values], eligible)


def several(
    texts: list[str], values: list[list[object]], eligible: list[int] | None = None
) -> ClassTable:
    count = len(values[0])
    arrays = []
    for one in values:
        array: np.ndarray = np.full(count, None, object)
        array[:] = one
        arrays.append(array)
    can = np.isin(np.arange(count), range(count) if eligible is None else eligible)
    return form_classes(list(map(Balance.parse, texts)), arrays, np.arange(count)[:, None], can)


def test_what_is_asked_is_read() -> None:
    assert Balance.parse("rain") == Balance("rain")
    assert Balance.parse("a:max-by=conf:bins=7=x=y.csv") == Balance("a", "conf", 7, "x=y.csv")
    for text in ("", "=input", "a:bins=1", "a:by=b", "a:max-by=", "a="):
        with pytest.raises(ValueError, match="must be a column"):
            Balance.parse(text)


def test_shares_are_alike_or_those_of_what_may_be_chosen() -> None:
    words: list[object] = ["dry", "rain", "dry", None, "snow", "dry"]
    table = classes("w", words, [0, 1, 2, 3])
    assert table.names == (NO_VALUE, "dry", "rain")
    assert table.of.tolist() == [1, 2, 1, 0, -1, -1]
    assert table.shares == (Fraction(1, 3),) * 3
    assert classes("w=input", words).shares == tuple(Fraction(n, 6) for n in (1, 3, 1, 1))


def test_shares_of_a_file_are_exact(tmp_path: Path) -> None:
    file = tmp_path / "shares.csv"
    file.write_text("class,share\nrain, 0.1\nfog,0.2\n\n")
    table = classes(f"w={file}", ["dry", "rain"])
    assert table.names == ("dry", "rain", "fog")
    assert table.shares == (0, Fraction(1, 10), Fraction(1, 5))
    for text, message in {
        "dry,1\ndry,2\n": "line 2 is not a class and its share",
        "dry,-1\n": "line 1 is not",
        "dry;1\n": "line 1 is not",
        "dry,O.5\nfog,0.5\n": "line 1 is not",
        "a,b\ndry\n": "line 2 is not",
        "dry,0\n": "gives no class a share above 0",
        "fog,1\n": "gives no share to any class that may be chosen: these are dry",
    }.items():
        file.write_text(text)
        with pytest.raises(UsageError, match=message):
            classes(f"w={file}", ["dry"])
    with pytest.raises(UsageError, match=r"lost\.csv: No such file"):
        classes(f"w={tmp_path}/lost.csv", ["dry"])


def test_shares_of_numbers_and_booleans_are_found_however_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "shares.csv"  # as pandas writes value_counts
    file.write_text("crowd,proportion\nTrue,0.25\nFalse,0.75\n")
    table = classes(f"crowd={file}", [True, False, None])
    assert table.names == (NO_VALUE, "false", "true")
    assert table.shares == (0, Fraction(3, 4), Fraction(1, 4))
    file.write_text("lanes,proportion\n2.0,0.25\n03,0.75\nmany,1\n")
    table = classes(f"lanes={file}", [2.0, 3.0])
    assert table.names == ("2", "3", "many")
    assert table.shares == (Fraction(1, 4), Fraction(3, 4), 1)
    file.write_text("2.0,0.25\n")
    with pytest.raises(UsageError, match="these are 2"):
        classes(f"text={file}", ["2"])


def test_bins_of_numbers_that_differ_late_are_told_apart() -> None:
    since_1970: list[object] = [1.7e9 + n for n in range(101)]
    table = classes("since", since_1970)
    assert table.names[:2] == ("1700000000 to 1700000010", "1700000010 to 1700000020")
    assert np.bincount(table.of).tolist() == [10] * 9 + [11]
    below: list[object] = [-n / 10 for n in range(101)]
    assert classes("below", below).names[-1] == "-1 to 0"
    assert classes("same:bins=3", [5.0, 5.0]).names == ("5 to 5",)


def test_many_numbers_are_put_into_bins_and_few_are_not() -> None:
    hours: list[object] = [float(hour % 24) for hour in range(60)]
    assert classes("hour", hours).names == tuple(str(hour) for hour in range(24))
    speeds: list[object] = [n / 10 for n in range(1001)]
    table = classes("speed", speeds)
    assert table.names[:2] == ("0 to 10", "10 to 20")
    assert len(table.names) == BINS
    assert table.of[[0, 99, 100, 999, 1000]].tolist() == [0, 0, 1, 9, 9]
    assert classes("hour:bins=4", hours).names == (
        *("0 to 5.75", "5.75 to 11.5", "11.5 to 17.25", "17.25 to 23"),
    )
    assert classes("night", [True, False, None]).names == (NO_VALUE, "false", "true")
    assert classes("x", [1, 2, float("nan")]).names == (NO_VALUE, "1", "2")


def test_several_columns_make_a_class_of_each_combination() -> None:
    table = several(
        ["w=input", "night"],
        [["dry", "dry", "dry", "rain"], [True, False, True, True]],
    )
    assert table.names == ("dry & false", "dry & true", "rain & true")
    assert table.of.tolist() == [1, 0, 1, 2]
    assert table.shares == (Fraction(3, 8), Fraction(3, 8), Fraction(1, 8))


def test_a_sequence_is_what_most_of_its_frames_are() -> None:
    values: np.ndarray = np.full(6, None, object)
    values[:] = ["b", "a", "a", "b", "a", None]
    members = np.array([[0, 1, 2], [3, 4, 5]])
    table = form_classes([Balance("w")], [values], members, np.ones(2, bool))
    assert table.names == (NO_VALUE, "a")  # of one each the first
    assert table.of.tolist() == [1, 0]
