"""Ingest: the same rows however the body was cut, each batch knows its place, and a repeat changes nothing."""

from __future__ import annotations

import functools
import itertools
import json
import operator
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.decoder import Decoder
from arion_lib.pipeline.deliveries import Delivery, OtherBody, fingerprint
from arion_lib.pipeline.formats.records import open_decoder
from arion_lib.pipeline.ingest import Cut, Intake, Receipt, batches_of, ingest
from arion_lib.pipeline.shapes.recipe import Recipe, read_recipe
from arion_lib.pipeline.shapes.rows import event_id, row_reader
from arion_lib.pipeline.stores.sqlite import SqliteStore

pytestmark = pytest.mark.usefixtures("no_leaks")
SUMS = Recipe(group_by=("type",), sum_field="amount")


def lines(kind: Any, skip: int) -> Decoder:
    return open_decoder("application/x-ndjson", kind, skip=skip)


def anything(kind: Any, skip: int) -> Decoder:
    return open_decoder(None, kind, skip=skip)


def body(count: int, bad: Iterable[int] = ()) -> bytes:
    bad = set(bad)
    return b"".join(
        b"nonsense\n" if n in bad else json.dumps({"id": n, "type": f"t{n % 3}", "amount": n}).encode() + b"\n"
        for n in range(count)
    )


def cuts(whole: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    return [whole[start:end] for start, end in itertools.pairwise(edges)]


def fed(intake: Intake, chunks: Iterable[bytes]) -> list[Batch]:
    return list(batches_of(chunks, intake))


def test_the_stage_reads_on_only_when_its_batch_was_dealt_with() -> None:
    read = []

    def chunks() -> Iterator[bytes]:
        for number in range(5):
            read.append(number)
            yield b'{"id": 1}\n'

    stage = batches_of(chunks(), Intake("s", Recipe(), lines, cut=Cut(rows=2)))
    assert read == []
    next(stage)
    assert read == [0, 1]
    assert [len(batch.rows) for batch in stage] == [2, 1]


@given(
    count=st.integers(0, 30),
    bad=st.sets(st.integers(0, 29)),
    places=st.lists(st.integers(0, 5_000), max_size=12),
    done=st.integers(0, 31),
    rows=st.integers(1, 5),
)
def test_every_record_is_in_one_batch_that_knows_its_place(
    count: int, bad: set[int], places: list[int], done: int, rows: int
) -> None:
    """However the body is cut, and wherever an earlier delivery of it ended."""
    done = min(done, count)
    known = Delivery("d", done, False) if done else None
    intake = Intake("s", Recipe(), lines, delivery="d", known=known, cut=Cut(rows=rows))
    found = fed(intake, cuts(body(count, bad), places))
    steps = [batch.deliveries[0] for batch in found]
    assert [step.start for step in steps] == [done, *(step.done for step in steps[:-1])]
    assert [step.complete for step in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].done == count
    assert [json.loads(row)["id"] for batch in found for row in batch.rows] == [
        n for n in range(done, count) if n not in bad
    ]
    assert sorted(letter.record for batch in found for letter in batch.dead) == [
        n + 1 for n in range(done, count) if n in bad
    ]
    good = sum(1 for n in range(done, count) if n not in bad)
    assert intake.receipt == Receipt(accepted=good, duplicates=done, dead=count - done - good)


@given(places=st.lists(st.integers(0, 5_000), max_size=12), size=st.integers(1, 200), groups=st.integers(1, 3))
def test_partial_sums_add_up_to_the_whole_wherever_batches_end(places: list[int], size: int, groups: int) -> None:
    intake = Intake("s", SUMS, lines, cut=Cut(bytes=size, groups=groups))
    totals: dict[Any, tuple[int, int]] = {}
    for batch in fed(intake, cuts(body(40), places)):
        assert len(batch.messages) == len(batch.groups)
        for key, part in batch.groups.items():
            count, total = totals.get(key, (0, 0))
            totals[key] = (count + part.count, total + int(part.sum or 0))
    wanted = {(f"t{t}",): (len(range(t, 40, 3)), sum(range(t, 40, 3))) for t in range(3)}
    assert totals == wanted


events = st.one_of(
    st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=4).map(
        lambda event: json.dumps(event).encode()
    ),
    st.binary(max_size=20),
    st.sampled_from(
        [b"", b"[1]", b'[{"a": 1}]', b'{"a":\n1}', b'{"a":\n{"b": 1}}', b" {} ", b'{"a": 1}\n', b"{}{}", b"null"]
    ),
)


