"""The servers that the webhook is measured against, each a role for a process of its own.

Idea        Take away one thing at a time: the store, the group commit, everything.
Invariant   All are served by the same uvicorn settings, so that a ratio shows what was taken away.
When wrong  A role fails as a process does; the bench says which.
See         arion_lib/bench/pipeline/http.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web.application import create_app
from arion_lib.web.edge.server import listening_socket, serve_until_signal, url_of
from arion_lib.web.service import PipelineService

OK = [(b"content-type", b"application/json"), (b"content-length", b"2")]


def serve_app(app: Any) -> int:
    """Serve on a free port and say where."""
    sock = listening_socket("127.0.0.1", 0)
    url = url_of(sock)
    serve_until_signal(app, sock, lambda: print(url, flush=True))
    return 0


def nothing(args: list[str]) -> int:  # noqa: ARG001  a role
    """Read the body and answer: what uvicorn itself costs."""
    return serve_app(_nothing)


def commit_each(args: list[str]) -> int:
    """Our webhook, but a transaction for each post; `args[0]` is the data folder."""
    with SqliteStore(Path(args[0]) / "each.db") as store:
        return serve_app(create_app(PipelineService(store, together=1)))


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": OK})
    await send({"type": "http.response.body", "body": b"{}"})
