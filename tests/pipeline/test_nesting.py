"""The depth of a record has one limit on every Python, whichever way the record came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.formats.arrays import ArrayDecoder
from arion_lib.pipeline.formats.documents import ObjectDecoder
from arion_lib.pipeline.formats.nesting import LIMIT, all_short, too_deep
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.projection import projection


def nested(depth: int) -> bytes:
    """Return a record that is `depth` deep, the record itself included."""
    return b'{"a": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize("kind", [dict, projection(["b"])], ids=["whole", "projection"])
@pytest.mark.parametrize(
    ("decoder", "body"),
    [
        (NdjsonDecoder, b'{"b": 1}\n%b\n{"b": 1}\n'),
        (ArrayDecoder, b'[{"b": 1},%b,{"b": 1}]'),
        (ObjectDecoder, b"%b"),
    ],
    ids=["lines", "array", "object"],
)
def test_the_depth_of_a_record_has_one_limit_whichever_way_it_comes(decoder: Any, body: bytes, kind: Any) -> None:
    for depth, bad in ((LIMIT, []), (LIMIT + 1, ["nested too deeply"]), (100_000, ["nested too deeply"])):
        reading = decoder(kind)
        found = reading.feed(body % nested(depth)) + reading.close()
        assert [letter.reason for letter in reading.take_dead()] == bad
        assert len(found) + len(bad) == reading.records


@given(st.recursive(st.text('"\\[]{}a'), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)))
def test_brackets_in_strings_do_not_count(value: Any) -> None:
    def depth(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    wrapped = b"[" * (LIMIT - depth(value)) + json.dumps(value).encode() + b"]" * (LIMIT - depth(value))
    assert not too_deep(wrapped)
    assert too_deep(b"[" + wrapped + b"]")


@given(st.lists(st.integers(0, 3 * LIMIT), max_size=8))
def test_a_block_with_a_long_line_is_never_taken_for_one_of_short_lines(lengths: list[int]) -> None:
    block = b"".join(b" " * length + b"\n" for length in lengths)
    if any(length > 2 * LIMIT for length in lengths):
        assert not all_short(block)
    elif all(length < LIMIT for length in lengths):
        assert all_short(block)


def test_a_string_without_an_end_is_looked_at_once() -> None:
    """A megabyte: to begin anew behind each of its quotes would take half an hour."""
    assert not too_deep(b"[" * LIMIT + b'"' + b'[\\"' * 300_000)
