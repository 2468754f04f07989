"""What every store promises, run over SQLite and PostgreSQL."""

from __future__ import annotations

import functools
import math
import os
import random
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.batch import Aggregate, Batch, DeadLetter, Key
from arion_lib.pipeline.deliveries import Delivery, Fingerprint, StaleDelivery
from arion_lib.pipeline.groups import Groups, merge_all
from arion_lib.pipeline.numbers.exact import KEY_LIMIT, encode_key, merge
from arion_lib.pipeline.numbers.means import mean
from arion_lib.pipeline.store import Pruned, Result, Store, StoreBroken, StoreBusy, StoreDown, StoreError, open_store
from arion_lib.pipeline.stores.plan import LETTER_LIMIT
from arion_lib.pipeline.stores.sqlite import SqliteStore
from tests.pipeline.children import running
from tests.pipeline.databases import Database, database
from tests.selection import examples

__all__ = ["database"]  # the fixture
PATIENCE = 120.0
ROUNDS = int(os.environ.get("ARION_KILL_ROUNDS", "4"))


def rows_of(first: int, count: int) -> list[bytes]:
    return [b'{"event":%d}' % number for number in range(first, first + count)]


def everything(store: Store, stream: str) -> dict[str, Any]:
    """Return all that a store holds of a stream, in one comparable value."""
    return {
        "rows": [row.body for row in store.rows(stream, limit=100_000)],
        "results": {result.key: result for result in store.results(stream, limit=10_000)},
        "dead": [stored.letter for stored in store.dead_letters(stream, limit=100_000)],
        "outbox": [
            bytes(m) for entry in store.outbox(100_000, 1 << 40) if entry.stream == stream for m in entry.messages
        ],
    }


FULL = Batch(
    "orders",
    rows=rows_of(0, 3),
    groups={("eu", 1): Aggregate(2, sum=7, min=3, max=4)},
    messages=[b"m0", b"two\nlines", b""],
    dead=[DeadLetter(4, 99, "not JSON", b"{\xff")],
    deliveries=[Delivery("post-1", 4, False)],
)


def test_a_batch_is_all_there_when_commit_returns_and_after_the_store_was_opened_again(
    no_leaks: None, database: Database
) -> None:
    with database.open() as store:
        store.commit(FULL)
    with database.open() as store:
        assert everything(store, "orders") == {
            "rows": list(FULL.rows),
            "results": {("eu", 1): Result(("eu", 1), 2, 7, 3, 4)},
            "dead": list(FULL.dead),
            "outbox": list(FULL.messages),
        }
        assert store.done("orders", "post-1") == Delivery("post-1", 4, False)
        assert everything(store, "other") == {"rows": [], "results": {}, "dead": [], "outbox": []}
        assert store.done("other", "post-1") is None


def test_streams_do_not_mix(database: Database) -> None:
    with database.open() as store:
        store.commit_all([replace(FULL, stream="a"), replace(FULL, stream="b"), Batch("a", rows=rows_of(3, 2))])
        assert [row.seq for row in store.rows("a")] == [1, 2, 3, 4, 5]
        assert [row.seq for row in store.rows("b")] == [1, 2, 3]
        assert [entry.stream for entry in store.outbox()] == ["a", "b"]


def test_rows_results_and_dead_letters_come_in_pages_that_join_to_the_whole(database: Database) -> None:
    with database.open() as store:
        dead = [DeadLetter(n, n, "bad", b"") for n in range(25)]
        store.commit(Batch("s", rows=rows_of(0, 25), groups={(n,): Aggregate(n) for n in range(25)}, dead=dead))
        rows, letters, results = [], [], []
        while page := store.rows("s", after=rows[-1].seq if rows else 0, limit=10):
            rows += page
        while found := store.dead_letters("s", after=letters[-1].seq if letters else 0, limit=10):
            letters += found
        while groups := store.results("s", after=results[-1].key if results else None, limit=10):
            results += groups
        assert [row.body for row in rows] == rows_of(0, 25)
        assert [stored.letter for stored in letters] == dead
        assert {result.key: result.count for result in results} == {(n,): n for n in range(25)}
        assert len(results) == 25


# -- exact


def test_keys_that_look_alike_stay_apart(database: Database) -> None:
    keys: list[Key] = [
        (1,),
        ("1",),
        (True,),
        (1.0,),
        (None,),
        ("null",),
        ("é",),
        ("\0",),
        ("\ud800",),
        (),
        ("1", "2"),
        ("1,2",),
    ]
    with database.open() as store:
        store.commit_all([Batch("s", groups={key: Aggregate(index + 1)}) for index, key in enumerate(keys)])
        assert {repr(result.key): result.count for result in store.results("s")} == {
            repr(key): index + 1 for index, key in enumerate(keys)
        }


