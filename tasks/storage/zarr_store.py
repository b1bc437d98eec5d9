"""What Zarr opens to find a folder that is not on this machine."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, NoReturn

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

if TYPE_CHECKING:
    from coreframe.tasks.storage.folders import Folder


class FolderStore(Store):
    """A folder as Zarr asks for it: Zarr's own way to buckets makes no request a second time.

    Chunks are read and written whole, which is all that a store's array needs. Nothing is listed.
    """

    supports_writes = supports_deletes = True
    supports_listing = False

    def __init__(self, folder: "Folder", *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self._folder = folder

    def __eq__(self, other: object) -> bool:
        mine = self._folder.name, self.read_only
        return isinstance(other, FolderStore) and mine == (other._folder.name, other.read_only)

    __hash__ = None  # type: ignore[assignment]

    def with_read_only(self, read_only: bool = False) -> "FolderStore":
        return FolderStore(self._folder, read_only=read_only)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        try:
            data = await asyncio.to_thread(self._folder.read, key)
        except FileNotFoundError:
            return None
        return prototype.buffer.from_bytes(data[_asked(byte_range, len(data))])

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, asked) for key, asked in key_ranges]

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._folder.exists, key)

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()
        await asyncio.to_thread(self._folder.write, key, value.to_bytes())

    async def delete(self, key: str) -> None:
        self._check_writable()
        await asyncio.to_thread(self._folder.delete, key)

    def list(self) -> AsyncIterator[str]:
        self._not_listed()

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        self._not_listed()

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        self._not_listed()

    def _not_listed(self) -> NoReturn:
        raise NotImplementedError(f"{self._folder.name} is not listed for Zarr")


def _asked(byte_range: ByteRequest | None, size_bytes: int) -> slice:
    """The part of a file that Zarr asks for."""
    match byte_range:
        case RangeByteRequest(start, end):
            return slice(start, end)
        case OffsetByteRequest(offset):
            return slice(offset, None)
        case SuffixByteRequest(suffix):
            return slice(max(0, size_bytes - suffix), None)
    return slice(None)
