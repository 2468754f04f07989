"""Group commit: durable before told, shared, bounded, and fair to the one that fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.batch import Aggregate, Batch
from arion_lib.pipeline.deliveries import Delivery, StaleDelivery
from arion_lib.pipeline.store import Outcome, Store, StoreBusy, StoreDown, StoreError, StoreFull
from arion_lib.web import group_commit
from arion_lib.web.committing.joining import Event, as_batch, join
from arion_lib.web.group_commit import FULL_FOR, CommitsClosed, GroupCommit, QueueFull

pytestmark = pytest.mark.usefixtures("no_leaks")


class GatedStore:
    """Commits only while the gate is open, and remembers each transaction."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.transactions: list[list[Batch]] = []
        self.failure: Exception | None = None

    def commit_all(self, batches: Iterable[Batch]) -> dict[int, Outcome]:
        self.entered.set()
        assert self.gate.wait(20)
        together = list(batches)
        if self.failure:
            raise self.failure
        stale = {
            index: StaleDelivery(batch.stream, batch.deliveries[0], None)
            for index, batch in enumerate(together)
            if any(delivery.start for delivery in batch.deliveries)
        }
        self.transactions.append([batch for index, batch in enumerate(together) if index not in stale])
        return {**self.left_out(together), **stale}

    @staticmethod
    def left_out(together: list[Batch]) -> dict[int, int]:
        """Pretend that the first event id of each batch is known."""
        return {index: 1 for index, batch in enumerate(together) if batch.ids}

    @property
    def rows(self) -> list[bytes]:
        return [row for together in self.transactions for batch in together for row in batch.rows]


@contextmanager
def writing(store: GatedStore, **options: Any) -> Iterator[GroupCommit]:
    commits = GroupCommit(cast(Store, store), **options)
    try:
        yield commits
    finally:
        store.gate.set()
        commits.close()


def row(text: bytes, stream: str = "s", deliveries: tuple[Delivery, ...] = ()) -> Batch:
    rows = [text]
    return Batch(stream, rows, messages=rows, deliveries=deliveries)


async def in_commit(store: GatedStore) -> None:
    assert await asyncio.to_thread(store.entered.wait, 20)


def test_nobody_is_told_before_the_commit_returned() -> None:
    async def scenario(commits: GroupCommit) -> None:
        future = commits.submit(row(b"1"))
        await in_commit(store)
        assert not future.done()
        store.gate.set()
        await future
        assert store.rows == [b"1"]

    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))


def test_posts_that_wait_share_the_next_transaction_and_one_alone_does_not_wait() -> None:
    async def scenario(commits: GroupCommit) -> None:
        first = commits.submit(row(b"0"))  # goes at once, alone
        await in_commit(store)
        waiting = [commits.submit(row(b"%d" % n)) for n in range(1, 11)]
        store.gate.set()
        await asyncio.gather(first, *waiting)

    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))
        assert [sum(len(batch.rows) for batch in together) for together in store.transactions] == [1, 10]
        assert commits.figures.commits == 2 < commits.figures.batches == 11


def test_the_queue_is_bounded_and_the_refused_batch_is_not_in_it() -> None:
    async def scenario(commits: GroupCommit) -> None:
        futures = [commits.submit(row(b"0"))]
        await in_commit(store)
        futures += [commits.submit(row(b"1")), commits.submit(row(b"2"))]
        with pytest.raises(QueueFull, match="at most 2"):
            commits.submit(row(b"3"))
        store.gate.set()
        await asyncio.gather(*futures)

    store = GatedStore()
    with writing(store, waiting=2) as commits:
        asyncio.run(scenario(commits))
    assert sorted(store.rows) == [b"0", b"1", b"2"]


def test_whose_events_were_known_is_told_so_and_nobody_else() -> None:
    async def scenario(commits: GroupCommit) -> None:
        first = commits.submit(row(b"0"))
        await in_commit(store)
        known = [commits.submit(Batch("s", [b"1", b"2"], ids=["a", "b"])) for _ in range(2)]
        others = [commits.submit(row(b"3")), commits.submit(row(b"4"))]
        stale = commits.submit(row(b"bad", deliveries=(Delivery("d", 2, True, start=1),)))
        store.gate.set()
        assert await asyncio.gather(first, *known, *others) == [0, 1, 1, 0, 0]
        with pytest.raises(StaleDelivery):
            await stale

    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))