NUMBERS: list[list[Any]] = [
    [2**63 - 1, 1],
    [-(2**63), -1],
    [10**400, 1, -(10**400)],
    [2**53, 1, 1],
    [Decimal("0.1")] * 10,
    [Decimal("1" + "0" * 50), Decimal("1e-50"), 1],
    [0.1, 0.2],
    [1, 0.5],
    [1e308, 1e308],
    [math.inf, 5],
    [math.inf, -math.inf],
    [Decimal("0.10"), 3],
]


def test_sums_are_what_python_says_to_the_last_digit(database: Database) -> None:
    with database.open() as store:
        for index, numbers in enumerate(NUMBERS):
            parts = [Aggregate(1, sum=number, min=number, max=number) for number in numbers]
            for part in parts:
                store.commit(Batch("s", groups={(index,): part}))
            expected = functools.reduce(merge, parts)
            [result] = [one for one in store.results("s") if one.key == (index,)]
            assert repr((result.count, result.sum, result.min, result.max)) == repr(
                (expected.count, expected.sum, expected.min, expected.max)
            )


def summed(records: list[dict[str, Any]]) -> dict[Key, Aggregate]:
    groups = Groups(["t"], "n")
    groups.add(records)
    return groups.take()


VALUES: dict[str, list[Any]] = {
    "ints past 64 bits": [2**63, None, 2**64 + 1, 3],
    "decimals": [Decimal("0.1"), Decimal("0.20"), None, None, Decimal("1e-30")],
    "floats": [0.1, None, 0.2, 0.3],
    "nothing": [None, None],
    "all": [1, 2, 4],
}


def test_the_mean_is_that_of_the_stages_whatever_lacks_a_value_and_however_often_it_is_sent(database: Database) -> None:
    records = [{"t": name, "n": value} for name, values in VALUES.items() for value in values] + [{"t": "all"}]
    random.Random(3).shuffle(records)
    batches = [
        Batch("s", groups=summed(part), deliveries=[Delivery(f"d{number}", len(part), True)])
        for number, part in enumerate(records[start : start + 3] for start in range(0, len(records), 3))
    ]
    with database.open() as store:
        store.commit(batches[0])
        store.commit_all(batches[1:3])
        store.commit_all(batches)  # sent again with the rest: the first three must not count twice
        found = {result.key: result for result in store.results("s")}
    parts = functools.reduce(joined, (batch.groups for batch in batches))
    assert {key: (repr(one.mean), one.count, one.values) for key, one in found.items()} == {
        key: (repr(part.mean), part.count, part.values) for key, part in parts.items()
    }
    assert found["ints past 64 bits",].mean == (2**63 + 2**64 + 4) / 3
    assert found["decimals",].mean == Decimal("0.1000000000000000000000000000")
    assert (found["nothing",].mean, found["nothing",].sum, found["all",].mean) == (None, 0, 7 / 3)
    # The control: what a store without the second count could offer.
    assert mean(found["all",].sum, found["all",].count) == 7 / 4


def joined(a: Mapping[Key, Aggregate], b: Mapping[Key, Aggregate]) -> Mapping[Key, Aggregate]:
    return merge_all([dict(a), dict(b)])


def test_no_mean_is_made_up_where_nobody_counted_the_values(database: Database) -> None:
    with database.open() as store:
        store.commit(Batch("s", groups={("a",): Aggregate(4, sum=10), ("b",): Aggregate(4), ("c",): Aggregate(1)}))
        more = Aggregate(2, sum=3, values=1)
        store.commit(Batch("s", groups={("a",): more, ("b",): more, ("d",): more}))
        assert [(one.key[0], one.count, one.sum, one.values, one.mean) for one in store.results("s")] == [
            ("a", 6, 13, None, None),
            ("b", 6, 3, 1, 3.0),
            ("c", 1, None, None, None),
            ("d", 2, 3, 1, 3.0),
        ]


def test_the_streams_are_listed_those_with_the_most_first(database: Database) -> None:
    with database.open() as store:
        assert store.streams() == []
        store.commit(Batch("small", rows_of(0, 1)))
        store.commit(Batch("grouped", groups={("a",): Aggregate(7)}))
        store.commit(Batch("bad", dead=[DeadLetter(1, 0, "bad", b"")] * 2))
        store.commit(Batch("large", rows_of(0, 3)))
        assert store.streams() == ["large", "bad", "small", "grouped"]
        assert store.streams(2) == ["large", "bad"]
        with pytest.raises(ValueError, match="limit must be >= 1, got 0"):
            store.streams(0)


