"""What a program hands to `ingest` by mistake, found before anything is stored.

Idea        A text, a path, or one `bytes` instead of a list of them would be read a character at a time, or not at
            all.
Invariant   Good chunks come out as they went in.
When wrong  `TypeError` or `ValueError` with what to pass instead.
See         tests/pipeline/test_ingest.py
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_BYTES = (bytes, bytearray, memoryview)


def check_delivery(delivery: object) -> None:
    """Refuse what is no delivery's name. Raises `TypeError` or `ValueError`."""
    if delivery is not None and not isinstance(delivery, str):
        raise TypeError(f"delivery must be text or None, got {delivery!r:.80}")
    if delivery == "":
        raise ValueError("delivery must not be empty, got '': name the delivery, or leave it out (None)")


def checked_chunks(chunks: object) -> Iterator[bytes]:
    """Give the chunks as they come; raise `TypeError`, the first time at once, for what is not bytes."""
    if isinstance(chunks, (*_BYTES, str)) or not isinstance(chunks, Iterable):
        raise _no_chunks(chunks)
    return map(_checked_chunk, chunks)


def _checked_chunk(chunk: object) -> bytes:
    if not isinstance(chunk, _BYTES):
        raise _no_chunks(chunk)
    return chunk  # type: ignore[return-value]


def _no_chunks(got: object) -> TypeError:
    return TypeError(f'chunks must be an iterable of bytes, got {got!r:.60}: pass [body] or open(path, "rb")')
