"""Conditions are SQLite's, over the columns there are, and nothing else."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.expression import FRAME, Condition
from coreframe.tasks.store.columns import Kind

TABLES = {
    FRAME: {"sharpness": Kind.NUMBER, "video": Kind.TEXT, "flat": Kind.BOOLEAN},
    "boxes": {"label": Kind.TEXT, "conf": Kind.NUMBER, "small thing": Kind.BOOLEAN},
    "rec": {"night": Kind.BOOLEAN, "label": Kind.TEXT},
}

REFUSED = {
    "conf >": "syntax error",
    "": "syntax error",
    "speed > 1": "no such column: speed. There are: conf, flat, label, night, sharpness",
    "age > 1": "video; add it, or add it again where it was dropped, with `coreframe columns",
    "label = 'dog'": "ambiguous column name: label, which several tables have: write TABLE.COLUMN",
    "1": "it reads no column",
    "\"conv\" = 'x'": "it reads no column",
    "conf > 1; DROP TABLE boxes": "syntax error",
    "1); DROP TABLE boxes; --": "it is more than one expression",
    "conf > random()": "it may read columns and call abs, coalesce",
    "night > date('now')": "it may read columns and call abs, coalesce",
    "conf IN (SELECT 1)": "it may read columns and call abs, coalesce",
    "max(conf) > 1": "misuse of aggregate",
    "conf > 1) LIMIT (1": "its parentheses do not match",
    "conf > 1) GROUP BY (boxes.label": "its parentheses do not match",
    "boxes.rowid > 1": "it may read columns and call abs, coalesce",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Condition(text, TABLES)
    assert f"where {text}: " in str(caught.value)
    assert REFUSED[text] in str(caught.value)


def test_it_says_what_it_reads() -> None:
    read = Condition("boxes.label LIKE 'd%' AND (sharpness > 0.5 OR night) -- so", TABLES).reads
    assert read == {"boxes": ["label"], FRAME: ["sharpness"], "rec": ["night"]}
    assert Condition('"small thing"', TABLES).reads == {"boxes": ["small thing"]}


PYTHON = {
    "conf > 0.5 AND boxes.label = 'dog'": lambda f, b, r: (
        b["conf"] and b["label"] == "dog" and b["conf"] > 0.5
    ),
    "conf IS NULL": lambda f, b, r: b["conf"] is None,
    "night AND NOT flat": lambda f, b, r: r["night"] and not f["flat"],
    "rec.label = boxes.label": lambda f, b, r: b["label"] is not None and b["label"] == r["label"],
    "sharpness BETWEEN 0.25 AND 0.5 OR night": lambda f, b, r: (
        0.25 <= f["sharpness"] <= 0.5 or r["night"]
    ),
}


@given(data=st.data())
def test_a_frame_meets_it_with_any_of_its_rows(data: st.DataObject) -> None:
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, 40), min_size=1, max_size=9))))
    quarters = st.sampled_from([0.0, 0.25, 0.5, 0.75, None])
    frames = [
        {
            "row": row,
            "sharpness": data.draw(st.sampled_from([0.0, 0.25, 0.75])),
            "flat": data.draw(st.booleans()),
            "video": "v",
        }
        for row in rows.tolist()
    ]
    row = st.sampled_from(rows.tolist())
    label = st.sampled_from(["dog", "cat", None])
    boxes = data.draw(
        st.lists(st.fixed_dictionaries({"row": row, "label": label, "conf": quarters}), max_size=12)
    )
    rec = data.draw(
        st.lists(
            st.fixed_dictionaries(
                {"row": row, "night": st.sampled_from([True, False, None]), "label": label}
            ),
            max_size=12,
        )
    )
    text = data.draw(st.sampled_from(sorted(PYTHON)))

    def lines(some: list[dict[str, Any]], row: int, *names: str) -> list[dict[str, Any]]:
        return [one for one in some if one["row"] == row] or [dict.fromkeys(names)]

    expected = [
        any(
            PYTHON[text](frame, box, said)
            for box in lines(boxes, frame["row"], "label", "conf")
            for said in lines(rec, frame["row"], "night", "label")
        )
        for frame in frames
    ]
    condition = Condition(text, TABLES)
    types = {"row": pa.int64(), "label": pa.string(), "conf": pa.float64(), "night": pa.bool_()}
    tables = {
        FRAME: pa.Table.from_pylist(frames),
        "boxes": pa.Table.from_pylist(
            boxes, pa.schema({n: types[n] for n in ("row", "label", "conf")})
        ),
        "rec": pa.Table.from_pylist(
            rec, pa.schema({n: types[n] for n in ("row", "night", "label")})
        ),
    }
    values = {name: table for name, table in tables.items() if name in condition.reads}
    assert condition.holds(rows, values).tolist() == [bool(one) for one in expected]