def make_old(database: Database, version: int = 1) -> None:
    """Turn a database into one of an older layout, as far as it differs."""
    dropped = ["dead DROP COLUMN piece", "rows DROP COLUMN meta", "outbox DROP COLUMN metas"]
    if version == 4:
        dropped = dropped[:1]
    elif version == 1:
        dropped += ["groups DROP COLUMN valued", "deliveries DROP COLUMN length", "deliveries DROP COLUMN crc"]
    with database.open() as store, store._connections.transaction() as db:
        for what in dropped:
            db.execute(f"ALTER TABLE {what}")
        sqlite = isinstance(store, SqliteStore)
        gone = ("identity", "marks")
        if not sqlite and version < 4:
            gone = ("pipeline_identity", "marks", "pending")
            db.execute("ALTER TABLE outbox ADD COLUMN published boolean NOT NULL DEFAULT true")
            db.execute("UPDATE outbox SET published = seq NOT IN (SELECT seq FROM pending)")
        for table in gone if version < 4 else ():
            db.execute(f"DROP TABLE {table}")
        db.execute(f"PRAGMA user_version = {version}" if sqlite else f"UPDATE pipeline_version SET version = {version}")


def test_a_database_of_the_older_layout_is_brought_up_to_date_with_all_it_holds(database: Database) -> None:
    old = Batch("s", rows_of(0, 2), groups={("a",): Aggregate(2, sum=7, min=3)}, deliveries=[Delivery("d", 2, False)])
    letter = DeadLetter(3, 9, "bad", b'{"n": 3}')
    with database.open() as store:
        store.commit(replace(old, dead=[letter]))
        for number in range(3):
            store.commit(Batch("s", messages=[b"%d" % number]))
        store.mark_published([store.outbox()[1].seq])
    make_old(database)
    ready = threading.Barrier(2)

    def go_on(name: str) -> None:
        ready.wait(PATIENCE)
        with database.open() as store:
            store.commit(Batch("s", groups={(name,): Aggregate(3, sum=8, values=2)}))

    with ThreadPoolExecutor(2) as pool:  # two servers start at once
        list(pool.map(go_on, ("a", "b")))
    with database.open() as store:
        assert [row.body for row in store.rows("s")] == rows_of(0, 2)
        assert store.results("s") == [Result(("a",), 5, 15, 3), Result(("b",), 3, 8, values=2)]
        assert [one.mean for one in store.results("s")] == [None, 4.0], "an old sum's values are not known"
        assert store.done("s", "d") == Delivery("d", 2, False)
        assert [entry.messages for entry in store.outbox()] == [[b"0"], [b"2"]], "what waited still does, and no more"
        store.commit(Batch("s", dead=[replace(letter, piece=True)]))
        assert [one.letter for one in store.dead_letters("s")] == [letter, replace(letter, piece=True)]


def test_letters_of_before_their_mark_are_records_still(database: Database) -> None:
    letter = DeadLetter(3, 9, "bad", b'{"n": 3}')
    with database.open() as store:
        store.commit(Batch("s", rows_of(0, 2), dead=[letter], messages=[b"m"]))
    make_old(database, 4)
    with database.open() as store:
        assert [one.letter for one in store.dead_letters("s")] == [letter]
        assert (len(store.rows("s")), len(store.outbox())) == (2, 1)


@pytest.mark.parametrize("version", [0, 6])
def test_a_database_of_an_unknown_layout_is_refused_with_what_to_do(database: Database, version: int) -> None:
    make_old(database, version)
    with pytest.raises(StoreBroken, match=rf"version 1 to 5, got version {version}: open it with the library that"):
        database.open()


