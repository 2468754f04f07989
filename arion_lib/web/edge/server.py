"""uvicorn, as the workbook runs it: drains on SIGTERM, closes late heads, and starts inside a notebook too.

Idea        A signal asks: the server stops listening, finishes what is in flight, lets the application commit, returns.
Invariant   After `serve_until_signal` or the `running` block, no thread, socket or queued batch is left.
When wrong  A taken port or an application that cannot start raises `ServerFailed`; a second Ctrl-C does not wait.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_serve.py
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import uvicorn

from arion_lib.web.edge.signals import asked_to_end

log = logging.getLogger(__name__)

HEAD_PATIENCE = 15.0
"""Seconds a connection may take for a request's head."""

DRAIN_PATIENCE = 30
"""Seconds that requests in flight get to end once the server was asked to stop."""

TICKS_A_SECOND = 10  # uvicorn calls `on_tick` so often
TICKS_A_DAY = 864_000


class ServerFailed(RuntimeError):
    """The server could not start, or ended by itself."""


class DrainingServer(uvicorn.Server):
    """uvicorn's server that returns after a signal instead of raising it again, and closes heads that are late."""

    def __init__(self, config: uvicorn.Config, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(config)
        self.clock = clock
        self.on_started: Callable[[], None] = lambda: None
        self._asked: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Ask the server to drain, from any thread."""
        self.should_exit = True
        if self._loop and self._asked:
            self._loop.call_soon_threadsafe(self._asked.set)

    async def main_loop(self) -> None:
        """Tick ten times a second, and go on at once when asked to stop."""
        self._loop, self._asked = asyncio.get_running_loop(), asyncio.Event()
        ticks = itertools.count()
        while not await self.on_tick(next(ticks) % TICKS_A_DAY):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), 1 / TICKS_A_SECOND)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self.on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have the application wait for its senders no longer than it must, then drain."""
        drain = getattr(self.config.loaded_app, "drain", None)
        if drain is not None:
            drain()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Look at the connections once a second."""
        if counter % TICKS_A_SECOND == 0:
            self.close_late_heads()
        return await super().on_tick(counter)

    def close_late_heads(self) -> int:
        """Close the connections whose request head is late by now; return how many."""
        close = getattr(self.config.http_protocol_class, "close_late", None)
        return close(self.server_state.connections, self.clock(), HEAD_PATIENCE) if close else 0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM (Ctrl-Break on Windows) as requests to drain, for the time of serving."""
        with asked_to_end(self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Ask the server to drain; a second Ctrl-C, to stop at once."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.stop()


def configured(app: Any, *, drain: int = DRAIN_PATIENCE, backlog: int = 2_048) -> uvicorn.Config:
    """Return uvicorn's settings for `app`: httptools and uvloop where they exist, nothing that slows a post."""
    return uvicorn.Config(
        app,
        http=_protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=backlog,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=drain,
    )


def _protocol() -> Any:
    try:
        from arion_lib.web.edge.fast_protocol import FastProtocol  # needs httptools
    except ModuleNotFoundError:  # PyPy: uvicorn's own parser in Python, without the bound on heads
        return "h11"
    return FastProtocol


def listening_socket(host: str, port: int) -> socket.socket:
    """Bind `host`:`port` (0: a free one). Raises `ServerFailed` when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    if hasattr(signal, "SIGKILL"):  # on Windows the option would let two servers share one port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ServerFailed(
            f"host and port must be free, got {host}:{port} ({error}); choose another or --port 0"
        ) from None
    return sock


def url_of(sock: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if sock.family == socket.AF_INET6 else f"http://{host}:{port}"


def serve_until_signal(
    app: Any, socks: socket.socket | Sequence[socket.socket], on_started: Callable[[], None]
) -> None:
    """Serve `app` on one or several sockets in this thread until SIGTERM or Ctrl-C, then drain and return.

    `on_started` is called once requests are taken. Raises `ServerFailed` when the application does not start.
    """
    server = DrainingServer(configured(app))
    server.on_started = on_started
    listening = [socks] if isinstance(socks, socket.socket) else socks
    try:
        server.run(sockets=list(listening))
    except SystemExit:
        raise ServerFailed("the application must start, got an error above; see the log") from None
    finally:
        for sock in listening:
            sock.close()


@contextlib.contextmanager
def running(app: Any, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `app` from a thread with an event loop of its own while the block runs; yield the URL.

        with running(create_app(store)) as url:
            ...

    Leaving the block drains: what was accepted is durable. Raises `ServerFailed` when the server cannot start.
    """
    sock = listening_socket(host, port)
    server = DrainingServer(configured(app))
    settled = threading.Event()  # started, or failed to
    server.on_started = settled.set
    thread = threading.Thread(target=_serve, args=(server, sock, settled), name="web-server")
    thread.start()
    settled.wait()
    try:
        if not server.started:
            raise ServerFailed("the application must start, got an error; see the log")
        yield url_of(sock)
    finally:
        server.stop()
        thread.join()
        sock.close()


def _serve(server: DrainingServer, sock: socket.socket, settled: threading.Event) -> None:
    try:
        server.run(sockets=[sock])
    except SystemExit:
        log.exception("the server did not start")
    finally:
        settled.set()
