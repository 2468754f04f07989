"""The line to a Dask cluster: who is there, and a conversation with each of them, in one thread.

Idea        Dask starts, connects, secures and restarts processes on many machines; what it is asked for here is only to
            run small functions on its workers (`Client.run`: 2 ms, where a task of dask's own takes 11 ms). Two of them
            make the conversation: one brings mail, however much has gathered; one waits until there is news.
Invariant   A site is joined once and lost once; nothing is heard of it afterwards.
When wrong  A conversation that breaks means that the site is lost; if dask still has that worker, it is joined afresh.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from arion_lib.scheduler import dask_worker
from arion_lib.scheduler.dask_worker import Hello, Mail, Word
from arion_lib.scheduler.errors import SchedulerError
from arion_lib.scheduler.snapshot import LaneStatus, Snapshot

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster

    from arion_lib.scheduler.task import Task

log = logging.getLogger(__name__)

T = TypeVar("T")
LOOPBACK = "127.0.0.1:0"
"""Where the dashboard listens: a free port of this machine only, so that no firewall asks about it."""
AGAIN = 0.25
"""Seconds after which a worker whose conversation broke is looked for once more."""
MUCH_LATER = 5.0
"""Seconds after which a worker that could not be joined is tried once more."""
LOOK = 2.0
"""Seconds that a look at the workers may take."""


class Sent:
    """One call that a site has: until it says that the call has ended."""

    __slots__ = ("at", "began", "number", "seconds", "site", "task", "ticket", "wanted_back")

    def __init__(self, site: Site, ticket: int, task: Task[Any], seconds: float) -> None:
        self.site, self.ticket, self.task, self.seconds = site, ticket, task, seconds
        self.at = time.monotonic()
        self.number: int | None = None
        """The worker that runs it."""
        self.began: float | None = None
        self.wanted_back = False


class Site:
    """One dask worker with a host of ours, as its submitter knows it."""

    def __init__(self, address: str, hello: Hello, ahead: float) -> None:
        self.address, self.name, self.slots, self.ahead = address, hello.name, hello.slots, ahead
        """`ahead`: seconds by which its clock is ahead of ours."""
        self.calls: dict[int, Sent] = {}
        self.load = 0.0
        """Seconds of work for its processes."""
        self.functions: set[int] = set()
        self.numbers: dict[int, int] = {}
        """The numbers that its workers have in the whole cluster, by their numbers there."""
        self.draining = self.retired = False
        self.snapshot: Snapshot | None = None
        self.wake = asyncio.Event()
        self._counts: dict[str, int] = {}
        self._mail, self._lock = Mail(), threading.Lock()

    def add(self, sent: Sent) -> None:
        """Count a call in."""
        self.calls[sent.ticket] = sent
        self._counts[sent.task.lane] = self.count(sent.task.lane) + 1
        self.load += sent.seconds

    def remove(self, ticket: int) -> Sent | None:
        """Count a call out that has ended there, or was given back; None when it is not known."""
        sent = self.calls.pop(ticket, None)
        if sent is not None:
            self._counts[sent.task.lane] -= 1
            self.load = self.load - sent.seconds if self.calls else 0.0
        return sent

    def count(self, lane: str) -> int:
        """Return how many calls of a lane it has."""
        return self._counts.get(lane, 0)

    def lane(self, name: str) -> LaneStatus | None:
        """Return a lane of its scheduler as the last look found it."""
        lanes = self.snapshot.lanes if self.snapshot is not None else ()
        return next((lane for lane in lanes if lane.name == name), None)

    def write(self, write: Callable[[Mail], object]) -> None:
        """Add to the mail that leaves next. Any thread."""
        with self._lock:
            write(self._mail)

    def take_mail(self) -> Mail:
        """Return the mail, and begin a new one."""
        with self._lock:
            mail, self._mail = self._mail, Mail()
        return mail

    def __repr__(self) -> str:
        return f"<Site {self.address} {len(self.calls)} calls>"


class Listener(Protocol):
    """Who is told of sites. Called in the link's thread."""

    def joined(self, site: Site) -> None: ...

    def heard(self, site: Site, words: list[Word]) -> None: ...

    def lost(self, site: Site, unsent: Mail) -> None:
        """`unsent` is the mail that certainly never left."""


