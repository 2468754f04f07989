"""Exercises of notebook 1: whole lines, bad lines, a delivery that counts once, where events wait, batches by time.

Idea        Each exercise rebuilds one promise of the pipeline in three to ten lines.
Invariant   Sources are one-shot and counted, so an answer that lists the whole stream first is caught.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_exercises.py
"""

# ruff: noqa: ARG001, ARG005, B007 - wrong answers ignore their arguments, and probes too

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count, islice
from typing import Any

from arion_lib.short_repr import short_repr
from arion_lib.workbook.exercise import Answer, Case, Exercise, Wrong
from arion_lib.workbook.outcome import Counted, first

OnBad = Callable[[int, bytes], None]
Clock = Callable[[], float]

# --- 1.1 cut(chunks) ------------------------------------------------------------------------------


def cut(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _each_chunk_alone(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from filter(None, chunk.split(b"\n"))


def _forgets_the_last(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _whole_body_first(chunks: Iterable[bytes]) -> Iterator[bytes]:
    return cut([b"".join(chunks)])


def _empty_last(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    yield rest


def _splitlines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).splitlines()
        rest = lines.pop() if lines and not chunk.endswith(b"\n") else b""
        yield from lines
    if rest:
        yield rest


def _keeps_the_newline(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        rest += chunk
        while b"\n" in rest:
            end = rest.index(b"\n") + 1
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _decodes_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + chunk.decode()).split("\n")
        yield from (line.encode() for line in lines)
    if rest:
        yield rest.encode()


def _drops_the_empty(chunks: Iterable[bytes]) -> Iterator[bytes]:
    return (line for line in cut(chunks) if line)


def _one_line_a_chunk(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        line, newline, rest = (rest + chunk).partition(b"\n")
        if newline:
            yield line
        else:
            rest = line
    if rest:
        yield rest


def _holds_a_chunk_back(chunks: Iterable[bytes]) -> Iterator[bytes]:
    before: bytes | None = None
    for chunk in chunks:
        if before is not None and b"\n" in before:
            *lines, before = before.split(b"\n")
            yield from lines
        before = (before or b"") + chunk
    if before is not None:
        *lines, last = before.split(b"\n")
        yield from lines
        if last:
            yield last


def _cutting(*chunks: bytes) -> Case:
    return Case(f"cut({list(chunks)})", lambda answer: first(answer(iter(chunks))))


def _endless_chunks(lines: int) -> Case:
    def probe(answer: Answer) -> object:
        return first(answer(Counted((b"%d\n" % n for n in count()), at_most=2)), lines)

    return Case(f"the first {lines} of a stream without end, a line a chunk; two chunks may be read", probe)


CUT = Exercise(
    id="1.1",
    name="cut",
    stars=1,
    minutes=10,
    solution=cut,
    cases=[
        _cutting(),
        _cutting(b"one\n"),
        _cutting(b"one"),
        _cutting(b"one\ntwo\n"),
        _cutting(b"on", b"e\n"),
        _cutting(b"on", b"", b"e\ntw", b"o"),
        _cutting(b"one", b"\n", b"two"),
        _cutting(b"one\n\ntwo\n"),
        _cutting(b"Zo\xc3", b"\xab\n"),
        _cutting(b"one\r\ntwo\rstill two\n"),
        _endless_chunks(1),
        _endless_chunks(2),
    ],
    wrong=[
        Wrong(_each_chunk_alone, "a line may begin in one chunk and end in the next: keep the rest for the next chunk"),
        Wrong(_forgets_the_last, "the last line may lack its newline: hand on what is left when the chunks end"),
        Wrong(_whole_body_first, "the whole body is read before the first line comes out: memory follows the input"),
        Wrong(_empty_last, "behind the last newline is nothing: hand on the rest only when there is one"),
        Wrong(_splitlines, "`splitlines` also cuts at a carriage return; a record ends at a newline only"),
        Wrong(_keeps_the_newline, "hand the line on without its newline"),
        Wrong(_decodes_chunks, "a chunk may end inside a character: cut the bytes, decode nothing here"),
        Wrong(_drops_the_empty, "an empty line is a line, too: else the numbers of all later lines are wrong"),
        Wrong(_one_line_a_chunk, "a chunk may hold several lines: cut until no newline is left in it"),
        Wrong(_holds_a_chunk_back, "hand on a line as soon as its newline is there, not one chunk later"),
    ],
)

# --- 1.2 read_records(lines, on_bad) --------------------------------------------------------------


def read_records(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            on_bad(number, line)
        else:
            yield record


def _only_value_errors(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
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
        return records, [(number, line and line[:60]) for number, line in bad]

    words = ", ".join(short_repr(line, 60) for line in lines)
    return Case(f"read_records(iter([{words}]), on_bad)   -> (records, what on_bad got)", probe)


def _endless_lines(answer: Answer) -> object:
    lines = Counted((b'{"n": %d}' % n for n in count()), at_most=2)
    return first(answer(lines, lambda number, line: None), 2)


READ_RECORDS = Exercise(
    id="1.2",
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
        _reading(b"[" * 200_000, b'{"n": 2}'),
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
            "a line that is no bytes at all is a bug in the program: catch what bad input raises, let the rest out",
        ),
        Wrong(_only_value_errors, "a line that is nested too deeply raises RecursionError, which is no ValueError"),
        Wrong(_only_decode_errors, "bytes that are not UTF-8 raise UnicodeDecodeError; both errors are ValueErrors"),
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


def _rows_as_they_are(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    done = _done(db, delivery)
    for batch in _batches(islice(records, done, None)):
        done += len(batch)
        with db:
            db.executemany("INSERT INTO events VALUES (?)", batch)
            _progress(db, delivery, done)


def _batchs_length(db: sqlite3.Connection, delivery: str, records: Iterable[str]) -> None:
    done = _done(db, delivery)
    for batch in _batches(islice(records, done, None)):
        with db:
            _insert(db, batch)
            _progress(db, delivery, len(batch))


class _PowerCut:
    """An SQLite authorizer that lets `commits` transactions through and refuses everything after them."""

    def __init__(self, commits: int) -> None:
        self.left = commits

    def __call__(self, action: int, arg: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_TRANSACTION and arg == "COMMIT":
            self.left -= 1
        return sqlite3.SQLITE_OK if self.left >= 0 else sqlite3.SQLITE_DENY


def _breaking(records: list[str], after: int | None) -> Iterator[str]:
    yield from records[:after]
    if after is not None and after < len(records):
        raise ConnectionError("the sender went away")


def _delivered(*deliveries: str, cut: int | None = None, breaks: int | None = None, why: str = "") -> Case:
    """The case that delivers each of `deliveries` ("id:records") in turn; the first attempt may end early."""

    def probe(answer: Answer) -> object:
        with closing(sqlite3.connect(":memory:")) as db:
            db.executescript(SCHEMA)
            return deliver_all(db, answer)

    def deliver_all(db: sqlite3.Connection, answer: Answer) -> object:
        for number, (name, records) in enumerate(d.split(":") for d in deliveries):
            if number == 0 and cut is not None:
                db.set_authorizer(_PowerCut(cut))
            try:
                answer(db, f"night-{name}", _breaking([r + r for r in records], breaks if number == 0 else None))
            except ConnectionError:
                pass
            except sqlite3.DatabaseError as error:
                if "not authorized" not in str(error):  # a mistake in the answer's own SQL, not the kill
                    return f"{type(error).__name__}: {error}"
            db.set_authorizer(None)
            db.rollback()  # what a dead process leaves to the next one: only what was committed
        return " ".join(str(value) for (value,) in db.execute("SELECT value FROM events ORDER BY rowid"))

    how = f", the first killed after {cut} commits" if cut is not None else ""
    how += f", the first broken off after {breaks} records" if breaks is not None else ""
    listed = ", ".join(f"night-{d.split(':')[0]} of {[r + r for r in d.split(':')[1]]}" for d in deliveries)
    return Case(f"deliveries {listed}{how}   -> all events", probe, why)


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
        Wrong(_rows_as_they_are, "`executemany` wants a row for each record: a text alone counts as a row of letters"),
        Wrong(_batchs_length, "progress is counted from the start of the delivery: add up the batches"),
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

# --- 1.4 waits(arriving, storing, bound) ----------------------------------------------------------


def waits(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    queued = sender = 0
    for due in arriving:
        sender += due
        moved = min(sender, bound - queued)
        sender -= moved
        queued = max(queued + moved - storing, 0)
        yield queued, sender


def _drops(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    queued = 0
    for due in arriving:
        queued = max(min(queued + due, bound) - storing, 0)
        yield queued, 0


def _never_comes(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    queued = sender = 0
    for due in arriving:
        moved = min(due, bound - queued)
        sender += due - moved
        queued = max(queued + moved - storing, 0)
        yield queued, sender


def _no_bound(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    return waits(arriving, storing, 10**12)


def _bound_a_second(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    queued = sender = 0
    for due in arriving:
        sender += due
        moved = min(sender, bound)
        sender -= moved
        queued = max(queued + moved - storing, 0)
        yield queued, sender


def _below_zero(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    queued = sender = 0
    for due in arriving:
        sender += due
        moved = min(sender, bound - queued)
        sender -= moved
        queued += moved - storing
        yield queued, sender


def _stores_first(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    queued = sender = 0
    for due in arriving:
        queued = max(queued - storing, 0)
        sender += due
        moved = min(sender, bound - queued)
        sender -= moved
        queued += moved
        yield queued, sender


def _other_way_round(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    return ((sender, queued) for queued, sender in waits(arriving, storing, bound))


def _waits_for_the_end(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    return waits(list(arriving), storing, bound)


def _one_pair(arriving: Iterable[int], storing: int, bound: int) -> tuple[int, int] | None:
    return list(waits(arriving, storing, bound) or [(0, 0)])[-1] if (arriving := list(arriving)) else None


def _waiting(arriving: Sequence[int], storing: int, bound: int) -> Case:
    show = f"waits({list(arriving)}, storing={storing}, bound={bound})"
    return Case(show, lambda answer: first(answer(iter(arriving), storing, bound)))


def _endless_seconds(answer: Answer) -> object:
    return first(answer(Counted(count(), at_most=3), 2, 3), 3)


WAITS = Exercise(
    id="1.4",
    name="waits",
    stars=2,
    minutes=10,
    solution=waits,
    cases=[
        _waiting([], 2, 3),
        _waiting([1], 2, 3),
        _waiting([3], 2, 3),
        _waiting([5], 2, 3),
        _waiting([5, 0], 2, 3),
        _waiting([5, 0, 0], 2, 3),
        _waiting([0, 5], 2, 3),
        _waiting([9, 9, 0, 0, 0, 0, 0], 3, 4),
        _waiting([2, 2, 2, 2], 1, 10),
        Case("three seconds of arrivals without end", _endless_seconds),
    ],
    wrong=[
        Wrong(_drops, "what does not fit into the queue must wait at the sender: here it vanishes"),
        Wrong(
            _never_comes,
            "what waits at the sender moves into the queue as soon as there is room: here it stays for ever",
        ),
        Wrong(_no_bound, "the queue holds at most `bound`: only what fits moves into it"),
        Wrong(_bound_a_second, "`bound - queued` is the room that is left; `bound` is the room of an empty queue"),
        Wrong(_below_zero, "the sink cannot take more than there is: a queue does not hold less than nothing"),
        Wrong(_stores_first, "in each second events move into the queue before the sink takes some out"),
        Wrong(_other_way_round, "yield your queue first, then the sender"),
        Wrong(_waits_for_the_end, "yield each second as it comes, before you take the next"),
        Wrong(_one_pair, "yield a pair for each second, not one for all"),
    ],
)

# --- 1.5 batches_in_time(records, size, seconds, clock) -------------------------------------------


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


def _later_than(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    opened = 0.0
    for record in records:
        now = clock()
        if batch and now - opened > seconds:
            yield batch
            batch = []
        opened = opened if batch else now
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _restarts_with_each(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    opened = 0.0
    for record in records:
        now = clock()
        if batch and now - opened >= seconds:
            yield batch
            batch = []
        opened = now
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _clears(records: Iterable[Any], size: int, seconds: float, clock: Clock) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for made in batches_in_time(records, size, seconds, clock):
        batch[:] = made
        yield batch
        batch.clear()


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
    id="1.5",
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
        Wrong(_by_size_only, "a batch waits for its size however long that takes: ask `clock()` at each record"),
        Wrong(_later_than, "a record that comes exactly `seconds` after the first closes the batch: `>=`"),
        Wrong(_restarts_with_each, "the time counts from the first record of the batch, not from the one before"),
        Wrong(_by_time_only, "a batch may not grow past `size`, however quickly the records come"),
        Wrong(_drops_the_last, "the last batch may be smaller: hand it on when the records end"),
        Wrong(_yields_empty, "a batch holds at least one record: hand on none when nothing is left"),
        Wrong(_clock_from_the_start, "a batch's time begins with its first record, not while it is still empty"),
        Wrong(_never_restarts, "each batch has a time of its own: start it again with the batch's first record"),
        Wrong(_clears, "the list that was handed on is emptied afterwards: start a new one instead of `clear`"),
        Wrong(_same_list, "the same list is handed on again and again, so earlier batches change: start a new one"),
        Wrong(
            _late_one_too_many,
            "a record that comes too late begins the next batch: look at the clock before you add it",
        ),
        Wrong(_everything_first, "the whole stream is read before the first batch comes out: memory follows the input"),
    ],
)

EXERCISES = (CUT, READ_RECORDS, STORE_ONCE, WAITS, BATCHES_IN_TIME)
