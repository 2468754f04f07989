"""Pages of a long list: bounded in entries and in bytes, each naming the next.

Idea        Entries are read a few at a time, more of them while they are small, and sent as the texts that are stored.
Invariant   A page holds at most its limit and about `PAGE` bytes, whatever the entries; following `next` misses none.
When wrong  Never: what is asked for was judged before.
See         arion_lib/web/pages/pipeline.py · tests/web/test_pipeline_pages.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Response

from arion_lib.pipeline.store import StoredLetter, StoredRow

PAGE = 4 << 20
"""Bytes of entries after which a page ends, though it may hold more of them."""

Limit = Annotated[int, Query(ge=1, le=1_000, description="entries a page")]
Stream = Annotated[str, Query(description="name of the stream", max_length=512)]
After = Annotated[int, Query(ge=0, le=2**62, description="number of the last entry seen")]

T = TypeVar("T", StoredRow, StoredLetter)


def paged(
    read: Callable[[int, int], Iterable[T]], after: int, limit: int, size: Callable[[T], int]
) -> tuple[list[T], bool]:
    """Read at most `limit` entries of about `PAGE` bytes in all; say whether there may be more.

    Reads a few entries at a time, more of them while they are small, so that memory follows the bytes of a page.
    """
    found: list[T] = []
    held, step = 0, 1
    while len(found) < limit and held < PAGE:
        asked = min(step, limit - len(found))
        some = list(read(after, asked))
        found += some
        held += sum(map(size, some))
        if len(some) < asked:
            return found, False
        after = some[-1].seq
        step = max(1, min(4 * step, (PAGE - held) // (held // len(found) + 1)))
    return found, True


def spliced(items: bytes, following: str | None, members: Mapping[str, Any] | None = None) -> Response:
    """Answer with a page whose items are JSON texts already: they are neither read nor written anew."""
    rest = json.dumps({"next": following, **(members or {})}).encode()
    return Response(b'{"items":[%b],%b' % (items, rest[1:]), media_type="application/json")


def next_page(path: str, stream: str | None, after: object, limit: int, more: bool) -> str | None:
    """Return the address of the next page; there is none behind the last."""
    if not more:
        return None
    named = {} if stream is None else {"stream": stream}
    return f"{path}?{urlencode({**named, 'after': after, 'limit': limit})}"
