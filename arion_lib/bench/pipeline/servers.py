"""The servers that the webhook is measured against, each a role for a process of its own.

Idea        Take away one thing at a time: the store, the group commit, everything.
Invariant   All are served by the same uvicorn settings, so that a ratio shows what was taken away.
When wrong  A role fails as a process does; the bench says which.
See         arion_lib/bench/pipeline/http.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arion_lib.pipeline.groups import Groups
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.projection import projection
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
    return serve_app(_plain(_drop))


def fastapi_nothing(args: list[str]) -> int:  # noqa: ARG001  a role
    """A FastAPI route that takes the event as a dict and answers."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/webhook/{stream}")
    async def webhook(stream: str, event: dict[str, Any]) -> dict[str, int]:  # noqa: ARG001  a route
        return {"accepted": len(event)}

    return serve_app(app)


def decode_only(args: list[str]) -> int:  # noqa: ARG001  a role
    """Decode and sum the body, keep nothing."""
    return serve_app(_plain(_sums))


def commit_each(args: list[str]) -> int:
    """Our webhook, but a transaction for each post; `args[0]` is the data folder."""
    with SqliteStore(Path(args[0]) / "each.db") as store:
        return serve_app(create_app(PipelineService(store, together=1)))


def _plain(answer: Callable[[Any], Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body: bytes = await answer(receive)
        headers = OK if len(body) == 2 else [OK[0], (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _drop(receive: Any) -> bytes:
    while (await receive()).get("more_body"):
        pass
    return b"{}"


async def _sums(receive: Any) -> bytes:
    decoder, groups = NdjsonDecoder(projection(keys=["type"], numbers=["amount"])), Groups(["type"], "amount")
    more = True
    while more:
        message = await receive()
        groups.add(decoder.feed(message["body"]))
        more = message.get("more_body", False)
    groups.add(decoder.close())
    return json.dumps({key[0]: part.sum for key, part in groups.take().items()}).encode()
