"""The teacher's board as a service: the webhook of the pipeline, a page, and its live updates.

Idea        The webhook stores events; a reader follows the rows by their numbers and keeps the `Room` up to date; the
            page is rendered here and sent again, whole, whenever something changed (server-sent events).
Invariant   A learner can do two things from their machine: post an event, look at the board.
When wrong  Every other path is 404; a viewer who goes away costs nothing.
See         arion_lib/web/classroom/__init__.py · tests/web/test_classroom.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import socket
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil

from arion_lib.pipeline.store import Store, StoreError, open_store
from arion_lib.web.classroom.room import Room
from arion_lib.web.edge.server import ServerFailed, listening_socket, serve_until_signal
from arion_lib.web.requests import Limits
from arion_lib.web.service import PipelineService
from arion_lib.web.startup.options import port

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
STREAM = "class"
PATH = f"/webhook/{STREAM}"
LIMITS = Limits(max_body=64 << 10, max_record=8 << 10)
"""A learner's event has about 300 bytes."""

EVERY, TURN = 0.5, 3.0
"""Seconds between two looks at the rows, while somebody watches; seconds that one answer with updates lasts."""


class Board:
    """The ASGI application. It does not close the store: whoever opened it does."""

    def __init__(self, store: Store) -> None:
        self.room = Room()
        self._store, self._seen = store, 0
        self._service = PipelineService(store, limits=LIMITS)
        self._reading = asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"] == PATH:
            await self._service.webhook(scope, receive, send)
        elif scope["path"] == "/":
            await _send(send, 200, b"text/html; charset=utf-8", (await self._page()).encode())
        elif scope["path"] == "/live":
            await self._updates(receive, send)
        else:
            await _send(send, 404, b"text/plain", b"The board is at /")

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        await self._service.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._service.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def read(self) -> bool:
        """Take in the rows that came since the last look; return whether there were any."""
        changed = False
        async with self._reading:
            while rows := await asyncio.to_thread(self._store.rows, STREAM, self._seen, 1000):
                self._seen = rows[-1].seq
                for row in rows:
                    with suppress(ValueError):
                        event = json.loads(row.body)
                        changed = (isinstance(event, dict) and self.room.add(event)) or changed
        return changed

    async def _page(self) -> str:
        await self.read()
        return render("page", self.room)

    async def _updates(self, receive: Any, send: Any) -> None:
        """Send the board's inner part now and whenever it changed, for `TURN` seconds; the page then asks again.

        Turns are short so that a server that ends need not wait for those who look.
        """
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"retry: 200\n\n", "more_body": True})
        gone = asyncio.create_task(_until_gone(receive))
        shown, ends = "", asyncio.get_running_loop().time() + TURN
        try:
            while not gone.done() and asyncio.get_running_loop().time() < ends:
                await self.read()
                now = render("inner", self.room)
                if now != shown:
                    shown = now
                    body = b"data: " + json.dumps(now).encode() + b"\n\n"
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                await asyncio.wait([gone], timeout=EVERY)
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Any, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def render(part: str, room: Room) -> str:
    """Return the whole page ("page") or the part that changes ("inner"); what learners sent is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    pages.filters.update(code=_code, number=_number)
    return pages.get_template("board.html.j2").render(part=part, room=room)


def _number(value: float) -> str:
    """
    >>> _number(2000000), _number(247_922.688), _number(0.05), _number(1e15)
    ('2,000,000', '247,923', '0.05', '1e+15')
    """
    return f"{value:,.0f}" if 1_000 <= value < 1e12 else f"{value:.3g}"


def _code(text: str) -> Any:
    """Return the text as HTML, escaped, what stands between backquotes as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def addresses(port: int) -> list[str]:
    """Return the addresses under which the room's machines can reach this one, the likeliest first; asks no other."""
    first = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it chooses the interface (an address kept for documents)
        first.append(probe.getsockname()[0])
    cards = [
        card.address for found in psutil.net_if_addrs().values() for card in found if card.family == socket.AF_INET
    ]
    outside = [address for address in (*first, *sorted(cards)) if not address.startswith(("127.", "169.254."))]
    return [url_of(address, port) for address in dict.fromkeys([*outside, "127.0.0.1"])]


def url_of(host: str, port: int) -> str:
    """
    >>> url_of("192.168.1.20", 8765), url_of("::1", 8765)
    ('http://192.168.1.20:8765', 'http://[::1]:8765')
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib class",
        description="Show a class live: who is where, which exercise stalls, what the room predicted. Learners join by "
        "an environment variable or a line in their notebook; nothing is kept after the end.",
        epilog="example: python -m arion_lib class --port 8765",
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: every one of this machine)")  # noqa: S104
    parser.add_argument("--port", type=port, default=8765, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="keep the events in this SQLite file, and go on with it"
    )
    return parser


def run(args: list[str]) -> int:
    """Serve the board until Ctrl-C; return the exit code."""
    options = _parser().parse_args(args)
    if options.keep and (options.keep.is_dir() or not options.keep.parent.is_dir()):
        _parser().error(f"--keep must be a file in a folder that is there, got {options.keep}")
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(levelname)s %(name)s: %(message)s")
    try:
        with ExitStack() as stack:
            file = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "class.db"
            store = stack.enter_context(open_store(file))
            sock = listening_socket(options.host, options.port)
            serve_until_signal(Board(store), sock, lambda: _greet(*sock.getsockname()[:2]))
    except (ServerFailed, StoreError, OSError) as error:
        sys.stderr.write(f"python -m arion_lib class: {error}\n")
        return 2
    return 0


def _greet(host: str, port: int) -> None:
    sys.stdout.write("\n".join(greeting(addresses(port) if host in EVERYWHERE else [url_of(host, port)])) + "\n")
    sys.stdout.flush()


def greeting(urls: list[str]) -> list[str]:
    """Return what the teacher reads: where the board is, what learners type, what to do when they cannot reach it."""
    here, *others = urls
    alone = here.startswith(("http://127.", "http://[::1]"))
    lines = [
        f"the board            {here}",
        f"learners, before lab ARION_CLASS={here} ARION_NICKNAME=ada python -m arion_lib lab",
        f"on Windows           set ARION_CLASS={here}  (in PowerShell: $env:ARION_CLASS='{here}')",
        "                     set ARION_NICKNAME=ada  (in PowerShell: $env:ARION_NICKNAME='ada')",
        "                     py -m arion_lib lab",
        f'or in a notebook     from arion_lib.workbook import join_class; join_class("{here}", "ada")',
        "if they cannot       open the board in a learner's browser: when it does not come, this machine's firewall",
        "                     holds it back, or the Wi-Fi keeps machines apart (a phone's hotspot does not)",
        "Ctrl-C ends it; nothing is kept without --keep FILE",
        *(f"here also            {url}" for url in others),
    ]
    if alone:
        lines.append("Only this machine can open that address: join the room's network, then start this again.")
    return lines
