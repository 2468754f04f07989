"""What only the SQLite store promises: the disk, the file, its pragmas and its size in memory."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from arion_lib.pipeline.batch import Aggregate, Batch, DeadLetter
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.store import StoreBroken, StoreBusy, StoreError, StoreFull, open_store
from arion_lib.pipeline.stores.sqlite import SqliteStore
from tests.pipeline.meeting import Meeting

ROWS = [b'{"event":%d,"text":"%s"}' % (number, b"x" * 500) for number in range(1_000)]


def test_each_commit_waits_for_the_disk_in_wal_mode_with_a_small_cache(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store:
        settings = {
            name: store._connections.writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "cache_size", "fullfsync", "checkpoint_fullfsync")
        }
        assert settings == {
            "journal_mode": "wal",
            "synchronous": 2,  # FULL
            "cache_size": -4096,
            "fullfsync": 1,
            "checkpoint_fullfsync": 1,
        }
        store.commit(Batch("s", messages=[b"1"]))
        store.mark_published([1])  # this one need not wait for the disk ...
        assert store._connections.writer.execute("PRAGMA synchronous").fetchone()[0] == 2, (
            "... but the next one must again"
        )


def test_a_full_disk_leaves_nothing_half_written_and_is_over_when_there_is_room(no_leaks: None, tmp_path: Path) -> None:
    batch = Batch(
        "s",
        ROWS,
        messages=ROWS,
        dead=[DeadLetter(1, 1, "bad", b"")],
        deliveries=[Delivery("d", 1_001, True)],
    )
    with SqliteStore(tmp_path / "s.db", max_bytes=400_000) as store:
        store.commit(Batch("s", ROWS[:10]))
        for _ in range(2):
            with pytest.raises(StoreFull, match="nothing was written; make room and commit again"):
                store.commit(batch)
            assert store.done("s", "d") is None
            assert [row.body for row in store.rows("s", limit=10_000)] == ROWS[:10]
            assert store.outbox() == store.dead_letters("s") == []
        store.commit(Batch("s", ROWS[10:20]))  # what fits still goes in
        store._connections.writer.execute("PRAGMA max_page_count = 1000000")
        store.commit(batch)
        assert len(store.rows("s", limit=10_000)) == 1_020
        assert store.done("s", "d") is not None


def test_pruning_makes_room(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db", max_bytes=1_000_000) as store:
        blocks = [Batch("s", messages=[b"x" * 300_000]) for _ in range(3)]
        store.commit_all(blocks[:1])
        store.commit_all(blocks[1:2])
        with pytest.raises(StoreFull):
            store.commit_all(blocks)
        store.mark_published([entry.seq for entry in store.outbox()])
        assert store.prune(published=0.0).published == 2
        store.commit_all(blocks[:2])


@pytest.mark.skipif(sys.platform != "linux", reason="needs setrlimit on the size of files")
def test_a_file_that_the_system_lets_grow_no_further_is_an_error_and_the_store_goes_on(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.store import StoreError
from arion_lib.pipeline.stores.sqlite import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rows = [b"x" * 1_000] * 1_000
with SqliteStore(sys.argv[1]) as store:
    store.commit(Batch("s", rows[:5]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    for _ in range(2):
        try:
            store.commit(Batch("s", rows))
        except StoreError:
            assert len(store.rows("s", limit=10_000)) == 5
        else:
            raise SystemExit("a million bytes fit into 300,000")
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.commit(Batch("s", rows))
    assert len(store.rows("s", limit=10_000)) == 1_005
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "s.db")], check=True, timeout=60)


def test_a_file_that_is_no_database_is_refused_and_left_alone(no_leaks: None, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n" * 200)
    with pytest.raises(StoreBroken, match="is not a whole SQLite database"):
        SqliteStore(path)
    assert path.read_text() == "dear diary\n" * 200


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE streams (name)")
    theirs.commit()
    theirs.close()
    before = path.read_bytes()
    with pytest.raises(StoreBroken, match="not a pipeline store: name another file"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_damaged_file_is_a_clear_error(no_leaks: None, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with SqliteStore(path) as store:
        store.commit(Batch("s", ROWS))
    damaged = bytearray(path.read_bytes())
    damaged[8_192:] = b"\xa5" * (len(damaged) - 8_192)
    path.write_bytes(damaged)
    with pytest.raises(StoreBroken, match="restore it from a copy"), SqliteStore(path) as store:
        store.rows("s", limit=1_000)


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file"):
        SqliteStore(tmp_path / "missing" / "s.db")


def test_closing_folds_the_log_into_one_file(no_leaks: None, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store:
        store.commit(Batch("s", ROWS))
    assert [path.name for path in tmp_path.iterdir()] == ["s.db"]


def test_a_store_opens_by_path_and_by_url(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "a b%20c.db") as store:
        store.commit(Batch("s", ROWS[:1]))
    url = "sqlite:///" + str(tmp_path / "a b%20c.db").replace("%", "%25").replace(" ", "%20")
    for place in (url, str(tmp_path / "a b%20c.db"), tmp_path / "a b%20c.db"):
        with open_store(place) as store:
            assert len(store.rows("s")) == 1


def test_the_rows_are_json_text_for_sql(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store:
        store.commit(Batch("s", [b'{"a":{"b":7}}', '{"a":{"b":"é"}}'.encode()]))
    db = sqlite3.connect(tmp_path / "s.db")
    assert db.execute("SELECT typeof(body), json_extract(body, '$.a.b') FROM rows").fetchall() == [
        ("text", 7),
        ("text", "é"),
    ]
    db.close()


def test_messages_that_are_the_rows_take_no_room_of_their_own(tmp_path: Path) -> None:
    def size(name: str, batch: Batch) -> int:
        with SqliteStore(tmp_path / name) as store:
            store.commit(batch)
            return store.status().bytes

    alone = size("rows.db", Batch("s", ROWS))
    assert size("echo.db", Batch("s", ROWS, messages=ROWS)) < 1.05 * alone
    assert not size("copy.db", Batch("s", ROWS, messages=[row + b" " for row in ROWS])) < 1.05 * alone


MEMORY = """
import resource, sys
from arion_lib.pipeline.batch import Aggregate, Batch
from arion_lib.pipeline.stores.sqlite import SqliteStore
path, groups, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
with SqliteStore(path) as store:
    for number in range(batches):
        if number == 5:
            base = peak()
        keys = [("user", (number * 7919 + step * 104729) % groups) for step in range(500)]
        store.commit(Batch("s", groups={key: Aggregate(1, sum=1) for key in keys}))
    sys.stdout.write(str(peak() - base))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the exact peak from /proc")
