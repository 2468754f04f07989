"""What only the queue of files promises: no torn file, no endless listing, clocks that jump, Windows' locks."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from arion_lib.pipeline.broker import BrokerError, BrokerFull, BrokerStatus, Claim
from arion_lib.pipeline.queues import durable, frames
from arion_lib.pipeline.queues import file_queue as broker_module
from arion_lib.pipeline.queues.file_queue import FileBroker
from tests.selection import examples


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def files(path: Path) -> dict[str, int]:
    return {folder.name: len(list(folder.iterdir())) for folder in path.iterdir()}


def test_a_publish_writes_aside_forces_to_disk_renames_and_forces_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, str]] = []
    queue = FileBroker(tmp_path)
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        kind = "folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file"
        steps.append(("sync", kind))
        real_sync(descriptor)

    def replace(source: Path, target: Path) -> Path:
        steps.append((source.parent.name, target.parent.name))
        return real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    queue.publish("orders", [b"1"])
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc: whether a descriptor is a folder's cannot be told here")
    assert steps == [("sync", "file"), ("new", "ready"), ("sync", "folder")]


def test_a_full_disk_publishes_nothing_leaves_nothing_and_is_over_when_there_is_room(
    no_leaks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    queue = FileBroker(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(durable, "_sync", no_room)
        with pytest.raises(BrokerFull, match="no room left"):
            queue.publish("orders", [b"1"])
    assert files(tmp_path) == {"new": 0, "ready": 0, "claimed": 0, "dead": 0}
    queue.publish("orders", [b"1"])
    assert queue.status().ready == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs setrlimit on the size of files")
def test_a_file_that_the_system_lets_grow_no_further_is_a_full_queue(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from arion_lib.pipeline.broker import BrokerFull
from arion_lib.pipeline.queues.file_queue import FileBroker
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
queue = FileBroker(sys.argv[1])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
queue.publish("s", [b"fits"])
try:
    queue.publish("s", [b"x" * 100_000])
except BrokerFull:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    queue.publish("s", [b"x" * 100_000])
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60, check=False).returncode == 7
    assert files(tmp_path) == {"new": 0, "ready": 2, "claimed": 0, "dead": 0}


def test_the_names_of_new_folders_are_forced_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    FileBroker(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"] + [tmp_path / "a" / "b"] * 4
    FileBroker(tmp_path / "a" / "b")
    assert len(synced) == 6, "they are there already"


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 20, -1])
def test_a_torn_file_goes_aside_and_the_rest_is_delivered(no_leaks: None, tmp_path: Path, cut: int) -> None:
    queue = FileBroker(tmp_path)
    for number in range(3):
        queue.publish("orders", [b"message %d" % number])
    torn = sorted((tmp_path / "ready").iterdir())[1]
    torn.write_bytes(torn.read_bytes()[:cut])
    delivered = [claim.messages[0] for claim in iter(queue.claim, None) if queue.ack(claim)]
    assert delivered == [b"message 0", b"message 2"]
    assert queue.status() == BrokerStatus(0, 0, 1, 0)


def test_what_a_producer_left_unfinished_is_never_delivered_and_swept_away_later(tmp_path: Path) -> None:
    queue = FileBroker(tmp_path)
    fresh, old = tmp_path / "new" / "fresh", tmp_path / "new" / "old"
    for path in (fresh, old):
        path.write_bytes(frames.encode([b"orders", b"half"])[:15])
    os.utime(old, (0, 0))
    assert queue.claim() is None
    FileBroker(tmp_path)
    assert (fresh.exists(), old.exists()) == (True, False)


def test_a_note_that_somebody_left_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    queue = FileBroker(tmp_path)
    note = tmp_path / "ready" / "README.txt"
    note.write_text("look here")
    queue.publish("orders", [b"1"])
    claim = queue.claim()
    assert claim is not None
    assert claim.messages == [b"1"]
    assert note.exists()


def test_small_blocks_of_one_stream_are_joined_up_to_the_limit(no_leaks: None, tmp_path: Path) -> None:
    queue = FileBroker(tmp_path)
    for stream, messages in [("a", [b"1", b"2"]), ("a", [b"3"]), ("a", [b"4", b"5"]), ("b", [b"6"]), ("a", [b"7"])]:
        queue.publish(stream, messages)
    claims = [queue.claim(limit=4) for _ in range(4)]
    assert [list(claim.messages) for claim in claims if claim] == [[b"1", b"2", b"3"], [b"4", b"5"], [b"6"], [b"7"]]
    assert claims[0] is not None
    assert queue.nack(claims[0])
    assert queue.status() == BrokerStatus(2, 3, 0, 7)


def test_a_clock_that_is_put_back_does_not_hold_a_dead_consumers_claim_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    dead, alive = (FileBroker(tmp_path, claim_timeout=30.0, clock=clock) for _ in range(2))
    dead.publish("orders", [b"1"])
    assert dead.claim() is not None
    clock.now -= 86_400.0
    assert alive.claim() is not None


def test_names_of_one_producer_grow_though_its_clock_is_put_back(tmp_path: Path) -> None:
    clock = Clock()
    queue = FileBroker(tmp_path, clock=clock)
    for number in range(5):
        queue.publish("orders", [b"%d" % number])
        clock.now -= 10.0
    assert [claim.messages for claim in iter(queue.claim, None)] == [[b"%d" % number] for number in range(5)]


def listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count how often the folder of waiting blocks is listed."""
    seen: list[str] = []
    real = os.listdir

    def listdir(path: Path) -> list[str]:
        seen.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    return seen


