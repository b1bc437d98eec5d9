import pytest

from coreframe.tasks.report.markdown import _cell
from coreframe.tasks.report.tables import size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (6400000, "6.40 MB"),
        (447000000.0, "447 MB"),
        (999600, "1.00 MB"),
        (12345, "12.3 kB"),
        (5500000000000000.0, "5.50 PB"),
    ],
)
def test_sizes_have_three_digits(count: float, text: str) -> None:
    assert size(count) == text


def test_cells_hold_any_file_name() -> None:
    assert _cell("<img src=x onerror=alert(1)>.mp4") == "&lt;img src=x onerror=alert(1)&gt;.mp4"
    assert _cell("a|b\nc\\d") == r"a\|b\\nc\\d"
    assert _cell("_a_b_ ~$`*[x]") == r"\_a_b\_ \~\$\`\*\[x\]"
    assert _cell(None) == _cell("") == "–"