def test_a_stale_delivery_fails_alone_though_it_was_joined_with_others() -> None:
    async def scenario(commits: GroupCommit) -> None:
        futures = [commits.submit(row(b"0"))]
        await in_commit(store)
        stale = commits.submit(row(b"bad", deliveries=(Delivery("d", 2, True, start=1),)))
        futures += [commits.submit(row(b"%d" % n)) for n in range(1, 4)]
        store.gate.set()
        await asyncio.gather(*futures)
        with pytest.raises(StaleDelivery):
            await stale

    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))
        assert commits.figures.failures == 1
    assert sorted(store.rows) == [b"0", b"1", b"2", b"3"]


def test_a_store_that_fails_tells_all_that_wait_and_the_writer_goes_on() -> None:
    async def scenario(commits: GroupCommit) -> None:
        store.failure = StoreBusy("locked")
        store.gate.set()
        futures = [commits.submit(row(b"%d" % n)) for n in range(3)]
        assert {type(result) for result in await asyncio.gather(*futures, return_exceptions=True)} == {StoreBusy}
        store.failure = None
        await commits.submit(row(b"later"))

    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))
    assert store.rows == [b"later"]


def test_a_store_without_room_says_so_until_something_fits_or_a_while_has_passed() -> None:
    """Else a balancer that sends nothing to who is down would never find out that there is room."""

    async def scenario(commits: GroupCommit) -> None:
        store.gate.set()
        for _ in range(2):
            store.failure = StoreFull("no room")
            with pytest.raises(StoreFull):
                await commits.submit(row(b"large"))
            assert commits.full
            now[0] += FULL_FOR
            assert not commits.full
        with pytest.raises(StoreFull):
            await commits.submit(row(b"large"))
        store.failure = None
        await commits.submit(row(b"small"))
        assert not commits.full

    store, now = GatedStore(), [100.0]
    with writing(store, clock=lambda: now[0]) as commits:
        assert not commits.full
        asyncio.run(scenario(commits))


@pytest.mark.parametrize("failure", [ValueError("not storable"), StoreError("a limit"), MemoryError(), KeyError("x")])
def test_one_batch_that_breaks_a_shared_transaction_is_its_own_senders_error_alone(failure: Exception) -> None:
    class Picky(GatedStore):
        def commit_all(self, batches: Iterable[Batch]) -> dict[int, Outcome]:
            together = list(batches)
            if any(b"bad" in batch.rows for batch in together):
                self.entered.set()
                raise failure
            return super().commit_all(together)

    async def scenario(commits: GroupCommit) -> None:
        first = commits.submit(row(b"0"))
        await in_commit(store)
        good = [commits.submit(row(b"1")), commits.submit(row(b"2")), commits.submit(row(b"3", "other"))]
        bad = commits.submit(row(b"bad"))
        grouped = commits.submit(Batch("s", [b"4"], ids=["a"]))
        store.gate.set()
        assert await asyncio.gather(first, *good, grouped) == [0, 0, 0, 0, 1]
        with pytest.raises(type(failure)):
            await bad

    store = Picky()
    with writing(store) as commits:
        asyncio.run(scenario(commits))
        assert commits.figures.failures == 1
    assert sorted(store.rows) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_store_that_is_away_is_not_asked_again_for_each_batch() -> None:
    class Away(GatedStore):
        attempts = 0

        def commit_all(self, batches: Iterable[Batch]) -> dict[int, Outcome]:
            self.attempts += 1
            return super().commit_all(batches)

    async def scenario(commits: GroupCommit) -> None:
        first = commits.submit(row(b"0"))
        await in_commit(store)
        store.failure = StoreDown("gone")
        waiting = [commits.submit(row(b"%d" % n, f"s{n}")) for n in range(20)]
        store.gate.set()
        found = await asyncio.gather(first, *waiting, return_exceptions=True)
        assert {type(one) for one in found[1:]} == {StoreDown}

    store = Away()
    with writing(store) as commits:
        asyncio.run(scenario(commits))
    assert store.attempts == 2


def test_an_error_outside_the_store_does_not_end_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(commits: GroupCommit) -> None:
        store.gate.set()
        with monkeypatch.context() as patch:
            patch.setattr(group_commit, "join", no_memory)
            with pytest.raises(MemoryError):
                await asyncio.wait_for(commits.submit(row(b"0")), 20)
        assert await asyncio.wait_for(commits.submit(row(b"1")), 20) == 0
        assert commits.failure() is None

    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))