@given(whole=events, fields=st.sampled_from([(), ("a",)]))
def test_the_short_way_for_one_event_gives_what_the_long_way_gives(whole: bytes, fields: tuple[str, ...]) -> None:
    recipe = Recipe(fields=fields)
    read = row_reader(recipe)
    assert read is not None
    row = read(whole)
    intake = Intake("s", recipe, anything)
    if row is not None:
        (long,) = fed(intake, [whole])
        assert list(long.rows) == list(long.messages) == [row]
        assert intake.receipt == Receipt(accepted=1)


@pytest.mark.parametrize("recipe", [SUMS, Recipe(dedupe="id"), Recipe(path="events")])
def test_there_is_no_short_way_where_a_body_is_not_that_simple(recipe: Recipe) -> None:
    assert row_reader(recipe) is None


def test_a_message_of_a_group_tells_where_it_comes_from() -> None:
    (batch,) = fed(Intake("s", SUMS, lines, delivery="d"), [body(2)])
    assert [json.loads(message) for message in batch.messages] == [
        {"stream": "s", "group": {"type": f"t{n}"}, "count": 1, "sum": n, "values": 1, "delivery": "d", "start": 0}
        for n in range(2)
    ]


def test_a_receipt_tells_known_events_and_missing_fields(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "x.db") as store:
        assert ingest([body(3)], store, "s", Recipe(dedupe="id"), lines) == Receipt(accepted=3)
        assert ingest([body(5)], store, "s", Recipe(dedupe="id"), lines) == Receipt(accepted=2, duplicates=3)
        recipe = Recipe(group_by=("type", "knid"), sum_field="tip")
        receipt = ingest([body(4), b'{"tip": 1}\n'], store, "t", recipe, lines, cut=Cut(bytes=1))
        assert (receipt.accepted, receipt.missing) == (5, {"type": 1, "knid": 5, "tip": 4})


def test_a_broken_array_keeps_what_came_before_and_does_not_complete_its_delivery() -> None:
    intake = Intake("s", Recipe(), anything, delivery="d")
    found = fed(intake, [b'[{"id": 1}, {"id": 2}, {"i', b'd": 3'])
    assert [json.loads(row)["id"] for batch in found for row in batch.rows] == [1, 2]
    assert intake.broken is not None
    assert not any(batch.deliveries[0].complete for batch in found)


@given(
    broke_at=st.integers(0, 900),
    changed=st.integers(0, 900),
    first=st.lists(st.integers(0, 900), max_size=8),
    second=st.lists(st.integers(0, 900), max_size=8),
    rows=st.integers(1, 5),
    whole=st.sampled_from([body(30), b"[" + b",\n".join(body(30).splitlines()) + b"]"]),
)
def test_the_same_body_goes_on_however_it_is_cut_and_another_one_counts_nothing(
    broke_at: int, changed: int, first: list[int], second: list[int], rows: int, whole: bytes
) -> None:
    before = Intake("s", Recipe(), anything, delivery="d", cut=Cut(rows=rows))
    steps = [before.feed(chunk) for chunk in cuts(whole[:broke_at], first)] + [before.cut()]
    taken = [batch for batch in steps if batch is not None]
    assume(taken and not before.broken)
    known = replace(taken[-1].deliveries[0], start=0)
    after = Intake("s", Recipe(), anything, delivery="d", known=known, cut=Cut(rows=rows))
    taken += fed(after, cuts(whole, second))
    assert [json.loads(row)["id"] for batch in taken for row in batch.rows] == list(range(30))
    assert known.fingerprint is not None
    place = changed % known.fingerprint.length
    other = Intake("s", Recipe(), anything, delivery="d", known=known, cut=Cut(rows=rows))
    stored: list[Batch | None] = []
    with pytest.raises(OtherBody, match="got another than"):
        stored.extend(map(other.feed, cuts(whole[:place] + b"#" + whole[place + 1 :], second)))
    assert not any(stored)


