"""torch, imported when it is first used.

It takes a second and a half to import, and of a command's processes only those need it that embed
and compare frames.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
else:

    class _Torch:
        def __getattr__(self, name: str) -> Any:
            value = getattr(import_module("torch"), name)
            setattr(self, name, value)
            return value

    torch = _Torch()

__all__ = ["torch"]
