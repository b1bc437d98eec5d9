import json
import logging

from coreframe.flows.logs import JsonLines
from coreframe.tasks.names import shown


def test_a_line_of_json_shows_names_on_one_line() -> None:
    record = logging.makeLogRecord(
        {
            "msg": "%s is broken",
            "args": ("a\x1b[2J\nb",),
            "changes": {"new": {"count": 1, "first": ["\u202ea", "\udcff"]}},
        }
    )
    line = json.loads(JsonLines().format(record))
    assert line["message"] == r"a\x1b[2J\nb is broken"
    assert line["changes"] == {"new": {"count": 1, "first": [r"\u202ea", r"\xff"]}}
    assert shown(line["time"]) == line["time"]
