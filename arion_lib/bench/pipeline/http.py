"""Challenge 1 over HTTP: one long body, and one event a post, with what each is compared to.

Idea        Every server is a process of its own and so is the sender; servers take turns within a round.
Invariant   A long body counts only when the totals that its server then shows are exactly right; a post, when durable.
When wrong  A missed target is printed as missed, and fails the run with --strict.
See         arion_lib/bench/pipeline/servers.py (the others) · tests/bench/test_pipeline_http.py
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from arion_lib.bench.child import Child
from arion_lib.bench.compare import Comparison, at_least, at_most, compare
from arion_lib.bench.memory import peaks_table
from arion_lib.bench.pipeline import readers, servers
from arion_lib.bench.ratios import Result
from arion_lib.bench.verdicts import Table, Verdict
from arion_lib.measure.rss import high_water_mark
from arion_lib.pipeline.files.sample import write_sample
from arion_lib.web import serve
from arion_lib.web.playing.load import Headers, post_events
from arion_lib.web.signatures import sign

_MB = 1_000_000
QUESTION = "group_by=type&sum_field=amount"
P99, FACTOR, SHARE = 0.020, 4.0, 0.55
"""What one event a post is held to: seconds, times a commit per post, share of a server that does nothing."""

OURS, SIGNED, EACH, NOTHING = "ours, durable", "ours, signed", "a commit per post", "uvicorn, nothing"
SECRET = "whsec_" + "QUFB" * 8
ONE_STREAM = ["--stream", "signed", "--secret", SECRET]
READY = 60.0
"""Seconds that a server may take to start, and to end."""
LONGEST = 300.0
"""Seconds that sending some posts may take."""

Role = Callable[[list[str]], int]
"""What a server's process runs: an importable function of its arguments that prints its URL once it answers."""


def results(chosen: argparse.Namespace) -> Iterator[Result]:
    """Measure all of it; `chosen.size` is the bytes of the long body."""
    with tempfile.TemporaryDirectory(prefix="arion-bench-http-") as name:
        folder = Path(name)
        yield long_body(folder, chosen.size, chosen.rounds)
        yield server_memory(folder, chosen.size)
        yield single_events(folder, chosen.rounds)


@contextmanager
def serving(role: Role, args: list[str]) -> Iterator[tuple[int, str]]:
    """Run a server in a process of its own; give its process id and URL."""
    with Child() as child, child.serving(role, args, READY) as url:
        yield child.pid, url


def keeping(data: Path) -> list[str]:
    """The arguments of our server: a free port, and where it keeps what it takes in."""
    return ["--port", "0", "--data", str(data)]


# -- one long body


def long_body(folder: Path, size: int, rounds: int) -> Comparison:
    """Compare taking a body in over HTTP, with all that makes it safe, to reading it from a file."""
    body = folder / "body.ndjson"
    write_sample(body, size)
    streams = itertools.count()
    with serving(serve.run, keeping(folder / "long")) as (_, ours):
        contenders: dict[str, Callable[[], object]] = {
            "ingest from a file, no store": partial(readers.ours, body),
            "ours: deduplicated, SQLite, outbox": lambda: take_in(ours, f"s{next(streams)}", body),
        }
        result = compare(
            contenders,
            baseline="ingest from a file, no store",
            rounds=rounds,
            targets={"ours: deduplicated, SQLite, outbox": at_least(0.5)},
            work=body.stat().st_size,
            unit="B",
            title=f"HTTP: one NDJSON body of {size // _MB} MB (aim on an idle machine of two cores: 300 MB/s)",
        )
    body.unlink()
    return result


def take_in(url: str, stream: str, body: Path) -> dict[str, int]:
    """Post the body into a stream of its own; return the sums that the server then shows."""
    post_file(f"{url}/webhook/{stream}?{QUESTION}", body, {"webhook-id": stream})
    return {one["group"][0]: one["sum"] for one in get(f"{url}/results?stream={stream}")["items"]}


def post_file(url: str, path: Path, headers: Mapping[str, str] | None = None) -> bytes:
    """Post a file with `sendfile`, so that the sender costs little; return the answer's body, which must be a 200."""
    parts = urlsplit(url)
    further = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    with socket.create_connection((parts.hostname, parts.port)) as sock, path.open("rb") as file:
        head = f"POST {parts.path}?{parts.query} HTTP/1.1\r\nhost: {parts.netloc}\r\n{further}"
        sock.sendall(
            f"{head}content-type: application/x-ndjson\r\ncontent-length: {path.stat().st_size}\r\n\r\n".encode()
        )
        sock.sendfile(file)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        if answer.status != 200:
            raise RuntimeError(f"the body must be taken, got {answer.status}: {answer.read()!r:.300}")
        return answer.read()