def test_a_thread_that_ended_is_seen_and_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(commits: GroupCommit) -> None:
        monkeypatch.setattr(GroupCommit, "_count", no_memory)  # what nothing catches any more
        first = commits.submit(row(b"0"))
        await in_commit(store)
        second = commits.submit(row(b"1"))
        store.gate.set()
        for one in (first, second):
            with pytest.raises(CommitsClosed, match="has ended"):
                await asyncio.wait_for(one, 20)
        assert isinstance(commits.failure(), MemoryError)
        with pytest.raises(CommitsClosed):
            commits.submit(row(b"2"))

    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))


def no_memory(*_: object) -> None:
    raise MemoryError


def test_one_waiter_that_raises_does_not_leave_the_others_untold() -> None:
    class Raising:
        def get_loop(self) -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop() if loop is None else loop

        def done(self) -> bool:
            return False

        def set_result(self, left_out: int) -> None:
            raise RuntimeError("the answer could not be written")

        def set_exception(self, error: BaseException) -> None:
            raise error

    async def scenario(commits: GroupCommit) -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        first = commits.submit(row(b"0"))
        await in_commit(store)
        commits.submit_row("s", b"1", None, Raising())
        behind = commits.submit(row(b"2"))
        store.gate.set()
        await first
        assert await asyncio.wait_for(behind, 20) == 0

    loop: asyncio.AbstractEventLoop | None = None
    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))


def test_closing_commits_what_waits_and_takes_no_more() -> None:
    async def scenario() -> None:
        commits = GroupCommit(cast(Store, store))
        futures = [commits.submit(row(b"0"))]
        await in_commit(store)
        futures.append(commits.submit(row(b"1")))
        closing = asyncio.create_task(asyncio.to_thread(commits.close))
        store.gate.set()
        await closing
        await asyncio.gather(*futures)
        with pytest.raises(CommitsClosed):
            commits.submit(row(b"2"))

    store = GatedStore()
    asyncio.run(scenario())
    assert store.rows == [b"0", b"1"]


def test_a_cancelled_post_does_not_stop_the_others() -> None:
    async def scenario(commits: GroupCommit) -> None:
        first = commits.submit(row(b"0"))
        await in_commit(store)
        gone, stays = commits.submit(row(b"1")), commits.submit(row(b"2"))
        gone.cancel()
        store.gate.set()
        await asyncio.gather(first, stays)

    store = GatedStore()
    with writing(store) as commits:
        asyncio.run(scenario(commits))
    assert b"2" in store.rows


batches = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["rows", "groups", "ids", "empty"]), st.integers(0, 9)),
    max_size=12,
)


@given(batches)
def test_joining_keeps_every_row_once_and_its_place_in_its_stream(kinds: list[tuple[str, str, int]]) -> None:
    given_batches = [made(*kind) for kind in kinds]
    joined = join(given_batches)
    assert sorted(index for _, indices in joined for index in indices) == list(range(len(given_batches)))
    for batch, indices in joined:
        parts = [as_batch(given_batches[index]) for index in indices]
        assert [r for part in parts for r in part.rows] == list(batch.rows)
        assert [m for part in parts for m in part.messages] == list(batch.messages)
        assert [d for part in parts for d in part.deliveries] == list(batch.deliveries)
        assert {part.stream for part in parts} == {batch.stream}
        assert len(parts) == 1 or not any(part.groups or part.ids is not None for part in parts)


def made(stream: str, kind: str, number: int) -> Batch | Event:
    if kind == "event":
        return stream, b"%d" % number, str(number) if number % 2 else None
    rows = [b"%d" % number]
    if kind == "groups":
        return Batch(stream, groups={(number,): Aggregate(1)}, messages=[b"m"])
    if kind == "ids":
        return Batch(stream, rows, messages=rows, ids=[str(number)])
    if kind == "empty":
        return Batch(stream, deliveries=[Delivery(str(number), 0, True)])
    return Batch(stream, rows, messages=rows, deliveries=[Delivery(str(number), 1, True)])


@pytest.mark.parametrize("options", [{"waiting": 0}, {"together": 0}])
def test_a_queue_without_room_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        GroupCommit(cast(Store, GatedStore()), **options)