numbers = st.integers() | st.floats(allow_nan=False) | st.decimals(allow_nan=False, allow_infinity=False, places=4)
keys = st.lists(st.none() | st.booleans() | st.integers() | st.text(max_size=3), max_size=2).map(tuple)
aggregates = st.builds(
    lambda count, total, low, high: Aggregate(count, total, low, high, None if total is None else count // 2),
    st.integers(0, 1_000),
    st.none() | numbers,
    st.none() | numbers,
    st.none() | numbers,
)
batches = st.builds(
    Batch,
    st.sampled_from(["a", "b"]),
    rows=st.lists(st.integers().map(lambda n: b'{"n":%d}' % n), max_size=4),
    groups=st.dictionaries(keys, aggregates, max_size=4),
    messages=st.lists(st.binary(max_size=5), max_size=4),
    dead=st.lists(
        st.builds(DeadLetter, st.integers(0, 9), st.integers(0, 9), st.text("ab"), st.binary(max_size=9), st.booleans())
    ),
)


def total(number: Any) -> Batch:
    return Batch("a", groups={(): Aggregate(1, sum=number)})


class Oracle:
    """The same in dicts and lists."""

    def __init__(self) -> None:
        self.streams: dict[str, dict[str, Any]] = {}

    def commit(self, group: list[Batch]) -> None:
        """Take the batches of one transaction: its parts of a key come together first (floats tell, ints do not)."""
        parts: dict[tuple[str, str], Aggregate] = {}
        for batch in group:
            known = self.streams.setdefault(batch.stream, {"rows": [], "results": {}, "dead": [], "outbox": []})
            known["rows"] += batch.rows
            known["dead"] += batch.dead
            known["outbox"] += batch.messages
            for key, part in batch.groups.items():
                put(parts, (batch.stream, repr(key)), part)
        for (stream, name), part in parts.items():
            put(self.streams[stream]["results"], name, part)


def put(known: dict[Any, Aggregate], name: Any, part: Aggregate) -> None:
    known[name] = merge(known[name], part) if name in known else part


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(st.lists(batches, max_size=3), max_size=4))
@example(groups=[[total(27371)], [total(9007199254713622.0), total(Decimal("0.0000"))]])
def test_any_batches_in_any_groups_equal_the_same_in_dicts(database: Database, groups: list[list[Batch]]) -> None:
    oracle = Oracle()
    suffix = f"/{uuid.uuid4().hex}"  # a stream of its own for each example
    with database.open() as store:
        for group in groups:
            store.commit_all([replace(batch, stream=batch.stream + suffix) for batch in group])
            oracle.commit(group)
        for stream, expected in oracle.streams.items():
            stored = everything(store, stream + suffix)
            found = {
                repr(k): Aggregate(r.count, r.sum, r.min, r.max, r.values) for k, r in stored.pop("results").items()
            }
            wanted = expected.pop("results")
            assert stored == expected
            assert {name: [*map(_figure, _figures(one))] for name, one in found.items()} == {
                name: [*map(_figure, _figures(one))] for name, one in wanted.items()
            }


def _figures(one: Aggregate) -> tuple[Any, ...]:
    return one.count, one.sum, one.min, one.max, one.values


def _figure(number: Any) -> tuple[str, Any]:
    # PostgreSQL's numeric keeps neither the sign of a zero nor the difference between 1E+2 and 100.
    return type(number).__name__, "nan" if number != number else number


# -- what is refused


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"stream": ""}, "stream must be 1 to 80 bytes"),
    ({"rows": [b"\xff"]}, "rows must be UTF-8"),
    ({"rows": [b'"\0"']}, "rows must be JSON text, got a row with a NUL byte"),
    ({"rows": ["text"]}, "rows must be bytes"),
    ({"messages": ["text"]}, "messages must be bytes"),
    ({"groups": {("a",): Aggregate(1, sum="7")}}, "a figure of an aggregate must be int, float, Decimal or None"),  # type: ignore[arg-type]
    ({"groups": {("a",): Aggregate(1, sum=Decimal("nan"))}}, "must be finite"),
    ({"groups": {("a",): Aggregate(1, sum=10**10_001)}}, "at most 10000 digits"),
    ({"groups": {("a",): Aggregate(-1)}}, "a count must be >= 0"),
    ({"groups": {("a",): Aggregate(2, sum=1, values=3)}}, "values must stand beside a sum and be 0 to count"),
    ({"groups": {("a",): Aggregate(2, values=2)}}, "values must stand beside a sum"),
    ({"groups": {(b"a",): Aggregate(1)}}, "a key must be a tuple of str"),
    ({"groups": {"a": Aggregate(1)}}, "a key must be a tuple of str"),
    ({"deliveries": [Delivery("", 1, True)]}, "a delivery id must be 1 to 512 characters"),
    ({"deliveries": [Delivery("\ud800", 1, True)]}, "a delivery id must be"),
    ({"deliveries": [Delivery("d", 1, True, start=2)]}, "a delivery must have 0 <= start <= done"),
    ({"deliveries": [Delivery("d", 1, True, 0, Fingerprint(-1, 0))]}, "a fingerprint must be two numbers >= 0"),
    ({"deliveries": [Delivery("d", 0, False)]}, "a delivery with content must advance or be complete"),
    ({"ids": ["a", "b", ""]}, "an event id must be 1 to 512 characters"),
    ({"dead": [DeadLetter(1, 1, "x", bytes(LETTER_LIMIT + 1))]}, "a dead letter must keep at most 268435456 bytes"),
    ({"dead": [DeadLetter(-1, 1, "x", b"")]}, "a dead letter's record and offset must be >= 0"),
    ({"dead": [DeadLetter(1, 1, "\ud800", b"")]}, "a dead letter's reason must be text"),
]


def test_a_batch_that_could_not_be_kept_is_refused_and_nothing_of_it_is_there(
    no_leaks: None, database: Database
) -> None:
    good = replace(FULL, groups={}, deliveries=[])
    with database.open() as store:
        for change, message in WRONG:
            with pytest.raises(ValueError, match=message):
                store.commit(replace(good, **change))
        assert everything(store, "orders") == {"rows": [], "results": {}, "dead": [], "outbox": []}
        store.commit(good)