def test_memory_does_not_follow_the_number_of_groups(tmp_path: Path) -> None:
    def growth(groups: int) -> int:
        command = [sys.executable, "-c", MEMORY, str(tmp_path / f"{groups}.db"), str(groups), "120"]
        return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)

    assert growth(60_000) - growth(10) < 8 * 1024, "KiB: the cache of 4 MiB, and the map of the write-ahead log"


def test_a_hundred_reading_threads_leave_at_most_four_connections(no_leaks: None, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with SqliteStore(tmp_path / "s.db") as store:
        store.commit(Batch("s", ROWS))
        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(lambda _: len(store.rows("s", limit=1_000)), range(100))) == {1_000}
        assert 1 <= len(store._connections.idle) <= 4


def test_a_reader_never_waits_for_a_writer_and_sees_what_was_before(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db", busy_timeout=0.0) as store:
        store.commit(Batch("s", ROWS[:1]))
        with store._connections.transaction() as db:
            db.execute("DELETE FROM rows")
            assert len(store.rows("s")) == 1


def test_two_processes_that_make_the_store_at_once_both_get_it(tmp_path: Path) -> None:
    script = "import sys; from arion_lib.pipeline.stores.sqlite import SqliteStore; SqliteStore(sys.argv[1]).close()"
    children = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "s.db")]) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4


def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="was locked by another process"):
            SqliteStore(tmp_path / "s.db", busy_timeout=0.05)
        monkeypatch.setattr(time, "sleep", lambda _: other.execute("COMMIT"))
        SqliteStore(tmp_path / "s.db", busy_timeout=60).close()
        assert not other.in_transaction


def test_a_batch_may_be_committed_again_after_any_error(tmp_path: Path) -> None:
    """An error inside the transaction rolls back: the store is as if the batch had never been offered."""
    batch = Batch("new", ROWS[:1], {("a",): Aggregate(1, sum=1)}, deliveries=[Delivery("d", 1, True)])
    with SqliteStore(tmp_path / "s.db") as store:
        store._connections.writer.execute("DROP TABLE dead")
        broken = replace(batch, dead=[DeadLetter(1, 1, "x", b"")])
        with pytest.raises(StoreError, match="no such table: dead"):
            store.commit(broken)
        assert store.rows("new") == store.results("new") == []
        store.commit(batch)
        assert [row.body for row in store.rows("new")] == ROWS[:1]


@pytest.mark.posix("Windows lets nobody remove an open file")
@pytest.mark.parametrize("moved", ["removed", "replaced"])
def test_nothing_is_accepted_into_a_file_that_is_not_there_any_more(tmp_path: Path, moved: str) -> None:
    path = tmp_path / "s.db"
    with SqliteStore(path) as store:
        store.commit(Batch("s", ROWS[:1]))
        path.rename(tmp_path / "away.db")
        if moved == "replaced":
            path.write_bytes(b"")
        for call in (store.ping, lambda: store.commit(Batch("s", ROWS[:1]))):
            with pytest.raises(StoreBroken, match="must stay"):
                call()


def test_a_ping_writes_a_page_and_so_finds_a_disk_that_is_full(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store, contextlib.closing(sqlite3.connect(store.path)) as other:

        def version() -> int:
            return int(other.execute("PRAGMA data_version").fetchone()[0])

        before = version()
        with store._connections.transaction():
            pass
        assert version() == before  # the control: an empty transaction writes nothing
        store.ping()
        assert version() != before


def test_a_connection_that_is_given_back_while_the_store_is_closed_is_closed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    store._connections.idle = Meeting(store)
    with store._connections.reading() as db:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")
