import json
import pickle
import unicodedata
from xml.dom import minidom

from hypothesis import example, given
from hypothesis import strategies as st

from coreframe.tasks.errors import BrokenVideoError, CoreframeError, UsageError
from coreframe.tasks.names import labels, shown, shown_all

SPOILERS = "\t\n\r\x00\x07\x08\x1b\x7f\x85\x9b\xad\u061c\u200b\u200e\u202e\u2028\u2029\u2066\ufeff"
"""Of every kind that a terminal, a page or a plot acts upon."""

any_name = st.text(
    st.one_of(
        st.sampled_from(SPOILERS + "\udc80\udcff\ud800\ufffe\U0001fffe\ufdd0\U000e0041"),
        st.sampled_from("\\|`*_<&[n'\"$~ .é\u00a0\u200d\ue000👩"),
        st.characters(),
    ),
    max_size=20,
)


@given(any_name)
@example(SPOILERS)
def test_nothing_shown_moves_hides_or_breaks_anything(name: str) -> None:
    text = shown(name)
    assert text.splitlines() in ([text], [])
    left = {unicodedata.category(one) for one in text if one not in "\u200c\u200d"}
    assert not left & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    text.encode()  # no lone surrogates
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    minidom.parseString(f"<name>{escaped}</name>")  # what plots are drawn by
    assert shown(text) == text


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"]), max_size=20))
@example("فارسی\u200cنام 👩\u200d💻 naïve\u00a0ﬁle [red]")
def test_ordinary_names_are_shown_as_they_are(name: str) -> None:
    assert shown(name) == name


def test_escapes_say_what_was_there() -> None:
    assert shown("a\nb\tc\x1b[2J\x9b\u202e\U000e0041\udcff\ufffe") == (
        r"a\nb\tc\x1b[2J\u009b\u202e\U000e0041\xff\ufffe"
    )


@given(st.lists(any_name, max_size=8))
def test_different_names_have_different_labels(names: list[str]) -> None:
    label = labels(names)
    assert set(label) == set(names)
    assert len(set(label.values())) == len(label)
    assert all(shown(one) == one for one in label.values())
    plain = {name for name in names if shown(name) == name}
    assert all(label[name] == name for name in plain)


def test_labels_of_names_that_look_alike_are_numbered() -> None:
    assert labels(["a\nb", r"a\nb"]) == {r"a\nb": r"a\nb", "a\nb": r"a\nb (2)"}


@given(any_name)
def test_errors_are_on_one_line_wherever_they_are_read(name: str) -> None:
    for kind in (CoreframeError, UsageError, BrokenVideoError):
        error = kind(f"{name} cannot be read.")
        assert str(error) == str(pickle.loads(pickle.dumps(error))) == shown(str(error))


@given(st.recursive(any_name | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_all_text_in_json_is_shown(value: object) -> None:
    found = json.dumps(shown_all({"key": value}), ensure_ascii=False)
    assert shown(found) == found
