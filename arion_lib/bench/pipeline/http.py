"""Challenge 1 over HTTP: one long body, and one event a post, with what each is compared to.

Idea        Every server is a process of its own and so is the sender; servers take turns within a round. What ours is
            compared with takes away one thing at a time: the group commit, everything.
Invariant   A long body counts only when the totals that its server then shows are exactly right; a post, when durable.
            All servers have the same uvicorn settings, so that a ratio shows what was taken away.
When wrong  A missed target is printed as missed, and fails the run with --strict.
See         tests/bench/test_pipeline_http.py
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from arion_lib.bench.compare import Comparison, at_least, at_most, compare
from arion_lib.bench.lab import Child
from arion_lib.bench.memory import peaks_table
from arion_lib.bench.pipeline import readers
from arion_lib.bench.verdicts import Table, Verdict
from arion_lib.measure.rss import high_water_mark
from arion_lib.pipeline.files.sample import write_sample
from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web import serve
from arion_lib.web.application import create_app
from arion_lib.web.edge.server import listening_socket, serve_until_signal, url_of
from arion_lib.web.playing.load import post_events
from arion_lib.web.service import PipelineService
from arion_lib.web.signatures import sign

_MB = 1_000_000
OURS, SIGNED, EACH, NOTHING = "ours, durable", "ours, signed", "a commit per post", "uvicorn, nothing"
SECRET = "whsec_" + "QUFB" * 8

Role = Callable[[list[str]], int]
"""What a server's process runs: an importable function of its arguments that prints its URL once it answers."""


def results(chosen: argparse.Namespace) -> Iterator[Table]:
    """Measure all of it; `chosen.size` is the bytes of the long body."""
    with tempfile.TemporaryDirectory(prefix="arion-bench-http-") as name:
        folder = Path(name)
        yield long_body(folder, chosen.size, chosen.rounds)
        yield server_memory(folder, chosen.size)
        yield single_events(folder, chosen.rounds)


# -- servers


@contextmanager
def serving(role: Role, args: list[str]) -> Iterator[tuple[int, str]]:
    """Run a server in a process of its own; give its process id and URL."""
    with Child() as child, child.serving(role, args, limit=60.0) as url:
        yield child.pid, url


def keeping(data: Path) -> list[str]:
    """The arguments of our server: a free port, and where it keeps what it takes in."""
    return ["--port", "0", "--data", str(data)]


def commit_each(args: list[str]) -> int:
    """Our webhook, but a transaction for each post; `args[0]` is the data folder."""
    with SqliteStore(Path(args[0]) / "each.db") as store:
        return _serve_app(create_app(PipelineService(store, together=1)))


def nothing(args: list[str]) -> int:  # noqa: ARG001  a role
    """Read the body and answer: what uvicorn itself costs."""
    return _serve_app(_nothing)


def _serve_app(app: Any) -> int:
    sock = listening_socket("127.0.0.1", 0)
    url = url_of(sock)
    serve_until_signal(app, sock, lambda: print(url, flush=True))
    return 0


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


# -- one long body


def long_body(folder: Path, size: int, rounds: int) -> Comparison:
    """Compare taking a body in over HTTP, with all that makes it safe, to reading it from a file."""
    body = folder / "body.ndjson"
    write_sample(body, size)
    streams = itertools.count()
    from_file, safe = "ingest from a file, no store", "ours: deduplicated, SQLite, outbox"
    with serving(serve.run, keeping(folder / "long")) as (_, ours):
        contenders: dict[str, Callable[[], object]] = {
            from_file: partial(readers.ours, body),
            safe: lambda: take_in(ours, f"s{next(streams)}", body),
        }
        title = f"HTTP: one NDJSON body of {size // _MB} MB (aim on an idle machine of two cores: 300 MB/s)"
        targets, work = {safe: at_least(0.5)}, body.stat().st_size
        result = compare(contenders, from_file, rounds=rounds, targets=targets, work=work, unit="B", title=title)
    body.unlink()
    return result


def take_in(url: str, stream: str, body: Path) -> dict[str, int]:
    """Post the body into a stream of its own; return the sums that the server then shows.

    The file goes by `sendfile`, so that the sender costs little.
    """
    size = str(body.stat().st_size)
    headers = {"webhook-id": stream, "content-type": "application/x-ndjson", "content-length": size}
    with closing(connected(url)) as connection, body.open("rb") as file:
        connection.putrequest("POST", f"/webhook/{stream}?group_by=type&sum_field=amount")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.sock.sendfile(file)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the body must be taken, got {answer.status}: {answer.read()!r:.300}")
        answer.read()
    return {one["group"][0]: one["sum"] for one in get(url, f"/results?stream={stream}")["items"]}


def connected(url: str) -> http.client.HTTPConnection:
    """Return a connection to a server."""
    return http.client.HTTPConnection(urlsplit(url).netloc)