def test_another_body_with_many_more_records_is_told_before_it_is_held() -> None:
    known = Delivery("d", 1, False, fingerprint=fingerprint(b'{"id": 1, "text": "%b"}\n' % (b"x" * 10_000)))
    other = Intake("s", Recipe(), lines, delivery="d", known=known, cut=Cut(rows=10))
    chunks = itertools.repeat(body(1), 40)
    with pytest.raises(OtherBody):
        assert not any(map(other.feed, chunks))
    free = Intake("s", Recipe(), lines, delivery="d", known=replace(known, fingerprint=None), cut=Cut(rows=10))
    assert any(map(free.feed, chunks)), "the control: it would be stored"


def test_a_body_that_was_broken_may_be_mended_and_goes_on() -> None:
    broken = Intake("s", Recipe(), anything, delivery="d")
    found = fed(broken, [b'[{"id": 1}, {"id": 2}, {"i', b'd: 3}, {"id": 4}]'])
    known = found[-1].deliveries[0]
    assert (known.done, known.fingerprint) == (2, None)
    mended = Intake("s", Recipe(), anything, delivery="d", known=replace(known, start=0))
    [last] = fed(mended, [b'[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}]'])
    assert [json.loads(row)["id"] for row in last.rows] == [3, 4]
    assert last.deliveries[0].fingerprint is not None


def test_another_body_under_a_complete_delivery_is_refused(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "x.db") as store:
        ingest([body(10)], store, "s", Recipe(), lines, delivery="d")
        for other in (body(11), body(9), body(10).replace(b"t1", b"t2", 1), b""):
            with pytest.raises(OtherBody):
                ingest([other], store, "s", Recipe(), lines, delivery="d")
        assert ingest([body(10)[:9], body(10)[9:]], store, "s", Recipe(), lines, delivery="d").duplicates == 10
        assert len(store.rows("s")) == 10


def test_memory_is_bounded_by_the_batch_and_not_by_the_body() -> None:
    """No batch has more rows than the cut and one chunk hold, however long the body is."""
    intake = Intake("s", Recipe(), lines, cut=Cut(rows=100))
    chunk = body(10)
    sizes = [len(batch.rows) for batch in fed(intake, itertools.repeat(chunk, 500))]
    assert sum(sizes) == 5_000
    assert max(sizes) <= 100 + 10


def test_taking_a_body_in_again_changes_nothing_and_a_broken_off_one_goes_on(tmp_path: Path) -> None:
    whole = body(1_000, bad=[3, 500])
    chunks = [whole[n : n + 1_000] for n in range(0, len(whole), 1_000)]

    def stopping() -> Iterable[bytes]:
        yield from chunks[:10]
        raise ConnectionError("gone")

    with SqliteStore(tmp_path / "x.db") as store:
        with pytest.raises(ConnectionError):
            ingest(stopping(), store, "s", Recipe(), lines, delivery="d", cut=Cut(rows=50))
        reached = store.done("s", "d")
        assert reached is not None
        assert 0 < reached.done < 1_000
        receipt = ingest(chunks, store, "s", Recipe(), lines, delivery="d", cut=Cut(rows=50))
        assert receipt.duplicates == reached.done
        assert ingest(chunks, store, "s", Recipe(), lines, delivery="d") == Receipt(duplicates=1_000)
        stored = [json.loads(row.body)["id"] for row in store.rows("s", limit=10_000)]
        assert stored == [n for n in range(1_000) if n not in (3, 500)]
        assert store.status().dead_letters == 2
        # The control: without an id a repetition doubles.
        ingest(chunks, store, "s", Recipe(), lines)
        assert store.status().rows == 2 * 998


def test_a_body_that_cannot_be_read_on_says_where(tmp_path: Path) -> None:
    with (
        SqliteStore(tmp_path / "x.db") as store,
        pytest.raises(ValueError, match=r"readable to its end, got .* at byte 11"),
    ):
        ingest([b'[{"a": 1}, {"a"'], store, "s", Recipe(), anything)


