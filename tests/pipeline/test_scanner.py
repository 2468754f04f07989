"""The end of an element is found whatever stands in it, in linear time however small the pieces are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.formats.scanner import ElementScanner
from tests.pipeline.bodies import records


@given(records, st.booleans(), st.sampled_from([b",", b"]", b" , ", b"\n]"]))
def test_the_end_is_where_the_parser_of_the_standard_library_ends(record: Any, ascii_only: bool, behind: bytes) -> None:
    text = json.dumps(record, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    blank = len(behind) - len(behind.lstrip())
    assert ElementScanner().find(text + behind) == len(text) + blank


@given(records)
def test_a_byte_at_a_time_finds_the_same_end(record: Any) -> None:
    whole = json.dumps(record).encode() + b",{"
    scanner, text, found = ElementScanner(), bytearray(), -1
    for byte in whole:
        text.append(byte)
        found = scanner.find(text)
        if found >= 0:
            break
    assert found == len(whole) - 2


def test_searching_for_the_next_comma_would_end_inside_the_element() -> None:
    text = b'{"a": "x,y", "b": [1, 2]},'
    assert text.find(b",") == 8  # the control
    assert ElementScanner().find(text) == len(text) - 1


@pytest.mark.parametrize(
    "element", [b'"' + b"x" * 20_000 + b'"', b"[" * 10_000 + b"]" * 10_000, b'"' + b"\\\\" * 10_000]
)
def test_scanning_goes_on_where_it_stopped(element: bytes) -> None:
    scanner, text, positions = ElementScanner(), bytearray(), []
    for start in range(0, len(element), 1_000):
        text += element[start : start + 1_000]
        scanner.find(text)
        positions.append(scanner.position)
    read = [min(start + 1_000, len(element)) for start in range(0, len(element), 1_000)]
    assert positions == pytest.approx(read, abs=1)  # behind a backslash it is one further
