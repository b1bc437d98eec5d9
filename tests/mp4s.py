"""MP4 files of one track of pictures, box by box: their tables may claim anything."""

import struct

FTYP_BYTES = 24


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + kind + content


def full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", flags), *parts)


def words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def mp4(
    data: bytes,
    samples: int,
    sample_bytes: int,
    *,
    side_px: int = 64,
    codec: bytes = b"png ",
    tracks: int = 1,
    named: bytes = b"",
    chunks: int = 1,
) -> bytes:
    """A file whose track claims so many samples of one size in each chunk, all at one place."""
    entry = box(
        codec,
        bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HH", side_px, side_px),
        words(0x480000, 0x480000, 0) + b"\0\1" + bytes(32) + struct.pack(">Hh", 24, -1),
    )
    count = samples * chunks
    stbl = box(
        b"stbl",
        full(b"stsd", words(1), entry),
        full(b"stts", words(1, count, 1)),
        full(b"stsc", words(1, 1, samples, 1)),
        full(b"stsz", words(sample_bytes, count)),
        full(b"stco", words(chunks), words(FTYP_BYTES + 8) * chunks),
    )
    where = full(b"dref", words(1), full(b"url ", named, flags=not named))
    minf = box(b"minf", full(b"vmhd", bytes(8), flags=1), box(b"dinf", where), stbl)
    hdlr = full(b"hdlr", bytes(4) + b"vide" + bytes(13))
    mdia = box(b"mdia", full(b"mdhd", words(0, 0, 1000, 1000, 0)), hdlr, minf)
    matrix = words(65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)

    def track(number: int) -> bytes:
        place = words(0, 0, number, 0, 1000) + bytes(16) + matrix
        tkhd = full(b"tkhd", place, words(side_px << 16, side_px << 16), flags=3)
        return box(b"trak", tkhd, mdia)

    mvhd = full(
        b"mvhd", words(0, 0, 1000, 1000, 65536), b"\1" + bytes(11), matrix, bytes(24), words(2)
    )
    moov = box(b"moov", mvhd, *map(track, range(1, tracks + 1)))
    ftyp = box(b"ftyp", b"isom", words(512), b"isommp41")
    assert len(ftyp) == FTYP_BYTES
    return ftyp + box(b"mdat", data) + moov


def fragmented(samples: int, runs: int) -> bytes:
    """A file of one fragment, with runs that claim so many samples each and say nothing of any."""
    whole = mp4(b"", 0, 1)
    start = whole.rindex(b"moov") + 4
    moov = box(b"moov", whole[start:], box(b"mvex", full(b"trex", words(1, 1, 1, 1, 0))))
    run = full(b"trun", words(samples))
    traf = box(b"traf", full(b"tfhd", words(1, 1, 1), flags=0x18), run * runs)
    moof = box(b"moof", full(b"mfhd", words(1)), traf)
    return whole[: start - 8] + moov + moof + box(b"mdat", bytes(1000))