def drained(claim: Callable[[], Claim | None], ack: Callable[[Claim], bool]) -> int:
    count = 0
    while (found := claim()) is not None:
        count += ack(found)
    return count


def test_a_long_queue_is_not_listed_for_each_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = FileBroker(tmp_path)
    for number in range(100):
        queue.publish("orders", [b"%d" % number])
    monkeypatch.setattr(broker_module, "_LISTED", 25)
    seen = listings(monkeypatch)
    assert drained(queue.claim, queue.ack) == 100
    assert seen.count("ready") <= 100 / 25 + 2


def test_a_queue_without_a_remembered_listing_is_listed_for_each_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = FileBroker(tmp_path)
    for number in range(100):
        queue.publish("orders", [b"%d" % number])
    monkeypatch.setattr(broker_module, "_LISTED", 1)
    seen = listings(monkeypatch)
    assert drained(queue.claim, queue.ack) == 100
    assert not seen.count("ready") <= 100 / 25 + 2


def test_waiting_for_another_process_looks_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = FileBroker(tmp_path)
    seen = listings(monkeypatch)
    assert queue.claim(timeout=0.3) is None
    assert seen.count("ready") <= 20, "a loop without pauses looks thousands of times"


def test_closing_wakes_the_consumer_that_waits_for_ever(no_leaks: None, tmp_path: Path) -> None:
    queue = FileBroker(tmp_path)
    errors: list[Exception] = []

    def consume() -> None:
        try:
            queue.claim(timeout=None)
        except BrokerError as error:
            errors.append(error)

    waiting = threading.Thread(target=consume)
    waiting.start()
    queue.close()
    waiting.join(30.0)
    assert [str(error) for error in errors] == ["the queue is closed; open a new one"]


@pytest.mark.parametrize("operation", ["replace", "unlink"])
def test_a_file_that_windows_holds_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    refusals = iter([PermissionError(13, "used by another process")] * 3)
    real = getattr(Path, operation)

    def busy(path: Path, *arguments: Path) -> object:
        for refusal in refusals:
            raise refusal
        return real(path, *arguments)

    monkeypatch.setattr(Path, operation, busy)
    monkeypatch.setattr(durable, "_sharing_pauses", lambda: iter([0.0] * 9 + [None]))
    queue = FileBroker(tmp_path)
    queue.publish("orders", [b"1"])
    claim = queue.claim()
    assert claim is not None
    assert queue.ack(claim)


def test_a_claimed_file_that_windows_holds_for_a_moment_is_delivered_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once renamed it is this consumer's: not delivered, it would lie there until its time-out."""
    queue = FileBroker(tmp_path)
    queue.publish("orders", [b"1"])
    refusals = iter([PermissionError(13, "used by another process")])
    real = Path.read_bytes

    def busy(path: Path) -> bytes:
        for refusal in refusals:
            raise refusal
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", busy)
    with monkeypatch.context() as impatient:  # the control: without patience the claim fails
        impatient.setattr(durable, "_sharing_pauses", lambda: iter([None]))
        with pytest.raises(PermissionError):
            durable.read(tmp_path / "any")
    refusals = iter([PermissionError(13, "used by another process")])
    monkeypatch.setattr(durable, "_sharing_pauses", lambda: iter([0.0, None]))
    claim = queue.claim()
    assert claim is not None
    assert claim.messages == [b"1"]


