"""Many messages in one block of bytes that knows whether it is whole.

Idea        The lengths first, then the messages end to end: any byte may stand in a message, newlines too.
Invariant   decode(encode(messages)) == messages; a block cut short or changed by a bit is never taken for a whole one.
When wrong  A block that is not whole raises `TornBlock` with what does not fit.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_frames.py
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate, pairwise

_MAGIC = b"ARN1"
_HEAD = struct.Struct("<4sII")  # magic, CRC-32 of all that follows the head, number of messages


class TornBlock(ValueError):
    """The bytes are not a whole block."""


def encode(messages: Sequence[bytes]) -> bytes:
    """Return one block that holds `messages` (each under 4 GiB); cost: one copy of them and a CRC-32.

    >>> len(encode([b"a", b"bc"]))
    23
    """
    body = b"".join((struct.pack(f"<{len(messages)}I", *map(len, messages)), *messages))
    return _HEAD.pack(_MAGIC, zlib.crc32(body), len(messages)) + body


def decode(block: bytes) -> list[bytes]:
    """Return the messages of a block, in order.

    Raises
    ------
    TornBlock
        The block was cut short, is too long, or a bit of it changed.

    >>> decode(encode([b"a", b"", b"two\\nlines"]))
    [b'a', b'', b'two\\nlines']
    """
    if len(block) < _HEAD.size:
        raise TornBlock(f"a block has a head of {_HEAD.size} bytes, got {len(block)} bytes")
    magic, checksum, count = _HEAD.unpack_from(block)
    if magic != _MAGIC:
        raise TornBlock(f"a block must start with {_MAGIC!r}, got {magic!r}")
    start = _HEAD.size + 4 * count
    if zlib.crc32(memoryview(block)[_HEAD.size :]) != checksum or start > len(block):
        raise TornBlock(f"the checksum of a block of {len(block)} bytes does not fit: it was cut short or changed")
    ends = list(accumulate(struct.unpack_from(f"<{count}I", block, _HEAD.size), initial=start))
    if ends[-1] != len(block):
        raise TornBlock(f"the lengths in a block end at byte {ends[-1]}, the block at {len(block)}")
    return [block[a:b] for a, b in pairwise(ends)]


def whole(block: bytes) -> list[bytes]:
    """Return the messages of a block, none of one that is not whole.

    >>> whole(encode([b"a"])), whole(b"ARN1, and then nothing")
    ([b'a'], [])
    """
    try:
        return decode(block)
    except TornBlock:
        return []
