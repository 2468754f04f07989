"""Only the wanted fields are read, and a value with no use for its field is refused with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.decoder import encode
from arion_lib.pipeline.groups import Groups
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.projection import attribute, fast_getter, getter, picker, projection
from tests.pipeline.bodies import decode, records

EVENT = {"id": 1, "type": "paid", "customer": {"country": "DE", "name": "J"}, "event-id": "x", "class": 7, "ü": 1}


def read(kind: Any, *events: object) -> list[Any]:
    body = b"\n".join(json.dumps(event).encode() for event in events)
    return decode(NdjsonDecoder(kind), [body])[0]


def test_a_projection_holds_the_named_fields_and_nothing_else() -> None:
    (record,) = read(projection(["id", "customer.country", "event-id", "class", "ü"]), EVENT)
    assert json.loads(encode(record)) == {
        "id": 1,
        "customer": {"country": "DE"},
        "event-id": "x",
        "class": 7,
        "ü": 1,
    }


def placed(record: Any, path: str, value: object) -> Any:
    """Return a record with `value` at `path`, where it is an object all the way."""
    name, _, below = path.partition(".")
    if not isinstance(record, dict):
        return record
    return {**record, name: placed(record.get(name, {}), below, value) if below else value}


paths = st.sampled_from(["a", "b", "ü", "amount", "a.b", "b.a", "}", "a.b.amount"])


@given(st.builds(placed, records, path := st.shared(paths), records), path)
def test_a_field_reads_the_same_from_a_dict_and_from_a_projection(record: Any, path: str) -> None:
    (whole,), (part,) = ([*read(kind, record), None][:1] for kind in (dict, projection([path])))
    if whole is not None:
        assert getter(path)(part) == getter(path)(whole)


@pytest.mark.parametrize("record", [{}, {"a": None}, {"a": 5}, {"a": [1]}, {"a": {}}, {"a": {"b": None}}])
def test_a_missing_field_reads_as_none_where_plain_attributes_would_raise(record: Any) -> None:
    kind = projection(["a.b"])
    (part,) = read(kind, record)
    assert getter("a.b")(part) is None
    assert getter("a.b")(record) is None
    if not isinstance(record.get("a"), dict):
        with pytest.raises(AttributeError):
            fast_getter("a.b", kind)(part)


@pytest.mark.parametrize(
    ("role", "good", "bad"),
    [
        ("keys", ["x", 1, 1.5, True, None], [[], {}]),
        ("numbers", [1, 1.5, None, 2**70], ["x", "1", True, [], {}]),
        ("times", [1, 1.5, None, "2026-01-01T00:00:00Z", "2026-01-01 00:00:00"], ["yesterday", True, []]),
    ],
)
def test_a_value_without_use_for_its_field_is_a_dead_letter_with_its_place(
    role: str, good: list[Any], bad: list[Any]
) -> None:
    lines = [json.dumps({"id": index, "x": value}) for index, value in enumerate(good + bad)]
    body = "\n".join(lines).encode()
    found, dead, _, _ = decode(NdjsonDecoder(projection(["id"], **{role: ["x"]})), [body])
    assert [record.id for record in found] == list(range(len(good)))
    assert [letter.raw.decode() for letter in dead] == lines[len(good) :]
    assert all(body[letter.offset :].startswith(letter.raw) and "$.x" in letter.reason for letter in dead)
    assert len(decode(NdjsonDecoder(dict), [body])[0]) == len(good + bad)  # the control: without a role all pass


@pytest.mark.parametrize("name", ["x", "order-total", "of.an-order"])
def test_a_number_that_no_sum_could_keep_is_a_dead_letter_with_its_place_and_bytes(name: str) -> None:
    good = ["1", "-0.0", "1e999", "1e-999", "0e5000", "0." + "1" * 9_000, "1" * 3_000 + ".5", "null"]
    bad = ['"NaN"', '"-sNaN12"', '"inf"', '"-Infinity"', "1e10000", "1e-10001", "1e999999", "0." + "1" * 10_001]
    *outer, last = name.split(".")
    before = '{"id":7,' + "".join(f'"{one}":{{' for one in outer) + f'"{last}":'
    lines = [before + value + "}" * (len(outer) + 1) for value in good + bad]
    body = "\n".join(lines).encode()
    found, dead, _, _ = decode(NdjsonDecoder(projection(numbers=[name], decimal=True)), [body])
    assert len(found) == len(good)
    assert [letter.raw.decode() for letter in dead] == lines[len(good) :]
    assert all(body[letter.offset :].startswith(letter.raw) and last in letter.reason for letter in dead)
    groups = Groups([], name)
    groups.add(found)
    assert groups.take_dead() == []  # they agree


def test_decimals_keep_their_digits_where_floats_do_not() -> None:
    body = {"x": "0.10"}, {"x": 12345678901234567890.12345678}
    line = b'{"x": 12345678901234567890.12345678}'
    exact = decode(NdjsonDecoder(projection(numbers=["x"], decimal=True)), [line])[0][0]
    rough = decode(NdjsonDecoder(projection(numbers=["x"])), [line])[0][0]
    assert str(exact.x) == "12345678901234567890.12345678"
    assert str(rough.x) != str(exact.x)
    assert str(read(projection(numbers=["x"], decimal=True), body[0])[0].x) == "0.10"


def test_a_key_that_is_also_a_time_keeps_the_name_the_sender_gave_it() -> None:
    (record,) = read(projection(keys=["at"], times=["at"]), {"at": "2026-01-01T00:00:00+00:00"})
    assert record.at == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "__class__", "a.__dict__"])
def test_a_name_that_cannot_be_a_field_is_refused(path: str) -> None:
    for build in (projection, lambda paths: getter(paths[0])):
        with pytest.raises(ValueError, match="must be names joined by dots"):
            build([path])


@pytest.mark.parametrize("fields", [["a", "a.b"], ["a.b", "a"]])
def test_an_object_wanted_whole_and_in_parts_is_refused(fields: list[str]) -> None:
    with pytest.raises(ValueError, match="must not name an object whole"):
        projection(fields)


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=4))
def test_any_key_of_a_json_object_can_be_a_field(names: list[str]) -> None:
    names = [name for name in names if "." not in name and not name.startswith("__") and name.isprintable()]
    names = [name for name in names if not set(name) & set('\\"')]
    (record,) = read(projection(names), {name: index for index, name in enumerate(names)})
    assert [getter(name)(record) for name in names] == list(range(len(names)))


def test_attributes_of_different_names_differ() -> None:
    assert len({attribute(name) for name in ("a-b", "a_b", "a b", "a.b", "2a", "x_2a", "class", "if", "x_if")}) == 9


def test_picking_copies_nested_fields() -> None:
    assert picker(["id", "customer.country", "customer.city"])(EVENT) == {
        "id": 1,
        "customer": {"country": "DE", "city": None},
    }
