"""Exercises of notebook 1: bad lines, batches by time, and a delivery that counts once.

Idea        Each exercise rebuilds one promise of the pipeline in three to ten lines.
Invariant   Sources are one-shot and counted, so an answer that lists the whole stream first is caught.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_exercises.py
"""

# ruff: noqa: ARG001, ARG005, B007 - wrong answers ignore their arguments, and probes too

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import count, islice
from typing import Any

from arion_lib.workbook.exercise import Answer, Case, Exercise, Wrong
from arion_lib.workbook.outcome import Counted, first

OnBad = Callable[[int, bytes], None]
Clock = Callable[[], float]

# --- 1.1 read_records(lines, on_bad) --------------------------------------------------------------


def read_records(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            on_bad(number, line)
        else:
            yield record


def _trusting(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    for line in lines:
        yield json.loads(line)


def _stops_at_the_first(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            yield json.loads(line)
    except ValueError:
        on_bad(number, line)


def _lists_first(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    return read_records(list(lines), on_bad)


def _numbers_from_zero(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    return read_records(lines, lambda number, line: on_bad(number - 1, line))


def _numbers_the_bad(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    numbers = count(1)
    return read_records(lines, lambda _, line: on_bad(next(numbers), line))


def _silent(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    return read_records(lines, lambda number, line: None)


def _yields_none(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        record = None
        try:
            record = json.loads(line)
        except ValueError:
            on_bad(number, line)
        yield record


def _drops_the_falsy(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    return (record for record in read_records(lines, on_bad) if record)


def _only_decode_errors(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            on_bad(number, line)
        else:
            yield record


def _catches_everything(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except Exception:  # noqa: BLE001 - the mistake itself
            on_bad(number, line)
        else:
            yield record


def _reading(*lines: bytes | None) -> Case:
    def probe(answer: Answer) -> object:
        bad: list[tuple[int, bytes]] = []
        records = first(answer(iter(lines), lambda number, line: bad.append((number, line))))
        return records, bad

    return Case(f"read_records(iter({list(lines)}), on_bad)   -> (records, what on_bad got)", probe)


def _endless_lines(answer: Answer) -> object:
    lines = Counted((b'{"n": %d}' % n for n in count()), at_most=2)
    return first(answer(lines, lambda number, line: None), 2)


READ_RECORDS = Exercise(
    id="1.1",
    name="read_records",
    stars=1,
    minutes=10,
    solution=read_records,
    cases=[
        _reading(),
        _reading(b'{"n": 1}'),
        _reading(b"nope"),
        _reading(b"{}"),
        _reading(b"nope", b'{"n": 2}'),
        _reading(b'{"n": 1}', b"nope", b'{"n": 3}', b'{"n":', b'{"n": 5}'),
        _reading(b"\xff", b'{"n": 2}'),
        _reading(b'{"n": 1}', None),  # no bad line but a bug in the program before it
        Case("two records of a stream without end", _endless_lines),
    ],
    wrong=[
        Wrong(_trusting, "one bad line ends the whole stream: catch the error of each line"),
        Wrong(_stops_at_the_first, "the `try` stands around the loop, so everything after the first bad line is lost"),
        Wrong(_lists_first, "the whole stream is listed before the first record comes out: memory follows the input"),
        Wrong(_numbers_from_zero, "lines are numbered from 1, as an editor shows them"),
        Wrong(_numbers_the_bad, "the number is the line's place in the stream, not a count of the bad ones"),
        Wrong(_silent, "the bad line is dropped silently: hand it to `on_bad`"),
        Wrong(_yields_none, "a bad line gives no record at all, not even None"),
        Wrong(_drops_the_falsy, "an empty record is still a record: test whether it was read, not whether it is true"),
        Wrong(
            _catches_everything,
            "a line that is no bytes at all is a bug in the program, not bad input: catch ValueError, let the rest out",
        ),
        Wrong(_only_decode_errors, "bytes that are not UTF-8 raise UnicodeDecodeError; both errors are ValueErrors"),
    ],
)

# --- 1.2 batches_in_time(records, size, seconds, clock) -------------------------------------------


def batches_in_time(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    opened = 0.0
    for record in records:
        now = clock()
        if batch and now - opened >= seconds:
            yield batch
            batch = []
        if not batch:
            opened = now
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _by_size_only(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    return batches_in_time(records, size, float("inf"), clock)


def _by_time_only(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    return batches_in_time(records, 1_000_000, seconds, clock)


def _drops_the_last(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    opened = 0.0
    for record in records:
        if batch and clock() - opened >= seconds:
            yield batch
            batch = []
        opened = opened if batch else clock()
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []


def _yields_empty(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    held = 0
    for batch in batches_in_time(records, size, seconds, clock):
        held = len(batch)
        yield batch
    if held in (0, size):
        yield []


def _clock_from_the_start(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    opened = clock()
    for record in records:
        if batch and clock() - opened >= seconds:
            yield batch
            batch, opened = [], clock()
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch, opened = [], clock()
    if batch:
        yield batch


def _never_restarts(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    opened: float | None = None
    for record in records:
        now = clock()
        opened = now if opened is None else opened
        if batch and now - opened >= seconds:
            yield batch
            batch = []
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _same_list(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for made in batches_in_time(records, size, seconds, clock):
        batch[:] = made
        yield batch


def _late_one_too_many(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    opened = 0.0
    for record in records:
        now = clock()
        opened = opened if batch else now
        batch.append(record)
        if len(batch) == size or now - opened >= seconds:
            yield batch
            batch = []
    if batch:
        yield batch


def _everything_first(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    everything = [(clock(), record) for record in records]
    times = (at for at, _ in everything)
    return batches_in_time((record for _, record in everything), size, seconds, lambda: next(times))


class _Arrivals:
    """Records with the second they arrive at: reading the next one moves the clock."""

    def __init__(self, *times: float) -> None:
        self.now, self.times = 0.0, times

    def __iter__(self) -> Iterator[str]:
        for letter, time in zip("abcdefghij", self.times, strict=False):
            self.now = time
            yield letter

    def clock(self) -> float:
        return self.now


def _arriving(times: tuple[float, ...], size: int, seconds: float) -> Case:
    def probe(answer: Answer) -> object:
        arrivals = _Arrivals(*times)
        return first(answer(iter(arrivals), size, seconds, arrivals.clock))

    return Case(f"size={size}, seconds={seconds:g}, records arriving at second {list(times)}", probe)


def _endless_arrivals(answer: Answer) -> object:
    return first(answer(Counted(count(), at_most=6), 3, 60, lambda: 0.0), 2)


BATCHES_IN_TIME = Exercise(
    id="1.2",
    name="batches_in_time",
    stars=2,
    minutes=15,
    solution=batches_in_time,
    cases=[
        _arriving((), 2, 10),
        _arriving((5,), 2, 10),
        _arriving((0, 1), 2, 10),
        _arriving((0, 10), 3, 10),
        _arriving((0, 1, 2), 2, 10),
        _arriving((8, 12, 17), 9, 10),
        _arriving((0, 5, 11, 16, 20), 9, 10),
        _arriving((0, 1, 2, 30, 31, 60), 2, 10),
        Case("two batches of 3 from a stream without end", _endless_arrivals),
    ],
    wrong=[
        Wrong(_by_size_only, "a batch waits for its size however long that takes: ask the clock at each record"),
        Wrong(_by_time_only, "a batch may not grow past `size`, however quickly the records come"),
        Wrong(_drops_the_last, "the last batch may be smaller: hand it on when the records end"),
        Wrong(_yields_empty, "a batch holds at least one record: hand on none when nothing is left"),
        Wrong(_clock_from_the_start, "a batch's time begins with its first record, not while it is still empty"),
        Wrong(_never_restarts, "each batch has a time of its own: start it again with the batch's first record"),
        Wrong(_same_list, "the same list is handed on again and again, so earlier batches change: start a new one"),
        Wrong(
            _late_one_too_many,
            "a record that comes too late begins the next batch: look at the clock before you add it",
        ),
        Wrong(_everything_first, "the whole stream is read before the first batch comes out: memory follows the input"),
    ],
)

# --- 1.3 store_once(db, delivery, records) --------------------------------------------------------

SCHEMA = "CREATE TABLE events (value TEXT); CREATE TABLE deliveries (id TEXT PRIMARY KEY, done INTEGER)"


def _batches(records: Iterable[str], size: int = 2) -> Iterator[list[str]]:
    records = iter(records)
    while batch := list(islice(records, size)):
        yield batch


def _done(db: sqlite3.Connection, delivery: str) -> int:
    row = db.execute("SELECT done FROM deliveries WHERE id = ?", (delivery,)).fetchone()
    return int(row[0]) if row else 0


def _insert(db: sqlite3.Connection, batch: Iterable[str]) -> None:
    db.executemany("INSERT INTO events VALUES (?)", [(value,) for value in batch])


def _progress(db: sqlite3.Connection, delivery: str, done: int) -> None:
    db.execute("INSERT OR REPLACE INTO deliveries VALUES (?, ?)", (delivery, done))


def store_once(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    done = _done(db, delivery)
    for batch in _batches(islice(records, done, None)):
        done += len(batch)
        with db:
            _insert(db, batch)
            _progress(db, delivery, done)


def _every_time(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    for batch in _batches(records):
        with db:
            _insert(db, batch)


def _two_transactions(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    done = _done(db, delivery)
    for batch in _batches(islice(records, done, None)):
        done += len(batch)
        with db:
            _insert(db, batch)
        with db:
            _progress(db, delivery, done)


def _promise_first(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    done = _done(db, delivery)
    for batch in _batches(islice(records, done, None)):
        done += len(batch)
        with db:
            _progress(db, delivery, done)
        with db:
            _insert(db, batch)


def _seen_or_not(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    if _done(db, delivery):
        return
    for done, batch in enumerate(_batches(records), 1):
        with db:
            _insert(db, batch)
            _progress(db, delivery, done)


def _marked_at_the_end(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    if _done(db, delivery):
        return
    for batch in _batches(records):
        with db:
            _insert(db, batch)
    with db:
        _progress(db, delivery, 1)


def _batch_count(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    done = _done(db, delivery)
    for batch in _batches(islice(records, done, None)):
        done += 1
        with db:
            _insert(db, batch)
            _progress(db, delivery, done)


def _no_commit(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    done = _done(db, delivery)
    for batch in _batches(islice(records, done, None)):
        done += len(batch)
        _insert(db, batch)
        _progress(db, delivery, done)


def _by_value(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    for batch in _batches(records):
        with db:
            known = {value for (value,) in db.execute("SELECT value FROM events")}
            _insert(db, [value for value in batch if value not in known])


def _one_transaction(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    if _done(db, delivery):
        return
    with db:
        done = 0
        for batch in _batches(records):
            _insert(db, batch)
            done += len(batch)
        _progress(db, delivery, done)


class _PowerCut:
    """An SQLite authorizer that lets `commits` transactions through and refuses everything after them."""

    def __init__(self, commits: int) -> None:
        self.left = commits

    def __call__(self, action: int, arg: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_TRANSACTION and arg == "COMMIT":
            self.left -= 1
        return sqlite3.SQLITE_OK if self.left >= 0 else sqlite3.SQLITE_DENY


def _breaking(records: str, after: int) -> Iterator[str]:
    yield from records[:after]
    if after < len(records):
        raise ConnectionError("the sender went away")


def _delivered(*deliveries: str, cut: int | None = None, breaks: int | None = None, why: str = "") -> Case:
    """The case that delivers each of `deliveries` ("id:records") in turn; the first attempt may end early."""

    def probe(answer: Answer) -> object:
        db = sqlite3.connect(":memory:")
        db.executescript(SCHEMA)
        for number, (name, records) in enumerate(d.split(":") for d in deliveries):
            if number == 0 and cut is not None:
                db.set_authorizer(_PowerCut(cut))
            with suppress(sqlite3.DatabaseError, ConnectionError):
                answer(db, name, _breaking(records, breaks if number == 0 and breaks is not None else len(records)))
            db.set_authorizer(None)
            db.rollback()  # what a dead process leaves to the next one: only what was committed
        found = "".join(value for (value,) in db.execute("SELECT value FROM events ORDER BY rowid"))
        db.close()
        return found

    how = f", the first killed after {cut} commits" if cut is not None else ""
    how += f", the first broken off after {breaks} records" if breaks is not None else ""
    return Case(f"deliveries {', '.join(deliveries)}{how}   -> all events", probe, why)


STORE_ONCE = Exercise(
    id="1.3",
    name="store_once",
    stars=3,
    minutes=25,
    solution=store_once,
    cases=[
        _delivered("x:"),
        _delivered("x:a"),
        _delivered("x:abc"),
        _delivered("x:abc", "x:abc"),
        _delivered("x:aa", "y:a"),
        _delivered("x:abcd", "x:abcd", breaks=1),
        _delivered("x:abcdef", "x:abcdef", breaks=5),
        *(_delivered("x:abcdef", "x:abcdef", cut=cut) for cut in range(6)),
        _delivered("x:abcdef", breaks=5, why="commit every two records, no sooner and no later"),
    ],
    wrong=[
        Wrong(_every_time, "a delivery that comes again counts again: look up how far it got and skip that much"),
        Wrong(
            _two_transactions,
            "killed between the two commits, the rows are there and the progress is not: one transaction",
        ),
        Wrong(
            _promise_first,
            "killed between the two commits, the progress is there and the rows are not: one transaction",
        ),
        Wrong(_seen_or_not, "a delivery can be half done: to know that it was seen is not to know how far it got"),
        Wrong(_marked_at_the_end, "a delivery marked only at its end counts its first part again after a crash"),
        Wrong(_batch_count, "progress must count records: batches are counted here and records are skipped"),
        Wrong(_no_commit, "nothing was committed: without `with db:` the rows end with the process"),
        Wrong(
            _by_value, "two equal records are two records: the place in the delivery tells them apart, not the value"
        ),
        Wrong(
            _one_transaction,
            "one transaction for the whole delivery loses everything when it breaks: commit each batch",
        ),
    ],
)

EXERCISES = (READ_RECORDS, BATCHES_IN_TIME, STORE_ONCE)