def get(url: str) -> Any:
    """Return the JSON of a page."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def server_memory(folder: Path, size: int) -> Table:
    """Compare the peaks of two servers, one of which took in a body a tenth as long."""
    small, large = f"{size // 10 / _MB:g} MB body", f"{size / _MB:g} MB body"
    peaks = {name: _peak_of_server(folder, length) for name, length in ((small, size // 10), (large, size))}
    title = "HTTP: peak memory of the server over what it held when idle"
    return peaks_table(title, peaks, {large: [at_most(6e6, "B", of=small)]})


def _peak_of_server(folder: Path, size: int) -> tuple[list[int], float]:
    body = folder / f"body-{size}.ndjson"
    write_sample(body, size)
    with serving(serve.run, keeping(folder / f"memory-{size}")) as (pid, url):
        get(f"{url}/status")  # the pages' threads are there
        idle, started = psutil.Process(pid).memory_info().rss, time.perf_counter()
        take_in(url, "s", body)
        seconds = time.perf_counter() - started
        peak = (high_water_mark(pid) or psutil.Process(pid).memory_info().rss) - idle
    body.unlink()
    return [max(0, peak)], seconds


# -- one event a post


Loads = Mapping[str, list[Any]]
"""What was sent to each server, one `web.load.Load` a round."""


def single_events(folder: Path, rounds: int, posts: int = 10_000) -> Table:
    """Compare servers that are sent one event a post over 64 connections, each sending when it has been answered."""
    contenders: dict[str, tuple[Role, list[str], Headers | None]] = {
        NOTHING: (servers.nothing, [], None),
        OURS: (serve.run, keeping(folder / "posts"), None),
        SIGNED: (serve.run, [*keeping(folder / "signed"), *ONE_STREAM], signed),
        EACH: (servers.commit_each, [str(folder)], None),
    }
    found: dict[str, list[Any]] = {name: [] for name in contenders}
    with ExitStack() as stack:
        sender = stack.enter_context(Child())
        urls = {name: stack.enter_context(serving(role, args))[1] for name, (role, args, _) in contenders.items()}

        def send(name: str, stream: str) -> Any:
            count = posts // 4 if name == EACH else posts
            url = f"{urls[name]}/webhook/{'signed' if name == SIGNED else stream}"
            load = sender.call(partial(post_events, headers=contenders[name][2]), url, count, limit=LONGEST)
            if load.statuses != {200: count}:
                raise RuntimeError(f"{name} must answer {count} posts with 200, got {load}")
            return load

        for name in contenders:
            send(name, "warm")
        for turn in range(rounds):
            for name in contenders:
                found[name].append(send(name, f"s{turn}"))
        for name in (OURS, EACH):
            _check_stored(urls[name], rounds + 1, posts // 4 if name == EACH else posts)
    return posts_table(found)


def posts_table(loads: Loads) -> Table:
    """Lay out who answered how many posts a second and how late, fastest first, and judge ours."""
    rates = {name: [load.per_second for load in some] for name, some in loads.items()}
    p99s = {name: [load.quantile(0.99) for load in some] for name, some in loads.items()}
    p50s = {name: [load.quantile(0.5) for load in some] for name, some in loads.items()}
    middle = {name: statistics.median(some) for name, some in rates.items()}

    def cells(name: str) -> tuple[str, ...]:
        p50, p99 = (f"{statistics.median(some[name]) * 1e3:.1f}" for some in (p50s, p99s))
        return name, f"{middle[name]:,.0f}", f"{max(rates[name]):,.0f}", p50, p99, f"{middle[name] / middle[EACH]:.2f}"

    lines = [cells(name) for name in sorted(rates, key=lambda name: -middle[name])]
    verdicts = [verdict for name in (OURS, SIGNED) if name in rates for verdict in _held(name, rates, p99s)]
    head = ("server", "events/s", "best", "p50 ms", "p99 ms", f"x {EACH}")
    figures = {"rates": rates, "p50": p50s, "p99": p99s}
    return Table("HTTP: one event a post, 64 connections", head, lines, verdicts, figures)


def _held(name: str, rates: Mapping[str, list[float]], p99s: Mapping[str, list[float]]) -> Iterator[Verdict]:
    """Judge one of ours: its share of a server that does nothing, its worst answers, the group commit's gain."""
    for least, other in ((SHARE, NOTHING), (FACTOR, EACH)):
        if other in rates:
            yield at_least(least, of=other).judge(name, _of(rates, name, other))
    yield at_most(P99, "s").judge(f"{name}: p99, best round", min(p99s[name]))


def _of(rates: Mapping[str, list[float]], name: str, other: str) -> float:
    """The median over rounds of one's rate over another's in the same round."""
    return statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True))


def signed(n: int, body: bytes) -> Mapping[str, str]:
    """Sign the n-th delivery of this run."""
    name, now = f"m{time.monotonic_ns()}-{n}", int(time.time())
    return {"webhook-id": name, "webhook-timestamp": str(now), "webhook-signature": sign(SECRET, name, now, body)}


def _check_stored(url: str, turns: int, posts: int) -> None:
    stored = get(f"{url}/status")["store"]["rows"]
    if stored != turns * posts:
        raise RuntimeError(f"the store must hold {turns * posts} events, got {stored}")