class Link:
    """A connection of its own to a cluster, and the thread that all talk with it happens in.

    `where`: an address, a cluster or a client, which stay as they are; None makes a local cluster of `workers`
    processes that ends with the link. `settings` are for the schedulers inside the dask workers.
    """

    def __init__(self, where: Any, workers: int | None, settings: dict[str, Any], listener: Listener) -> None:
        self._where, self._workers, self._settings, self._listener = where, workers, settings, listener
        self.name = f"arion-{uuid.uuid4().hex[:12]}"
        self.sites: dict[str, Site] = {}
        self._talks: dict[str, asyncio.Task[None]] = {}
        self._greeted: dict[str, asyncio.Event] = {}
        self._refusal: Exception | None = None
        self._opened: Future[None] = Future()
        self.thread = threading.Thread(target=self._live, name=f"{self.name}-link", daemon=True)

    # --- any thread ---

    def open(self) -> None:
        """Connect; return when the workers there are have joined. Raises what connecting raised."""
        self.thread.start()
        try:
            self._opened.result()
        except BaseException:
            self.thread.join()
            raise

    def post(self, site: Site) -> None:
        """Say that there is mail for a site."""
        self._call(site.wake.set)

    def close(self) -> None:
        """Begin to leave: hosts are closed, then the connection, then a cluster of our own."""
        self._call(self._closing.set)

    def look(self) -> None:
        """Have each site's `snapshot` taken anew; a site that does not answer in time keeps its old one."""
        self._do(self._look_at_all(), LOOK)

    def starts(self, site: Site) -> list[Word]:
        """Ask a site which calls run; nothing from one that does not answer."""
        return self._do(self._run(site.address, dask_worker.ask_for_starts, self.name), LOOK) or []

    def scale(self, workers: int) -> None:
        """Ask the cluster for more dask workers. Raises `SchedulerError` where only its address is known."""
        cluster = self.cluster()
        _loop_of(cluster).add_callback(cluster.scale, workers)

    def retire(self, site: Site) -> None:
        """Let a dask worker go that has nothing left to do."""
        self._call(lambda: self._start(self._retire(site)))

    def cluster(self) -> Cluster:
        """Return the cluster behind the link."""
        if self._cluster is None:
            raise SchedulerError(
                "only a cluster can be scaled, and an address is none: pass the cluster object instead"
            )
        found: Cluster = self._cluster
        return found

    def _call(self, function: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended: so has all that it could be told
            self._loop.call_soon_threadsafe(function)

    def _do(self, work: Coroutine[Any, Any, T], timeout: float) -> T | None:
        if threading.current_thread() is self.thread or not self.thread.is_alive():
            work.close()
            return None
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)
        except (TimeoutError, RuntimeError, OSError, LookupError):  # it does not answer, or it is gone
            work.close()
            return None

    # --- the link's thread ---

    def _live(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if self._opened.done():
                log.critical("the link to the Dask cluster failed", exc_info=True)
            else:
                self._opened.set_exception(error)

    async def _main(self) -> None:
        self._loop, self._closing, self._changed = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._background: set[asyncio.Task[Any]] = set()
        async with AsyncExitStack() as stack:
            self._client = await self._connect(stack)
            self._client.subscribe_topic("all", self._on_dask_event)
            stack.push_async_callback(self._leave)
            await self._update_sites()
            await self._first_sites()
            self._opened.set_result(None)
            await self._keep_sites_up_to_date()

    async def _connect(self, stack: AsyncExitStack) -> Client:
        from distributed import Client, LocalCluster

        where, security = self._where, None
        self._cluster: Any = None
        if where is None:
            where = self._cluster = await stack.enter_async_context(
                LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    dashboard_address=LOOPBACK,
                    asynchronous=True,
                )
            )
        elif not isinstance(where, str):
            security = where.security
            self._cluster = where.cluster if isinstance(where, Client) else where
        address = where if isinstance(where, str) else _address(where)
        client = Client(address, security=security, asynchronous=True, set_as_default=False, name=self.name)
        await stack.enter_async_context(client)
        return client

    async def _leave(self) -> None:
        self._client.unsubscribe_topic("all")
        for task in (*self._talks.values(), *self._background):
            task.cancel()
        await asyncio.gather(*self._talks.values(), *self._background, return_exceptions=True)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(10.0):
                await self._client.run(dask_worker.close_host, self.name, on_error="ignore")

    def _on_dask_event(self, event: tuple[float, Any]) -> None:
        if event[1].get("action") in ("add-worker", "remove-worker"):
            self._changed.set()

    async def _keep_sites_up_to_date(self) -> None:
        closing = self._start(self._closing.wait())
        while not self._closing.is_set():
            changed = self._start(self._changed.wait())
            await asyncio.wait([closing, changed], return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            self._changed.clear()
            if not self._closing.is_set():
                await self._update_sites()

    async def _update_sites(self) -> None:
        """Begin to talk with the workers that have come; stop talking with those that have gone."""
        present = await self._client.nthreads()
        for address in self._talks.keys() - present.keys():
            self._talks[address].cancel()
        for address in present.keys() - self._talks.keys():
            self._greeted[address] = asyncio.Event()
            self._talks[address] = self._start(self._serve(address))

    async def _first_sites(self) -> None:
        """Wait for the workers that are there. Raises `SchedulerError` when none of them can run tasks."""
        await asyncio.gather(*(greeted.wait() for greeted in self._greeted.values()))
        if self._refusal is not None and not self.sites:
            raise SchedulerError(f"no dask worker can run tasks: {self._refusal!r}") from self._refusal

    async def _serve(self, address: str) -> None:
        """Join a dask worker and talk with it until it is lost; look for it once more after a while."""
        again = AGAIN
        try:
            site = await self._join(address)
            await self._talk(site)
        except Exception as error:  # noqa: BLE001  (whatever keeps a host from starting there: the others work)
            log.warning("the dask worker %s cannot run tasks: %r", address, error)
            self._refusal, again = error, MUCH_LATER
        finally:
            self._greeted.pop(address).set()
            del self._talks[address]
            self._loop.call_later(again, self._changed.set)

    async def _join(self, address: str) -> Site:
        hello = await self._run(address, dask_worker.open_host, self.name, self._settings)
        site = Site(address, hello, await self._ahead(address))
        self.sites[address] = site
        self._listener.joined(site)
        self._greeted[address].set()
        return site

    async def _ahead(self, address: str) -> float:
        """Return by how many seconds a worker's clock is ahead of ours: the quickest of a few answers tells it best."""
        answers = []
        for _ in range(3):
            asked = time.monotonic()
            there = await self._run(address, dask_worker.tell_time)
            answers.append((time.monotonic() - asked, there - (asked + time.monotonic()) / 2))
        return float(min(answers)[1])

    async def _talk(self, site: Site) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._write(site))
                both.create_task(self._read(site))
        except* Exception as group:  # noqa: BLE001  (dask may fail in many ways: each ends this conversation)
            log.info("lost %s: %r", site, group.exceptions[0])
        finally:
            del self.sites[site.address]
            self._listener.lost(site, site.take_mail())

    async def _write(self, site: Site) -> None:
        while True:
            await site.wake.wait()
            site.wake.clear()
            mail = site.take_mail()
            if mail:
                await self._run(site.address, dask_worker.deliver, self.name, pickle.dumps(mail, 5))

    async def _read(self, site: Site) -> None:
        heard = 0
        while True:
            data = await self._run(site.address, dask_worker.ask_for_news, self.name, heard)
            words: list[Word] = pickle.loads(data)
            heard += len(words)
            if words:
                self._listener.heard(site, words)

    async def _look_at_all(self) -> None:
        async def look(site: Site) -> None:
            with suppress(OSError, LookupError):
                site.snapshot = await self._run(site.address, dask_worker.look, self.name)

        await asyncio.gather(*map(look, list(self.sites.values())))

    async def _retire(self, site: Site) -> None:
        cluster = self.cluster()
        if hasattr(cluster, "scale_down"):
            _loop_of(cluster).add_callback(cluster.scale_down, [site.name])
        else:
            await self._client.retire_workers([site.address])

    async def _run(self, address: str, function: Any, *arguments: Any) -> Any:
        return (await self._client.run(function, *arguments, workers=[address]))[address]

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _address(where: Any) -> str:
    """Return the address of the scheduler of a client or a cluster."""
    found: str = where.scheduler.address if hasattr(where, "scheduler") else where.scheduler_address
    return found


def _loop_of(cluster: Any) -> Any:
    """Return the loop that a cluster lives on."""
    return cluster.loop
