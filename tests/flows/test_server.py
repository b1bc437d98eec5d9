import errno
import os
from pathlib import Path

import pytest

from coreframe.flows.server import check_home
from coreframe.tasks.errors import CoreframeError
from tests.powers import obeying_modes


def test_a_server_needs_a_home_with_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_home(tmp_path / "new" / "home")
    assert not list((tmp_path / "new" / "home").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(CoreframeError, match=r"file/home \(Not a directory.*PREFECT_HOME"):
        check_home(tmp_path / "file" / "home")
    (tmp_path / "new").chmod(0o555)
    with obeying_modes(), pytest.raises(CoreframeError, match="Permission denied"):
        check_home(tmp_path / "new" / "other")

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CoreframeError, match="No space left on device; it needs 16 MB"):
        check_home(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "file"}