def test_one_bad_batch_does_not_take_its_group_with_it(database: Database) -> None:
    group = [
        Batch("s", rows=rows_of(0, 1), deliveries=[Delivery("a", 1, True)]),
        Batch("s", rows=[b"\xff"]),
        Batch("s", rows=rows_of(1, 1), deliveries=[Delivery("a", 1, True)]),  # the first one was quicker
        Batch("s", rows=rows_of(2, 1), deliveries=[Delivery("b", 1, True), Delivery("c", 9, True, start=5)]),
        Batch("s", rows=rows_of(3, 1), deliveries=[Delivery("b", 1, True)]),
    ]
    with database.open() as store:
        outcomes = store.commit_all(group)
        assert {index: type(why) for index, why in outcomes.items()} == {
            1: ValueError,
            2: StaleDelivery,
            3: StaleDelivery,
        }
        assert str(outcomes[1]).startswith("rows must be UTF-8")
        assert [row.body for row in store.rows("s")] == rows_of(0, 1) + rows_of(3, 1)
        assert store.done("s", "c") is None


# -- nothing counts twice


def deliver(store: Store, body: list[bytes], batch: int, stop: threading.Event | None = None) -> None:
    """Send a body under one id, in batches, as a sender that resumes does: from where the store says it is."""
    known = store.done("s", "post")
    start = known.done if known else 0
    if known and known.complete:
        return
    for first in range(start, len(body), batch):
        part = body[first : first + batch]
        done = first + len(part)
        store.commit(
            Batch(
                "s",
                rows=part,
                groups={("all",): Aggregate(len(part))},
                deliveries=[Delivery("post", done, done == len(body), start=first)],
            )
        )


def counted_once(store: Store, body: list[bytes]) -> None:
    assert [row.body for row in store.rows("s", limit=100_000)] == body
    assert [result.count for result in store.results("s")] == [len(body)]
    assert store.done("s", "post") == Delivery("post", len(body), True)


def test_a_repeated_body_goes_on_inside_and_changes_nothing_twice(database: Database) -> None:
    body = rows_of(0, 100)
    with database.open() as store:
        store.commit(
            Batch("s", rows=body[:30], groups={("all",): Aggregate(30)}, deliveries=[Delivery("post", 30, False)])
        )
        deliver(store, body, 17)
        deliver(store, body, 17)
        counted_once(store, body)


def test_a_delivery_is_remembered_with_the_fingerprint_of_what_was_read(database: Database) -> None:
    long, short = Fingerprint(1 << 40, (1 << 32) - 1), Fingerprint(9, 7)
    with database.open() as store:
        store.commit(Batch("s", rows=rows_of(0, 1), deliveries=[Delivery("a", 1, False, fingerprint=short)]))
        step = Delivery("a", 2, True, start=1, fingerprint=long)
        store.commit(Batch("s", rows=rows_of(1, 1), deliveries=[step, Delivery("b", 1, True)]))
        assert store.done("s", "a") == replace(step, start=0)
        assert store.done("s", "b") == Delivery("b", 1, True)
        with pytest.raises(StaleDelivery) as error:
            store.commit(Batch("s", rows=rows_of(2, 1), deliveries=[Delivery("a", 1, True)]))
        assert error.value.known == replace(step, start=0), "who is refused can compare"


@pytest.mark.parametrize("step", [Delivery("d", 12, True), Delivery("d", 12, True, 9), Delivery("d", 14, True, 12)])
def test_a_delivery_that_overlaps_or_leaves_a_gap_is_stale(database: Database, step: Delivery) -> None:
    with database.open() as store:
        store.commit(Batch("s", rows=rows_of(0, 10), deliveries=[Delivery("d", 10, False)]))
        with pytest.raises(StaleDelivery, match="where 10 records are stored") as error:
            store.commit(Batch("s", rows=rows_of(10, 2), deliveries=[step]))
        assert error.value.known == Delivery("d", 10, False)
        assert len(store.rows("s")) == 10


def test_a_complete_delivery_cannot_go_on(database: Database) -> None:
    with database.open() as store:
        store.commit(Batch("s", rows=rows_of(0, 10), deliveries=[Delivery("d", 10, True)]))
        with pytest.raises(StaleDelivery):
            store.commit(Batch("s", rows=rows_of(10, 2), deliveries=[Delivery("d", 12, True, start=10)]))


def concurrent_senders(database: Database, send: Callable[[Store, list[bytes], int], None]) -> list[Exception]:
    """Two servers take the same body at the same time, with batches of different sizes."""
    body = rows_of(0, 200)
    errors: list[Exception] = []
    ready = threading.Barrier(2)

    def server(batch: int) -> None:
        try:
            with database.open() as store:
                ready.wait(PATIENCE)
                try:
                    send(store, body, batch)
                except StaleDelivery as error:
                    errors.append(error)
        except BaseException:
            ready.abort()  # the other one must not wait for what failed here
            raise

    with ThreadPoolExecutor(2) as pool:
        for job in as_completed([pool.submit(server, batch) for batch in (7, 11)], PATIENCE):
            job.result()
    with database.open() as store:
        deliver(store, body, 50)  # whoever repeats it at last finishes it
        counted_once(store, body)
    return errors


