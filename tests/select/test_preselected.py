"""Lists of frames, read as they were written."""

from pathlib import Path

import pandas as pd
import pytest

from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.preselected import read_preselected


@pytest.mark.parametrize("names", [["007"], ["NA", "null"], ["2024-01-01", "1e5", "true"]])
def test_names_stay_names(names: list[str], tmp_path: Path) -> None:
    listed = pd.DataFrame({"video": names, "frame_index": range(len(names))})
    listed.to_csv(tmp_path / "mine.csv", index=False)
    listed.to_parquet(tmp_path / "mine.parquet")
    for file in ("mine.csv", "mine.parquet"):
        read = read_preselected(str(tmp_path / file))
        assert read["video"].tolist() == names
        assert read["frame_index"].tolist() == list(range(len(names)))


@pytest.mark.parametrize("line", [",3", "a.mp4,", "a.mp4,NA"])
def test_lines_that_name_no_frame_are_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(f"video,frame_index\nb.mp4,1\n{line}\n")
    with pytest.raises(UsageError, match="each line needs a video and a frame_index"):
        read_preselected(str(tmp_path / "mine.csv"))
