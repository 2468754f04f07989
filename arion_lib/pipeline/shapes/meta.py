"""What is known of a record beside its own bytes: when it came, under which delivery, with which headers.

Idea        A small JSON object in text, made once a post: it stands beside each row and travels with each message.
Invariant   At most META_LIMIT bytes, whatever a sender's headers hold.
When wrong  Headers that are too long are left out by name, the last ones first: `left_out` says which.
See         tests/pipeline/test_meta.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from arion_lib.pipeline.batch import META_LIMIT

_NAME_LIMIT = 80  # characters of a left out header's name


def describe(received: float, delivery: str | None = None, headers: Mapping[str, str] | None = None) -> str:
    """Return the text for a record that came at `received` (seconds since 1970), with the chosen `headers`.

    >>> describe(1772352000.25, "evt_1", {"x-github-event": "push"})
    '{"received":"2026-03-01T08:00:00.250Z","delivery":"evt_1","headers":{"x-github-event":"push"}}'
    >>> describe(0, headers={"a": "1", "b": "x" * 5_000})
    '{"received":"1970-01-01T00:00:00.000Z","headers":{"a":"1"},"left_out":["b"]}'
    """
    at = datetime.fromtimestamp(received, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known: dict[str, Any] = {"received": at}
    if delivery is not None:
        known["delivery"] = delivery
    kept, gone = dict(headers or {}), list[str]()
    while len(text := _written(known, kept, gone)) > META_LIMIT and (kept or gone):
        if kept:
            gone.append(kept.popitem()[0][:_NAME_LIMIT])
        else:
            gone.pop()
    return text


def _written(known: Mapping[str, Any], headers: Mapping[str, str], gone: list[str]) -> str:
    whole = dict(known)
    if headers:
        whole["headers"] = headers
    if gone:
        whole["left_out"] = gone
    return json.dumps(whole, separators=(",", ":"))  # in ASCII: as many bytes as characters