def test_two_servers_that_take_the_same_body_at_once_count_it_once(no_leaks: None, database: Database) -> None:
    concurrent_senders(database, deliver)


def test_without_the_check_two_servers_count_it_twice(database: Database) -> None:
    def blindly(store: Store, body: list[bytes], batch: int) -> None:
        for first in range(0, len(body), batch):
            part = body[first : first + batch]
            store.commit(Batch("s", rows=part, groups={("all",): Aggregate(len(part))}))

    with pytest.raises(AssertionError):
        concurrent_senders(database, blindly)


def test_events_seen_before_are_left_out_with_their_messages(database: Database) -> None:
    with database.open() as store:
        first = Batch("s", rows=rows_of(0, 3), messages=[b"m0", b"m1", b"m2"], ids=["e0", "e1", "e2"])
        assert store.commit(first) == 0
        left_out = store.commit_all(
            [
                Batch("s", rows=rows_of(1, 3), messages=[b"m1", b"m2", b"m3"], ids=["e1", "e2", "e3"]),
                Batch("s", rows=rows_of(3, 3), messages=[b"m3", b"m4", b"m4"], ids=["e3", "e4", "e4"]),
                Batch("t", rows=rows_of(0, 1), ids=["e0"]),  # another stream has ids of its own
            ]
        )
        assert left_out == {0: 2, 1: 2}, "who asks is told"
        assert store.commit(first) == 3
        bad, known = store.commit_all([Batch("s", rows=[b"\xff"]), first]).values()
        assert (type(bad), known) == (ValueError, 3)
        rows = rows_of(0, 5)
        assert everything(store, "s")["rows"] == rows
        assert everything(store, "s")["outbox"] == [b"m0", b"m1", b"m2", b"m3", b"m4"]
        assert everything(store, "t")["rows"] == rows_of(0, 1)


def test_a_batch_whose_events_were_all_seen_still_advances_its_delivery(database: Database) -> None:
    with database.open() as store:
        for name in ("a", "b"):
            batch = Batch("s", rows=rows_of(0, 2), messages=rows_of(0, 2), ids=["x", "y"])
            store.commit(replace(batch, deliveries=[Delivery(name, 2, True)]))
        assert len(store.rows("s")) == 2
        assert len(store.outbox()) == 1
        assert store.done("s", "b") == Delivery("b", 2, True)


# -- outbox and retention


def test_messages_that_are_the_rows_come_back_as_they_were(database: Database) -> None:
    rows = rows_of(0, 5)
    with database.open() as store:
        store.commit(Batch("s", rows=rows, messages=rows))
        store.commit(Batch("s", rows=rows, messages=list(rows), ids=list("abcde")))
        store.commit_all([Batch("s", rows=rows, messages=rows), Batch("s", rows=rows)])
        store.commit_all([Batch("s", rows=rows), Batch("s", rows=rows, messages=rows)])
        store.commit_all([Batch("s", rows=rows, messages=rows), Batch("s", messages=[b"other"])])
        assert [list(entry.messages) for entry in store.outbox()] == [rows, rows, rows, rows, [*rows, b"other"]]


def test_the_outbox_is_read_in_bounded_pieces_until_it_is_marked(database: Database) -> None:
    with database.open() as store:
        for number in range(6):
            store.commit(Batch("s", messages=[b"%d" % number * 1_000]))
        assert [entry.seq for entry in store.outbox(limit=2)] == [entry.seq for entry in store.outbox()[:2]]
        assert len(store.outbox(size=2_500)) == 3
        assert len(store.outbox(size=1)) == 1
        seqs = [entry.seq for entry in store.outbox()]
        store.mark_published(seqs[:2] + seqs[3:4])
        assert [entry.messages[0][:1] for entry in store.outbox()] == [b"2", b"4", b"5"]
        assert (store.status().outbox_entries, store.status().outbox_messages) == (3, 3)


def test_prune_forgets_what_is_old_and_nothing_else(database: Database) -> None:
    now = [1_000.0]
    with database.open(clock=lambda: now[0]) as store:
        for number in range(3):
            store.commit(
                Batch(
                    "s",
                    rows=rows_of(number, 1),
                    messages=[b"%d" % number],
                    ids=[f"e{number}"],
                    deliveries=[Delivery(f"d{number}", 1, True)],
                )
            )
            now[0] += 100.0
        first = store.outbox()[0].seq
        store.mark_published([first])
        assert store.status().outbox_age == 200.0
        pruned = store.prune(deliveries=250.0, ids=150.0, published=0.0)
        assert (pruned.deliveries, pruned.ids, pruned.published) == (1, 2, 1)
        assert [store.done("s", f"d{number}") is None for number in range(3)] == [True, False, False]
        store.commit(Batch("s", rows=rows_of(0, 3), ids=["e0", "e1", "e2"]))
        assert [row.body for row in store.rows("s")] == rows_of(0, 3) + rows_of(0, 2)
        assert [entry.messages for entry in store.outbox()] == [[b"1"], [b"2"]], "unpublished ones stay, however old"


