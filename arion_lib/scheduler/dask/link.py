"""The line to a Dask cluster: a client of dask's own, in a thread of its own, and the plugin on each dask worker.

Idea        What talks with the cluster is asynchronous and happens in one thread; other threads hand it functions.
Invariant   Opened, the plugin is on every dask worker there is and every one that comes; closed, on none.
When wrong  What opening raised is raised by `open`; a cluster that does not answer is left after `PATIENCE` seconds.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_dask.py
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from arion_lib.scheduler.errors import SchedulerError

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster

log = logging.getLogger(__name__)

T = TypeVar("T")
LOOPBACK = "127.0.0.1:0"
"""Where the dashboard listens: a free port of this machine only, so that no firewall asks about it."""
PATIENCE = 10.0
"""Seconds that the cluster may take to let go of the plugin."""
LOOK = 2.0
"""Seconds that a look at the workers may take."""


class Link:
    """A connection of its own to a cluster.

    `where`: an address, a cluster or a client, which stay as they are; None makes a local cluster of `workers`
    processes that ends with the link. `settings` are for the schedulers inside the dask workers; `work` is what is done
    until it returns, `hear` is called for each message of the plugins. Both in the link's thread.
    """

    def __init__(
        self,
        where: Any,
        workers: int | None,
        settings: dict[str, Any],
        work: Callable[[], Coroutine[Any, Any, None]],
        hear: Callable[[dict[str, Any]], None],
    ) -> None:
        self._where, self._workers, self._settings, self._work, self._hear = where, workers, settings, work, hear
        self.name = f"arion-{uuid.uuid4().hex[:12]}"
        self.failure: BaseException | None = None
        self.client: Client
        self._opened: Future[None] = Future()
        self._adaptive: Any = None
        self._beside: set[asyncio.Task[Any]] = set()
        self.thread = threading.Thread(target=self._live, name=f"{self.name}-link", daemon=True)

    # --- any thread ---

    def open(self) -> None:
        """Connect; return when the plugin is on the workers there are. Raises what that raised."""
        self.thread.start()
        try:
            self._opened.result()
        except BaseException:
            self.thread.join()
            raise

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called in the link's thread, soon."""
        with suppress(RuntimeError):  # the loop has ended: so has all that it could be told
            self.loop.call_soon_threadsafe(function, *arguments)

    def do(self, work: Coroutine[Any, Any, T], timeout: float | None = LOOK) -> T | None:
        """Await something in the link's thread; None when the cluster does not answer in `timeout` seconds."""
        if threading.current_thread() is self.thread or not self.thread.is_alive():
            work.close()
            return None
        try:
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:  # the loop has ended
            work.close()
            return None
        try:
            return future.result(timeout)
        except (TimeoutError, RuntimeError, OSError, LookupError):  # it does not answer, or it is gone
            future.cancel()  # not closed here: it may be running there just now
            if not self.thread.is_alive():
                work.close()
            return None

    async def ask(self, what: str, *arguments: Any, at: str | None = None) -> dict[str, Any]:
        """Return what a method of the plugin says, by the dask workers' addresses; those that do not answer are out."""
        from arion_lib.scheduler.dask.plugin import ask

        workers = None if at is None else [at]
        answers = await self.client.run(ask, self.name, what, *arguments, workers=workers, on_error="ignore")
        return {address: answer for address, answer in answers.items() if answer is not None}

    def scale(self, workers: int) -> None:
        """Ask the cluster for as many dask workers as have that many threads. Raises `SchedulerError` without one."""
        cluster: Any = self.cluster()
        threads = self._threads_each()
        cluster.loop.add_callback(self._scale, cluster, -(-workers // threads))

    def adapt(self, minimum: int, maximum: int, target: float) -> None:
        """Have dask keep as many dask workers as would finish what it has to do in `target` seconds."""
        cluster: Any = self.cluster()
        threads = self._threads_each()
        bounds = {"minimum": -(-minimum // threads), "maximum": max(1, maximum // threads)}
        cluster.loop.add_callback(self._adapt, cluster, {**bounds, "target_duration": f"{target}s"})

    def _scale(self, cluster: Any, workers: int) -> None:
        self._stop_adapting()
        cluster.scale(workers)

    def _adapt(self, cluster: Any, settings: dict[str, Any]) -> None:
        self._stop_adapting()
        self._adaptive = cluster.adapt(**settings, interval="250ms", wait_count=8)

    def _stop_adapting(self) -> None:
        if self._adaptive is not None:
            self._adaptive.stop()
            self._adaptive = None

    def _threads_each(self) -> int:
        threads = (self.do(self._threads()) or {}).values()
        return max(1, sum(threads) // max(1, len(threads)))

    async def _threads(self) -> dict[str, int]:
        found: dict[str, int] = await self.client.nthreads()
        return found

    def cluster(self) -> Cluster:
        """Return the cluster behind the link. Raises `SchedulerError` where only its address is known."""
        if self._cluster is None:
            raise SchedulerError(
                "only a cluster can be scaled, and an address is none: pass the cluster object instead"
            )
        found: Cluster = self._cluster
        return found

    # --- the link's thread ---

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Have something done beside the rest; the link does not close before it is done."""
        task = asyncio.ensure_future(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task

    def _live(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self.failure = error
            if self._opened.done():
                log.critical("the link to the Dask cluster failed", exc_info=True)
            else:
                self._opened.set_exception(error)

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            self.client = await self._connect(stack)
            await self._bring_plugin()
            stack.push_async_callback(self._leave)
            self._opened.set_result(None)
            await self._work()
            while self._beside:
                await asyncio.wait([*self._beside])

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
                    silence_logs=logging.CRITICAL,  # a task that raises is an error to dask's log; here, to its caller
                    asynchronous=True,
                )
            )
        elif not isinstance(where, str):
            security = where.security
            self._cluster = where.cluster if isinstance(where, Client) else where
        address = where if isinstance(where, str) else _address(where)
        client = _client(address, security=security, asynchronous=True, set_as_default=False, name=self.name)
        await stack.enter_async_context(client)
        return client

    async def _bring_plugin(self) -> None:
        from arion_lib.scheduler.dask.plugin import Host

        self.client.subscribe_topic(self.name, lambda event: self._hear(event[1]))
        await self.client.register_plugin(Host(self.name, self._settings), name=self.name)

    async def _leave(self) -> None:
        self._stop_adapting()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.client.unregister_worker_plugin(self.name)
        except Exception as error:  # noqa: BLE001  (a dask worker that comes or goes just now has no plugin to give up)
            log.info("some dask worker did not give up the plugin: %r", error)
        self.client.unsubscribe_topic(self.name)


def _client(*place: Any, **how: Any) -> Client:
    """Make a client of dask's that comes back under a new id when its line was cut.

    Dask's own keeps its id, to which the scheduler sends what is subscribed as soon as it is known again. Such a
    message beside the first one ends the client's listening: it would be silent ever after. A new id gets none yet.
    """
    from distributed import Client

    class Line(Client):
        async def _reconnect(self) -> None:
            # These messages wait, as what is submitted now, and go first.
            handlers = list(self._event_handlers.items())
            for topic, _ in handlers:
                self.unsubscribe_topic(topic)
            new = str(uuid.uuid1())
            self.id = self.id[: -len(new)] + new
            for topic, handler in handlers:
                self.subscribe_topic(topic, handler)
            await super()._reconnect()

    return Line(*place, **how)


def _address(where: Any) -> str:
    """Return the address of the scheduler of a client or a cluster."""
    found: str = where.scheduler.address if hasattr(where, "scheduler") else where.scheduler_address
    return found