def test_where_a_drive_knows_no_full_sync_a_plain_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-in: `fcntl` as macOS has it, and a network drive's answer."""
    fcntl = pytest.importorskip("fcntl")
    steps: list[str] = []
    answer = [errno.ENOTSUP]

    def full_sync(descriptor: int, command: int) -> None:
        steps.append("full")
        if answer[0]:
            raise OSError(answer[0], os.strerror(answer[0]))

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", full_sync)
    monkeypatch.setattr(os, "fsync", lambda descriptor: steps.append("plain"))
    monkeypatch.setattr(durable.sys, "platform", "darwin")
    durable.write_durably(tmp_path / "file", b"1")
    assert steps == ["full", "plain"]
    answer[0] = 0
    durable.sync_folder(tmp_path)
    assert steps == ["full", "plain", "full"]
    answer[0] = errno.EIO  # the control: a disk that fails is an error
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        durable.sync_folder(tmp_path)


def test_a_file_that_stays_held_is_an_error_and_not_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: Path, target: Path) -> Path:
        raise PermissionError(13, "used by another process")

    queue = FileBroker(tmp_path)
    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(BrokerError, match="cannot publish"):
        queue.publish("orders", [b"1"])
    assert files(tmp_path)["new"] == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"claim_timeout": 0}, "claim_timeout must be > 0 seconds, got 0"),
        ({"max_attempts": 0}, "max_attempts must be >= 1 or None, got 0"),
    ],
)
def test_nonsense_is_refused_when_the_queue_is_opened(tmp_path: Path, wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FileBroker(tmp_path, **wrong)  # type: ignore[arg-type]


def test_a_folder_that_is_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "queue").write_text("")
    with pytest.raises(BrokerError, match="cannot use the folder"):
        FileBroker(tmp_path / "queue")


# -- random interleavings of everything, against a model


@dataclass
class Model:
    """What must be true: each message is waiting, lent until a deadline, or gone for good."""

    waiting: set[bytes] = field(default_factory=set)
    lent: dict[str, tuple[float, tuple[bytes, ...]]] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)


TIMEOUT = 30.0