def test_prune_goes_on_past_its_slice(database: Database) -> None:
    with database.open() as store:
        store.commit(Batch("s", rows=rows_of(0, 2_500), ids=[f"e{n}" for n in range(2_500)]))
        assert store.prune(ids=-1.0).ids == 2_500


# -- several at once


def test_committed_messages_call_who_listens_until_it_no_longer_does(database: Database) -> None:
    calls: list[int] = []
    with database.open() as store:
        unlisten = store.listen(lambda: calls.append(len(store.outbox())))
        store.commit(Batch("s", messages=[b"1"]))
        store.commit(Batch("s", rows=rows_of(0, 1)))
        unlisten()
        store.commit(Batch("s", messages=[b"2"]))
    assert calls == [1], "called once, and the message was there already"


def test_threads_commit_and_read_at_the_same_time_and_nothing_is_lost(no_leaks: None, database: Database) -> None:
    def write(writer: int) -> None:
        for number in range(20):
            store.commit(Batch("s", rows=[b"%d" % writer], groups={("all",): Aggregate(1, sum=number)}))

    def read() -> None:
        for _ in range(40):
            rows, results = store.rows("s", limit=1_000), store.results("s")
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            assert len(results) <= 1

    with database.open() as store, ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(write, writer) for writer in range(4)] + [pool.submit(read) for _ in range(2)]
        for job in jobs:
            job.result(PATIENCE)
        [result] = store.results("s")
        assert (result.count, result.sum) == (80, 4 * sum(range(20)))
        assert len(store.rows("s")) == 80


def test_a_reader_sees_all_of_a_group_commit_or_nothing(database: Database) -> None:
    with database.open() as store, database.open() as other:
        stop = threading.Event()
        seen: list[int] = []

        def read() -> None:
            while not stop.is_set():
                seen.append(len(other.rows("s", limit=10_000)))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(10):
            store.commit_all([Batch("s", rows=rows_of(number, 5)), Batch("s", rows=rows_of(number, 5))])
        stop.set()
        reader.join(PATIENCE)
        assert {count % 10 for count in seen} <= {0}


def test_a_database_locked_for_too_long_is_busy_and_works_again_afterwards(no_leaks: None, database: Database) -> None:
    with database.open() as holder, database.open(busy_timeout=2.0) as store:
        store.commit(Batch("s", rows=rows_of(0, 1)))
        with holder._connections.transaction() as db:
            db.execute("UPDATE streams SET rows = rows")
            with pytest.raises(StoreBusy, match="try again later"):
                store.commit(Batch("s", rows=rows_of(1, 1)))
            assert len(store.rows("s")) == 1, "reads do not wait"
        store.commit(Batch("s", rows=rows_of(1, 1)))
        assert len(store.rows("s")) == 2


def test_a_writer_waits_for_another_that_is_quick_enough(database: Database) -> None:
    with database.open() as holder, database.open(busy_timeout=PATIENCE) as store, ThreadPoolExecutor(1) as pool:
        store.commit(Batch("s", rows=rows_of(0, 1)))
        with holder._connections.transaction() as db:
            db.execute("UPDATE streams SET rows = rows")
            waiting = pool.submit(store.commit, Batch("s", rows=rows_of(1, 1)))
            assert not waiting.done()
        waiting.result(PATIENCE)
        assert len(store.rows("s")) == 2


def test_kill_9_between_and_inside_commits_leaves_whole_batches_only(database: Database) -> None:
    draw = random.Random(7)
    acknowledged = 0
    for _ in range(ROUNDS):
        with running("store_child.py", database.url) as child:
            for _ in range(draw.randint(1, 40)):
                acknowledged = int(child.line())
            acknowledged = max([acknowledged, *map(int, child.kill())])
    with database.open() as store:
        known = store.done("s", "post")
        assert known is not None
        assert known.done >= acknowledged, "a batch whose commit returned is gone"
        stored = everything(store, "s")
        assert stored["rows"] == stored["outbox"] == rows_of(0, known.done)
        assert stored["results"][("all",)] == Result(("all",), known.done, sum=sum(range(known.done)))


# -- life cycle


