import errno
import os
from pathlib import Path

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from coreframe.flows.server import check_home, explained
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


def test_a_server_that_cannot_write_is_a_sentence(tmp_path: Path) -> None:
    request = httpx.Request("POST", "http://127.0.0.1/api")
    refusal = PrefectHTTPStatusError("full", request=request, response=httpx.Response(500))
    sentence = f"status 500: look whether {tmp_path} has room"
    with pytest.raises(CoreframeError, match=sentence), explained(tmp_path):
        raise refusal