@pytest.mark.parametrize("cut", [{"bytes": 0}, {"rows": 0}, {"groups": 0}])
def test_a_batch_that_is_never_due_is_refused(cut: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        Cut(**cut)


@pytest.mark.parametrize(
    "chunks", [b'{"id": 1}', "body.ndjson", ['{"id": 1}'], 5, [1]], ids=["bytes", "a path", "text", "a number", "ints"]
)
def test_chunks_that_are_not_bytes_are_refused_and_store_nothing(chunks: Any, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "arion.db") as store:
        with pytest.raises(TypeError, match=r"chunks must be an iterable of bytes, got .*: pass \[body\] or open"):
            ingest(chunks, store, "s", Recipe(), lines)
        assert store.rows("s") == []


def test_a_delivery_without_a_name_is_refused(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "arion.db") as store:
        with pytest.raises(ValueError, match="delivery must not be empty"):
            ingest([b"{}"], store, "s", Recipe(), lines, delivery="")
        with pytest.raises(TypeError, match="delivery must be text or None, got 5"):
            ingest([b"{}"], store, "s", Recipe(), lines, delivery=5)  # type: ignore[arg-type]


def test_a_sum_without_groups_is_one_group_of_all(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "arion.db") as store:
        ingest([b'{"amount": 2}\n{"amount": 3}\n'], store, "s", Recipe(sum_field="amount"), lines)
        assert [(one.key, one.count, one.sum) for one in store.results("s")] == [((), 2, 5)]


def test_an_id_that_no_store_keeps_is_a_dead_letter_and_7_is_not_the_text_7(tmp_path: Path) -> None:
    ids: list[object] = [7, "7", "a\0b", "-7", -7, '"7', "x" * 513, True, 1.5, "", 10**200, "a"]
    lined = b"".join(json.dumps({"id": one}).encode() + b"\n" for one in ids)
    with SqliteStore(tmp_path / "x.db") as store:
        for receipt in (Receipt(accepted=6, dead=6), Receipt(duplicates=6, dead=6)):
            assert ingest([lined], store, "s", Recipe(dedupe="id"), lines) == receipt
        reasons = {letter.letter.reason for letter in store.dead_letters("s")}
        assert len(reasons) == 6
        assert all("text or an integer of 1 to 512 characters" in reason for reason in reasons)


@given(st.lists(st.integers() | st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_two_ids_are_never_kept_as_one(two: list[object]) -> None:
    try:
        assert event_id(two[0]) != event_id(two[1])
    except ValueError:
        assert any((isinstance(one, str) and ("\0" in one or len(one) > 500)) or isinstance(one, int) for one in two)


PRECISE = (
    b'{"i": "e1", "n": 0.1234567890123456789, "m": 12345678901234567890.12, "e": 1e-400, "h": 1e400, "s": "\\u0000"}'
)


@pytest.mark.parametrize(
    "whole", [PRECISE, PRECISE + b"\n{}\n", b"[" + PRECISE + b" , {} ]", b"  " + PRECISE + b"\r\n"]
)
@pytest.mark.parametrize("recipe", [Recipe(), Recipe(dedupe="i")])
def test_a_row_is_the_records_own_bytes(tmp_path: Path, whole: bytes, recipe: Recipe) -> None:
    assert msgspec.json.encode(msgspec.json.decode(b'{"n": 0.1234567890123456789}')) == b'{"n":0.12345678901234568}'
    with SqliteStore(tmp_path / "x.db") as store:
        ingest([whole], store, "s", recipe, anything)
        rows = [row.body for row in store.rows("s")]
        assert rows[0] == PRECISE
        assert rows[1:] in ([], [b"{}"])
        assert len(store.outbox()[0].messages) == len(rows)


def test_chosen_fields_keep_their_digits_and_what_is_not_an_object_has_no_parts() -> None:
    recipe = Recipe(fields=("n", "customer.country"))
    whole = PRECISE[:-1] + b', "customer": ["ann@example.com"]}\n{"customer": {"country": "DE", "mail": "x"}}\n{}\n'
    intake = Intake("s", recipe, lines)
    (batch,) = fed(intake, [whole])
    assert list(batch.rows) == [
        b'{"n":0.1234567890123456789,"customer":{"country":null}}',
        b'{"n":null,"customer":{"country":"DE"}}',
        b'{"n":null,"customer":{"country":null}}',
    ]
    assert intake.receipt.missing == {"n": 2, "customer.country": 2}


def test_a_chosen_field_that_is_no_utf8_is_a_dead_letter_and_its_neighbours_are_kept() -> None:
    (batch,) = fed(Intake("s", Recipe(fields=("a",)), lines), [b'{"a": "1"}\n{"a": "\xff"}\n{"a": "3"}\n'])
    assert list(batch.rows) == [b'{"a":"1"}', b'{"a":"3"}']
    assert [letter.record for letter in batch.dead] == [2]


def test_money_is_summed_exactly_as_a_number_and_as_text(tmp_path: Path) -> None:
    assert functools.reduce(operator.add, [0.1] * 10) != 1  # the control; `sum` is exact here since Python 3.12
    recipe = Recipe(sum_field="amount")
    with SqliteStore(tmp_path / "x.db") as store:
        for _ in range(10):
            ingest([b'{"amount": 0.10}\n'], store, "s", recipe, lines)
        ingest([b'{"amount": "12.50"}\n'], store, "s", recipe, lines)
        receipt = ingest([b'{"amount": "NaN"}\n{"amount": 1e99999}\n{"amount": 3}\n'], store, "s", recipe, lines)
        assert (receipt.accepted, receipt.dead) == (1, 2)
        assert store.results("s")[0].sum == Decimal("16.50")


@pytest.mark.parametrize("size", [1, 5, 10_000])
@pytest.mark.parametrize("recipe", [Recipe(group_by=("t",)), Recipe(dedupe="t")], ids=["groups", "dedupe"])
def test_dead_letters_come_in_the_bodys_order_with_its_numbers_however_it_is_cut(recipe: Recipe, size: int) -> None:
    refused = b'{"t":"%s"}\n' % (b"x" * 4_000)  # what the decoder lets pass
    body = b'{"t":1}\nbad\n' + refused + b'{"t":2}\nworse\n' + refused
    batches = fed(Intake("s", recipe, lines), [body[at : at + size] for at in range(0, len(body), size)])
    assert [letter.record for batch in batches for letter in batch.dead] == [2, 3, 5, 6]


def test_dead_letters_make_a_batch_due_as_rows_do() -> None:
    intake = Intake("s", Recipe(), lines, cut=Cut(rows=10))
    found = fed(intake, [b"1\n" * 7] * 6)
    assert [len(batch.dead) for batch in found] == [14, 14, 14]


def test_hours_least_and_greatest_are_kept_by_group_and_told_in_a_message(tmp_path: Path) -> None:
    recipe = read_recipe({"group_by": "t", "sum_field": "n", "window": "at:3600", "figures": "min,max"})
    events = [("a", "10:59:59", "0.10"), ("a", "10:00:00", "0.30"), ("a", "11:00:00", "5"), ("b", "10:30:00", "1")]
    lined = b"".join(b'{"t":"%s","at":"2026-03-01T%sZ","n":%s}\n' % tuple(map(str.encode, one)) for one in events)
    with SqliteStore(tmp_path / "x.db") as store:
        for receipt in (Receipt(accepted=4, groups=3), Receipt(accepted=4, groups=3)):
            assert ingest([lined], store, "s", recipe, lines) == receipt
        found = {one.key: (one.count, one.sum, one.min, one.max) for one in store.results("s")}
        ten, eleven = "2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"
        assert found == {
            ("a", ten): (4, Decimal("0.80"), Decimal("0.10"), Decimal("0.30")),
            ("a", eleven): (2, 10, 5, 5),
            ("b", ten): (2, 2, 1, 1),
        }
        message = json.loads(store.outbox()[0].messages[0])
        assert message["group"] == {"t": "a", "at": ten}
        assert (message["min"], message["max"]) == (0.1, 0.3)
        bad = ingest([b'{"t":"a","at":"yesterday","n":1}\n{"t":"a","n":1}\n'], store, "s", recipe, lines)
        assert (bad.accepted, bad.dead, bad.missing) == (1, 1, {"at": 1})