def test_a_closed_store_says_so_and_closes_twice(no_leaks: None, database: Database) -> None:
    store = database.open()
    store.ping()
    store.close()
    store.close()
    for call in (store.ping, store.status, lambda: store.commit(FULL), lambda: store.rows("s")):
        with pytest.raises(StoreError, match="the store is closed; open a new one"):
            call()


def test_status_counts_what_is_there(database: Database) -> None:
    with database.open() as store:
        store.commit_all([FULL, replace(FULL, stream="other", deliveries=[])])
        status = store.status()
        assert (status.streams, status.rows, status.dead_letters) == (2, 6, 2)
        assert (status.outbox_entries, status.outbox_messages) == (2, 6)
        assert status.bytes > 0


def test_a_page_of_nothing_is_refused(database: Database) -> None:
    with database.open() as store:
        for read in (store.rows, store.results, store.dead_letters):
            with pytest.raises(ValueError, match="limit must be >= 1, got 0"):
                read("s", limit=0)


def test_a_database_server_that_is_away_says_so_without_the_password() -> None:
    with pytest.raises(StoreDown, match="does not answer") as error:
        open_store("postgresql://ann:hunter2@127.0.0.1:1/orders")
    assert "hunter2" not in str(error.value)


def test_an_unknown_scheme_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match=r"a store's URL must be sqlite:///path or postgresql://") as error:
        open_store("mysql://ann:hunter2@host/db")
    assert "hunter2" not in str(error.value)


def test_a_checksum_over_samples_of_an_older_layout_is_forgotten_not_compared(database: Database) -> None:
    long, short = Fingerprint(100_000, 5), Fingerprint(100, 6)
    with database.open() as store:
        store.commit(
            Batch("s", deliveries=[Delivery("a", 1, True, fingerprint=long), Delivery("b", 1, True, fingerprint=short)])
        )
    make_old(database, 2)
    with database.open() as store:
        assert store.done("s", "a") == Delivery("a", 1, True)
        assert store.done("s", "b") == Delivery("b", 1, True, fingerprint=short)


@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_a_key_of_any_text_is_stored_or_refused_before_a_transaction_begins(database: Database, letter: str) -> None:
    """What random letters make of an index is the case: they cannot be compressed."""
    draw = random.Random(7)
    with database.open() as store:
        for length in (100, 160, 300, 1_000, 1_990, 2_000, 4_000):
            text = "".join(chr(ord(letter) + draw.randrange(2)) for _ in range(length))
            groups = {(text,): Aggregate(1)}
            try:
                encode_key((text,))
            except ValueError:
                with pytest.raises(ValueError, match="must have at most 2000 bytes"):
                    store.commit(Batch("s", groups=groups))
            else:
                store.commit(Batch("s", groups=groups))
                assert store.results("s")[-1].count == 1


def test_the_longest_key_of_letters_that_do_not_compress_fits_the_index(database: Database) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    text = "".join(random.Random(3).choices(alphabet, k=KEY_LIMIT - 4))
    with database.open() as store:
        store.commit(Batch("s", groups={(text,): Aggregate(1)}))
        assert [one.key for one in store.results("s")] == [(text,)]


def test_old_rows_and_dead_letters_are_forgotten_but_for_what_the_outbox_needs(database: Database) -> None:
    now = 1_000_000.0
    letter = DeadLetter(1, 0, "bad", b"x")
    with database.open(clock=lambda: now) as store:
        rows = rows_of(0, 2_500)
        store.commit(Batch("old", rows, dead=[letter]))
        store.commit(Batch("silent", rows[:1]))
        sent = Batch("sent", rows[:5], messages=rows[:5])
        store.commit(Batch("sent", rows[5:6]))
        store.commit(sent)
        assert store.prune(rows=0.0, dead=0.0).rows == 0, "nobody has noted yet how old they are"
        now += 100.0
        store.commit(Batch("old", rows_of(2_500, 3), dead=[letter]))
        now += 100.0
        store.commit(Batch("old", rows_of(2_503, 1)))
        assert store.prune(rows=250.0, dead=250.0) == Pruned()
        assert store.prune(rows=150.0, dead=150.0) == Pruned(rows=0, dead=0)
        assert store.prune(rows=100.0, dead=100.0) == Pruned(rows=2_500, dead=1)
        assert [row.seq for row in store.rows("old")] == [2_501, 2_502, 2_503, 2_504]
        assert [one.seq for one in store.dead_letters("old")] == [2]
        now += 1_000.0
        assert store.prune(rows=100.0).rows == 3 + 1 + 1, "a row that the outbox still has to publish stays"
        assert [list(entry.messages) for entry in store.outbox()] == [rows[:5]]
        store.mark_published([entry.seq for entry in store.outbox()])
        now += 1_000.0
        assert store.prune(rows=100.0).rows == 1 + 5
        store.commit(Batch("old", rows[:1]))
        assert [row.seq for row in store.rows("old")] == [2_505], "numbers go on"