def get(url: str, page: str) -> Any:
    """Return the JSON of a page."""
    with closing(connected(url)) as connection:
        connection.request("GET", page)
        return json.loads(connection.getresponse().read())


def server_memory(folder: Path, size: int) -> Table:
    """Compare the peaks of two servers, one of which took in a body a tenth as long."""
    small, large = f"{size // 10 / _MB:g} MB body", f"{size / _MB:g} MB body"
    peaks = {name: _peak_of_server(folder, length) for name, length in ((small, size // 10), (large, size))}
    title = "HTTP: peak memory of the server over what it held when idle"
    return peaks_table(title, peaks, {large: [at_most(6e6, "B", of=small)]})


def _peak_of_server(folder: Path, size: int) -> tuple[int, float]:
    body = folder / f"body-{size}.ndjson"
    write_sample(body, size)
    with serving(serve.run, keeping(folder / f"memory-{size}")) as (pid, url):
        get(url, "/status")  # the pages' threads are there
        idle, started = psutil.Process(pid).memory_info().rss, time.perf_counter()
        take_in(url, "s", body)
        seconds = time.perf_counter() - started
        peak = (high_water_mark(pid) or psutil.Process(pid).memory_info().rss) - idle
    body.unlink()
    return max(0, peak), seconds


# -- one event a post


def single_events(folder: Path, rounds: int, posts: int = 10_000) -> Table:
    """Compare servers that are sent one event a post over 64 connections, each sending when it has been answered."""
    one_stream = ["--stream", "signed", "--secret", SECRET]
    servers: dict[str, tuple[Role, list[str]]] = {
        NOTHING: (nothing, []),
        OURS: (serve.run, keeping(folder / "posts")),
        SIGNED: (serve.run, [*keeping(folder / "signed"), *one_stream]),
        EACH: (commit_each, [str(folder)]),
    }
    counts = {name: posts // 4 if name == EACH else posts for name in servers}
    found: dict[str, list[Any]] = {name: [] for name in servers}
    with ExitStack() as stack:
        sender = stack.enter_context(Child())
        urls = {name: stack.enter_context(serving(*server))[1] for name, server in servers.items()}
        for turn in ["warm", *range(rounds)]:
            for name, url in urls.items():
                stream, headers = ("signed", signed) if name == SIGNED else (f"s{turn}", None)
                post = partial(post_events, headers=headers, ahead=True)
                load = sender.call(post, f"{url}/webhook/{stream}", counts[name], limit=300.0)
                if load.statuses != {200: counts[name]}:
                    raise RuntimeError(f"{name} must answer {counts[name]} posts with 200, got {load}")
                if turn != "warm":
                    found[name].append(load)
        for name in (OURS, EACH):
            stored, sent = get(urls[name], "/status")["store"]["rows"], (rounds + 1) * counts[name]
            if stored != sent:
                raise RuntimeError(f"the store must hold {sent} events, got {stored}")
    return posts_table(found)


def signed(n: int, body: bytes) -> Mapping[str, str]:
    """Sign the n-th delivery of this run."""
    name, now = f"m{time.monotonic_ns()}-{n}", int(time.time())
    return {"webhook-id": name, "webhook-timestamp": str(now), "webhook-signature": sign(SECRET, name, now, body)}


def posts_table(loads: Mapping[str, list[Any]]) -> Table:
    """Lay out who answered how many posts a second and how late, fastest first, and judge ours.

    `loads` holds what was sent to each server, one `web.load.Load` a round.
    """
    rates = {name: [load.per_second for load in some] for name, some in loads.items()}
    p99s = {name: [load.quantile(0.99) for load in some] for name, some in loads.items()}
    p50s = {name: [load.quantile(0.5) for load in some] for name, some in loads.items()}
    middle = {name: statistics.median(some) for name, some in rates.items()}

    def cells(name: str) -> tuple[str, ...]:
        p50, p99 = (f"{statistics.median(some[name]) * 1e3:.1f}" for some in (p50s, p99s))
        return name, f"{middle[name]:,.0f}", f"{max(rates[name]):,.0f}", p50, p99, f"{middle[name] / middle[EACH]:.2f}"

    def judged(name: str) -> Iterator[Verdict]:
        for bound, other in ((at_least(0.55, of=NOTHING), NOTHING), (at_least(4, of=EACH), EACH)):
            yield bound.judge(name, statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True)))
        yield at_most(0.020, "s").judge(f"{name}: p99, best round", min(p99s[name]))

    lines = [cells(name) for name in sorted(rates, key=lambda name: -middle[name])]
    verdicts = [verdict for name in (OURS, SIGNED) if name in rates for verdict in judged(name)]
    head = ("server", "events/s", "best", "p50 ms", "p99 ms", f"x {EACH}")
    figures = {"rates": rates, "p50": p50s, "p99": p99s}
    return Table("HTTP: one event a post, 64 connections", head, lines, verdicts, figures)