class Interleavings(RuleBasedStateMachine):
    """Two processes' worth of consumers on one folder, a clock that jumps, crashes at every step."""

    claims = Bundle("claims")

    @initialize()
    def start(self) -> None:
        self.path = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.model = Model()
        self.count = 0
        self.brokers = [self.open(), self.open()]

    def open(self) -> FileBroker:
        return FileBroker(self.path / "queue", claim_timeout=TIMEOUT, clock=self.clock)

    @rule(who=st.integers(0, 1), size=st.integers(1, 3), stream=st.sampled_from(["a", "b"]))
    def publish(self, who: int, size: int, stream: str) -> None:
        messages = [b"%d" % number for number in range(self.count, self.count + size)]
        self.count += size
        self.brokers[who].publish(stream, messages)
        self.model.waiting.update(messages)

    @rule(target=claims, who=st.integers(0, 1), limit=st.integers(1, 5))
    def claim(self, who: int, limit: int) -> tuple[int, Claim] | None:
        claim = self.brokers[who].claim(limit)
        self.expire()
        if claim is None:
            assert not self.model.waiting, "something waits and was not delivered"
            return None
        assert set(claim.messages) <= self.model.waiting, "delivered though it was gone, or lent to somebody"
        self.model.waiting -= set(claim.messages)
        self.model.lent[claim.id] = (self.clock.now + TIMEOUT, tuple(claim.messages))
        return who, claim

    @rule(taken=consumes(claims))
    def ack(self, taken: tuple[int, Claim] | None) -> None:
        if taken is not None:
            who, claim = taken
            if self.brokers[who].ack(claim):
                self.model.gone.update(self.model.lent.pop(claim.id)[1])
            else:
                self.settle_lost(claim)

    @rule(taken=consumes(claims))
    def nack(self, taken: tuple[int, Claim] | None) -> None:
        if taken is not None:
            who, claim = taken
            if self.brokers[who].nack(claim):
                self.model.waiting.update(self.model.lent.pop(claim.id)[1])
            else:
                self.settle_lost(claim)

    def settle_lost(self, claim: Claim) -> None:
        """A joined claim may be lost in part; only its own time-out can have done that."""
        lent = self.model.lent.pop(claim.id, None)
        if lent is not None:
            assert lent[0] <= self.clock.now, "lost before its deadline"
            self.model.waiting.update(lent[1])

    @rule(seconds=st.sampled_from([1.0, 29.0, 31.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(who=st.integers(0, 1))
    def crash(self, who: int) -> None:
        self.brokers[who] = self.open()  # the old one is forgotten in the middle of whatever it did

    def expire(self) -> None:
        for name, (deadline, messages) in list(self.model.lent.items()):
            if deadline <= self.clock.now:
                self.model.waiting.update(messages)
                del self.model.lent[name]

    @precondition(lambda self: hasattr(self, "brokers"))
    @invariant()
    def every_message_is_in_one_place(self) -> None:
        status = self.brokers[0].status()
        assert status.messages == self.count - len(self.model.gone)
        assert status.dead == 0

    def teardown(self) -> None:
        if hasattr(self, "brokers"):
            self.clock.now += TIMEOUT + 1.0
            left = [message for claim in iter(self.brokers[0].claim, None) for message in claim.messages]
            assert len(left) == len(set(left))
            assert set(left) | self.model.gone == {b"%d" % number for number in range(self.count)}
            shutil.rmtree(self.path)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)


class ClaimsByReading(FileBroker):
    """The control: claims by reading the file where it lies and deletes it at once."""

    def _grab(self, name: str) -> Claim | None:
        claim = super()._grab(name)
        if claim is not None:
            with contextlib.suppress(BrokerError):
                self.ack(claim)
        return claim


def test_the_model_notices_a_queue_that_deletes_when_it_reads() -> None:
    class Naive(Interleavings):
        def open(self) -> FileBroker:
            return ClaimsByReading(self.path / "queue", claim_timeout=TIMEOUT, clock=self.clock)

    case = Naive()
    case.start()
    try:
        case.publish(0, 1, "a")
        case.claim(0, 1)
        with pytest.raises(AssertionError):
            case.every_message_is_in_one_place()
    finally:
        shutil.rmtree(case.path)


def test_a_file_of_somebody_else_in_the_queue_is_left_alone_and_does_not_keep_a_claim(tmp_path: Path) -> None:
    with FileBroker(tmp_path) as broker:
        for foreign in (".DS_Store", "notes.txt", "00000000000000000000-a-0-0"):
            (tmp_path / "ready" / foreign).write_bytes(b"theirs")
        assert broker.claim() is None
        broker.publish("s", [b"1"])
        claim = broker.claim()
        assert claim is not None
        assert claim.messages == [b"1"]
        assert sorted(path.name for path in (tmp_path / "ready").iterdir())[0] == ".DS_Store"


def test_streams_whose_names_share_a_short_checksum_are_not_mixed(tmp_path: Path) -> None:
    one, other = "9678pr8r", "1jupnibh"
    assert zlib.crc32(one.encode()) == zlib.crc32(other.encode())  # the control
    with FileBroker(tmp_path) as broker:
        broker.publish(one, [b"1"])
        broker.publish(other, [b"2"])
        claims = [broker.claim(limit=10), broker.claim(limit=10)]
        assert [(claim.stream, list(claim.messages)) for claim in claims if claim] == [(one, [b"1"]), (other, [b"2"])]


def test_the_order_is_kept_when_the_clock_goes_back_and_the_producer_is_another(tmp_path: Path) -> None:
    for number, now in enumerate((1_000.0, 900.0, 950.0)):
        with FileBroker(tmp_path, clock=lambda now=now: now) as broker:  # type: ignore[misc]
            broker.publish("s", [b"%d" % number])
    with FileBroker(tmp_path, clock=lambda: 1_000.0) as broker:
        claims = [broker.claim() for _ in range(3)]
        assert [claim.messages for claim in claims if claim] == [[b"0"], [b"1"], [b"2"]]
