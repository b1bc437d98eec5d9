"""Permissions that hold for this process even where it runs as root."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

VERSION_3 = 0x20080522
OVERRIDE = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root reads and writes whatever the modes say."""


@contextmanager
def obeying_modes() -> Iterator[None]:
    """While the context lasts, this thread has no rights but those that modes of files give it."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    before = (ctypes.c_uint32 * 6)()
    if libc.capget(header, before):
        pytest.skip("this system has no capabilities")
    now = (ctypes.c_uint32 * 6)(*before)
    now[0] &= ~OVERRIDE  # of the first 32, those in effect; those permitted can be taken again
    assert not libc.capset(header, now)
    try:
        yield
    finally:
        assert not libc.capset(header, before)
