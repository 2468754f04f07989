"""Exercises of notebook 1: whole lines, bad lines, a delivery that counts once, where events wait, batches by time.

Idea        Each exercise rebuilds one promise of the pipeline in three to ten lines.
Invariant   Sources are one-shot and counted, so an answer that lists the whole stream first is caught.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/1_streaming_pipeline.ipynb · tests/workbook/test_exercises.py
"""

# ruff: noqa: ARG005, B007 - probes ignore arguments

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count, islice
from typing import Any

from arion_lib.short_repr import short_repr
from arion_lib.units import how_many
from arion_lib.workbook.checking.exercise import Answer, Case, Exercise, Wrong
from arion_lib.workbook.checking.outcome import Counted, first, peak_of, traced

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


def _byte_by_byte(chunks: Iterable[Any]) -> Iterator[bytes]:
    line = b""
    for chunk in chunks:
        for byte in chunk:
            if byte == b"\n":
                yield line
                line = b""
            else:
                line += bytes([byte])
    if line:
        yield line


def _cutting(*chunks: bytes) -> Case:
    return Case(f"cut({list(chunks)})", lambda answer: first(answer(iter(chunks))))


def _held(answer: Answer) -> object:
    lines = (b"x" * 10_000 + b"\n" for _ in range(400))
    return peak_of(lambda: [None for _ in answer(lines)]) < 2_000_000


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
        _cutting(b"one\n  "),
        _endless_chunks(1),
        _endless_chunks(2),
        Case("4 MB in chunks of a line each   -> whether less than 2 MB were held", _held, within=traced),
    ],
    wrong=[
        Wrong(
            "a line may begin in one chunk and end in the next: keep the rest for the next chunk",
            {'*lines, rest = (rest + chunk).split(b"\\n")': 'lines = filter(None, chunk.split(b"\\n"))'},
        ),
        Wrong(
            "a chunk is not a line: keep what stands behind its last newline, it begins the next line or is nothing",
            {'*lines, rest = (rest + chunk).split(b"\\n")': 'lines = chunk.split(b"\\n")'},
        ),
        Wrong('a chunk is bytes: cut at b"\\n", a text cuts no bytes', {'split(b"\\n")': 'split("\\n")'}),
        Wrong(
            "the last line may lack its newline: hand on what is left when the chunks end",
            {"    if rest:\n        yield rest\n": ""},
        ),
        Wrong(
            "the whole body is read before the first line comes out: memory follows the input",
            {"in chunks:": 'in [b"".join(chunks)]:'},
        ),
        Wrong(
            "every line is kept until the end: memory follows the input",
            {'rest = b""': 'rest, seen = b"", []', "yield from lines": "seen += lines\n        yield from lines"},
        ),
        Wrong(
            "behind the last newline is nothing: hand on the rest only when there is one",
            {"    if rest:\n        yield rest": "    yield rest"},
        ),
        Wrong("a line of blanks is a line, too, also at the end", {"if rest:": "if rest.strip():"}),
        Wrong(
            "`splitlines` also cuts at a carriage return; a record ends at a newline only",
            {
                '*lines, rest = (rest + chunk).split(b"\\n")': "lines = (rest + chunk).splitlines()",
                "yield from lines": 'rest = lines.pop() if lines and chunk[-1:] != b"\\n" else b""\n'
                "        yield from lines",
            },
        ),
        Wrong(
            "hand the line on as it came: `strip` takes off more than the newline",
            {"yield from lines": "yield from (line.strip() for line in lines)"},
        ),
        Wrong('a byte of a bytes object is a number: `for byte in chunk` never meets b"\\n"', answer=_byte_by_byte),
        Wrong(
            "hand the line on without its newline",
            {"yield from lines": 'yield from (line + b"\\n" for line in lines)'},
        ),
        Wrong(
            "a line is handed on as bytes, as it came; who reads it decodes it",
            {
                "yield from lines": "yield from (line.decode() for line in lines)",
                "yield rest": "yield rest.decode()",
            },
        ),
        Wrong(
            "a chunk may end inside a character: cut the bytes, decode nothing here",
            {
                'rest = b""': 'rest = ""',
                '(rest + chunk).split(b"\\n")': '(rest + chunk.decode()).split("\\n")',
                "yield from lines": "yield from (line.encode() for line in lines)",
                "yield rest": "yield rest.encode()",
            },
        ),
        Wrong(
            "an empty line is a line, too: else the numbers of all later lines are wrong",
            {"yield from lines": "yield from filter(None, lines)"},
        ),
        Wrong(
            "an empty chunk is not the end of the body",
            {"in chunks:\n": "in chunks:\n        if not chunk:\n            break\n"},
        ),
        Wrong(
            "a chunk may hold several lines: cut until no newline is left in it",
            {
                '*lines, rest = (rest + chunk).split(b"\\n")': 'line, newline, rest = (rest + chunk).partition(b"\\n")',
                "yield from lines": "if newline:\n            yield line\n        else:\n            rest = line",
            },
        ),
        Wrong(
            "hand on a line as soon as its newline is there, not one chunk later",
            {
                'rest = b""': 'rest = late = b""',
                '(rest + chunk).split(b"\\n")': '(rest + late).split(b"\\n")\n        late = chunk',
                "    if rest:": '    *lines, rest = (rest + late).split(b"\\n")\n    yield from lines\n    if rest:',
            },
        ),
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


def _stops_at_the_first(lines: Iterable[bytes], on_bad: OnBad) -> Iterator[Any]:
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            yield json.loads(line)
    except ValueError:
        on_bad(number, line)


def _reading(*lines: bytes | None) -> Case:
    def probe(answer: Answer) -> object:
        bad: list[tuple[int, bytes]] = []

        def on_bad(number: int, line: bytes) -> None:
            bad.append((number, line))

        try:
            records = first(answer(iter(lines), on_bad))
        except (TypeError, AttributeError) as error:
            if None in lines and not bad:
                return "its error comes out"  # which one depends on what the answer does with a line
            raise error from None
        return records, [(number, line and line[:60]) for number, line in bad]

    words = ", ".join(short_repr(line, 60) for line in lines)
    return Case(f"read_records(iter([{words}]), on_bad)   -> (records, what on_bad got)", probe)


def _endless_lines(answer: Answer) -> object:
    lines = Counted((b'{"n": %d}' % n for n in count()), at_most=2)
    return first(answer(lines, lambda number, line: None), 2)


def _held_records(answer: Answer) -> object:
    lines = (b'"%s"' % (b"x" * 10_000) for _ in range(400))
    return peak_of(lambda: [None for _ in answer(lines, lambda number, line: None)]) < 2_000_000


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
        _reading(b"null"),
        _reading(b""),
        _reading(b"nope "),
        _reading(b"nope", b'{"n": 2}'),
        _reading(b'{"n": 1}', b"nope", b'{"n": 3}', b'{"n":', b'{"n": 5}'),
        _reading(b"\xff", b'{"n": 2}'),
        _reading(b"[" * 200_000, b'{"n": 2}'),
        _reading(b'{"n": 1}', None),  # no bad line but a bug in the program before it
        Case("two records of a stream without end", _endless_lines),
        Case("4 MB of lines   -> whether less than 2 MB were held", _held_records, within=traced),
    ],
    wrong=[
        Wrong(
            "one bad line ends the whole stream: catch the error of each line",
            {"except (ValueError, RecursionError):\n            on_bad(number, line)": "except ():\n            pass"},
        ),
        Wrong(
            "the `try` stands around the loop, so everything after the first bad line is lost",
            answer=_stops_at_the_first,
        ),
        Wrong(
            "the whole stream is listed before the first record comes out: memory follows the input",
            {"(lines, 1)": "(list(lines), 1)"},
        ),
        Wrong(
            "every record is kept until the end: memory follows the input",
            {
                "    for number": "    seen = []\n    for number",
                "yield record": "seen.append(record)\n            yield record",
            },
        ),
        Wrong("lines are numbered from 1, as an editor shows them", {"(lines, 1)": "(lines)"}),
        Wrong(
            "the number is the line's place in the stream, not a count of the bad ones",
            {"    for number": "    bad = 0\n    for number", "on_bad(number, line)": "on_bad(bad := bad + 1, line)"},
        ),
        Wrong("the bad line is dropped silently: hand it to `on_bad`", {"on_bad(number, line)": "pass"}),
        Wrong(
            "an empty line is no record: hand it to `on_bad`, or it vanishes silently",
            {"        try:": '        if line == b"":\n            continue\n        try:'},
        ),
        Wrong("hand the bad line on as it came", {"on_bad(number, line)": "on_bad(number, line.strip())"}),
        Wrong(
            "a bad line gives no record at all, not even None",
            {"        else:\n            yield record": "            record = None\n        yield record"},
        ),
        Wrong(
            "an empty record is still a record: test whether it was read, not whether it is true",
            {"yield record": "if record or record is None:\n                yield record"},
        ),
        Wrong(
            "null is JSON, too: None is a record like any other",
            {"yield record": "if record is not None:\n                yield record"},
        ),
        Wrong(
            "a line that is no bytes at all is a bug in the program: catch what bad input raises, let the rest out",
            {"(ValueError, RecursionError)": "Exception"},
        ),
        Wrong(
            "a line that is nested too deeply raises RecursionError, which is no ValueError",
            {"(ValueError, RecursionError)": "ValueError"},
        ),
        Wrong(
            "bytes that are not UTF-8 raise UnicodeDecodeError; both errors are ValueErrors",
            {"(ValueError, RecursionError)": "(json.JSONDecodeError, RecursionError)"},
        ),
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


_BOTH = "_insert(db, batch)\n            _progress(db, delivery, done)"


def _unknown(db: sqlite3.Connection, batch: Iterable[str]) -> list[str]:
    known = {value for (value,) in db.execute("SELECT value FROM events")}
    return [value for value in batch if value not in known]


class _Database(sqlite3.Connection):
    """Closes itself when nothing refers to it: a check's time may be up between its opening and the block it is for."""

    def __del__(self) -> None:
        self.close()


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
        with closing(sqlite3.connect(":memory:", factory=_Database)) as db:
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

    how = f", the first killed after {how_many(cut, 'commits')}" if cut is not None else ""
    how += f", the first broken off after {how_many(breaks, 'records')}" if breaks is not None else ""
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
        Wrong(
            "parameters are a list: `[delivery]`; a text in its place is taken for a list of its letters",
            {
                "done = _done(db, delivery)": 'row = db.execute("SELECT done FROM deliveries WHERE id = ?", delivery)'
                ".fetchone()\n    done = row[0] if row else 0"
            },
        ),
        Wrong(
            "records come one after the other and have no places: `islice(records, done, None)` skips, a slice cannot",
            {"islice(records, done, None)": "records[done:]"},
        ),
        Wrong(
            "a row is a tuple, also of one column: `row[0]` is the number; and there is no row before the first batch",
            {
                "done = _done(db, delivery)": 'row = db.execute("SELECT done FROM deliveries WHERE id = ?", [delivery])'
                "\n    done = row.fetchone() or 0"
            },
        ),
        Wrong(
            "before its first batch a delivery has no row: `fetchone()` gives None then",
            {
                "done = _done(db, delivery)": 'row = db.execute("SELECT done FROM deliveries WHERE id = ?", [delivery])'
                "\n    done = row.fetchone()[0]"
            },
        ),
        Wrong(
            "from its second batch on a delivery has its row already: INSERT OR REPLACE",
            {"_progress(db, delivery, done)": 'db.execute("INSERT INTO deliveries VALUES (?, ?)", (delivery, done))'},
        ),
        Wrong(
            "a delivery that comes again counts again: look up how far it got and skip that much",
            {"done = _done(db, delivery)": "done = 0"},
        ),
        Wrong(
            "killed between the two commits, the rows are there and the progress is not: one transaction",
            {"            _progress(": "        with db:\n            _progress("},
        ),
        Wrong(
            "killed between the two commits, the progress is there and the rows are not: one transaction",
            {_BOTH: "_progress(db, delivery, done)\n        with db:\n            _insert(db, batch)"},
        ),
        Wrong(
            "a delivery can be half done: to know that it was seen is not to know how far it got",
            {"    for batch": "    if done:\n        return\n    for batch"},
        ),
        Wrong(
            "a delivery marked only at its end counts its first part again after a crash",
            {_BOTH: "_insert(db, batch)\n    with db:\n        _progress(db, delivery, done)"},
        ),
        Wrong(
            "progress must count records: batches are counted here and records are skipped",
            {"done += len(batch)": "done += 1"},
        ),
        Wrong(
            "`executemany` wants a row for each record: a text alone counts as a row of letters",
            {"_insert(db, batch)": 'db.executemany("INSERT INTO events VALUES (?)", batch)'},
        ),
        Wrong(
            "progress is counted from the start of the delivery: add up the batches",
            {"done += len(batch)": "done = len(batch)"},
        ),
        Wrong(
            "nothing was committed: without `with db:` the rows end with the process",
            {"with db:": "if batch:"},
        ),
        Wrong(
            "two equal records are two records: the place in the delivery tells them apart, not the value",
            {"islice(records, done, None)": "records", "_insert(db, batch)": "_insert(db, _unknown(db, batch))"},
        ),
        Wrong(
            "one transaction for the whole delivery loses everything when it breaks: commit each batch",
            {"with db:": "if batch:", "    for batch": "    with db:\n     for batch"},
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
        Wrong(
            "what does not fit into the queue must wait at the sender: here it vanishes",
            {"sender -= moved": "sender = 0"},
        ),
        Wrong(
            "what waits at the sender moves into the queue as soon as there is room: here it stays for ever",
            {
                "sender += due": "sender += due - min(due, bound - queued)",
                "min(sender,": "min(due,",
                "sender -= moved": "",
            },
        ),
        Wrong(
            "the queue holds at most `bound`: only what fits moves into it",
            {"min(sender, bound - queued)": "sender"},
        ),
        Wrong(
            "`bound - queued` is the room that is left; `bound` is the room of an empty queue",
            {"bound - queued": "bound"},
        ),
        Wrong(
            "the sink cannot take more than there is: a queue does not hold less than nothing",
            {"max(queued + moved - storing, 0)": "queued + moved - storing"},
        ),
        Wrong(
            "in each second events move into the queue before the sink takes some out",
            {
                "sender += due": "sender += due\n        queued = max(queued - storing, 0)",
                "max(queued + moved - storing, 0)": "queued + moved",
            },
        ),
        Wrong(
            "what stood in the queue before has not come now: take from the sender what moves, no more",
            {"min(sender, bound - queued)": "min(queued + due, bound)", "queued + moved": "moved"},
        ),
        Wrong("yield your queue first, then the sender", {"yield queued, sender": "yield sender, queued"}),
        Wrong("yield each second as it comes, before you take the next", {"in arriving:": "in list(arriving):"}),
        Wrong("yield a pair for each second, not one for all", {"        yield queued": "    return queued"}),
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


_FULL = "        if len(batch) == size:\n            yield batch\n            batch = []\n"
_LATE = "        if batch and now - opened >= seconds:\n            yield batch\n            batch = []\n"


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
        Wrong(
            "a batch waits for its size however long that takes: ask `clock()`, and no other clock, at each record",
            {"batch and now - opened >= seconds": "False"},
        ),
        Wrong(
            "a record that comes exactly `seconds` after the first closes the batch: `>=`",
            {">= seconds": "> seconds"},
        ),
        Wrong(
            "the time counts from the first record of the batch, not from the one before",
            {"if not batch:\n            opened = now": "opened = now"},
        ),
        Wrong(
            "a batch may not grow past `size`, however quickly the records come",
            {"len(batch) == size": "False"},
        ),
        Wrong(
            "a full batch is handed on at once, not when the next record comes",
            {_FULL: "", "now - opened >= seconds": "(now - opened >= seconds or len(batch) == size)"},
        ),
        Wrong(
            "the last batch may be smaller: hand it on when the records end",
            {"    if batch:\n        yield batch": ""},
        ),
        Wrong(
            "a batch holds at least one record: hand on none when nothing is left",
            {"    if batch:\n        yield batch": "    yield batch"},
        ),
        Wrong(
            "a batch's time begins with its first record, not while it is still empty",
            {
                "opened = 0.0": "opened = clock()",
                "batch = []\n        if not batch:\n            opened = now": "batch, opened = [], now",
                "batch = []\n    if": "batch, opened = [], clock()\n    if",
            },
        ),
        Wrong(
            "each batch has a time of its own: start it again with the batch's first record",
            {"opened = 0.0": "opened = None", "if not batch": "if opened is None"},
        ),
        Wrong(
            "the list that was handed on is used again, so earlier batches change: start a new one, do not `clear`",
            {
                "batch = []\n        if not": "batch.clear()\n        if not",
                "batch = []\n    if": "batch.clear()\n    if",
            },
        ),
        Wrong(
            "a record that comes too late begins the next batch: look at the clock before you add it",
            {_LATE: "", "len(batch) == size": "len(batch) == size or now - opened >= seconds"},
        ),
        Wrong(
            "the whole stream is read before the first batch comes out: memory follows the input",
            {"in records:": "in list(records):"},
        ),
    ],
)

EXERCISES = (CUT, READ_RECORDS, STORE_ONCE, WAITS, BATCHES_IN_TIME)
