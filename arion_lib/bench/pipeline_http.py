"""Challenge 1 over HTTP: one long body, and one event a post, with what each is compared to.

Idea        Every server is a process of its own and so is the sender; servers take turns within a round.
Invariant   A long body counts only when the totals that its server then shows are exactly right; a post, when durable.
When wrong  A missed target is printed as missed, and fails the run with --strict.
See         arion_lib/bench/_http_servers.py (the others) · tests/bench/test_pipeline_http.py
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from arion_lib.bench import _http_servers as servers
from arion_lib.bench import _pipeline_peers as peers
from arion_lib.bench._nursery import Child, Nursery, Role
from arion_lib.bench.command import Result, finish, options
from arion_lib.bench.compare import Comparison, at_least, compare
from arion_lib.bench.memory import MemoryComparison, PeakRow, peak_within
from arion_lib.measure.tables import text_table
from arion_lib.pipeline.files.sample import write_sample
from arion_lib.web import serve
from arion_lib.web.load import Headers, post_events
from arion_lib.web.signatures import sign

_MB = 1_000_000
QUESTION = "group_by=type&sum_field=amount"
RATE, P99, FACTOR = 18_000.0, 0.020, 4.0
"""What one event a post is held to: events/s on an idle machine of two cores, seconds, times a commit per post."""

OURS, EACH = "ours, durable", "a commit per post"


SECRET = "whsec_" + "QUFB" * 8


def run(args: list[str]) -> int:
    """Measure, print the tables, and return the exit code."""
    parser = options("pipeline_http", "Receive webhook events over HTTP: one long body, and one event a post.")
    parser.add_argument("--size", type=int, default=100, help="megabytes of the long body (default: %(default)s)")
    chosen = parser.parse_args(args)
    chosen.size *= _MB
    return finish(results(chosen), chosen, peers=["uvicorn", "uvloop", "httptools", "fastapi"])


def results(chosen: argparse.Namespace) -> list[Result]:
    """Measure all of it; `chosen` has `rounds` and `size`, the bytes of the long body."""
    with tempfile.TemporaryDirectory(prefix="arion-bench-http-") as name, Nursery() as nursery:
        folder = Path(name)
        return [
            long_body(nursery, folder, chosen.size, chosen.rounds),
            server_memory(nursery, folder, chosen.size),
            single_events(nursery, folder, chosen.rounds),
        ]


# -- one long body


def long_body(nursery: Nursery, folder: Path, size: int, rounds: int) -> Comparison:
    """Compare taking a body in over HTTP, with all that makes it safe, to reading it from a file."""
    body = folder / "body.ndjson"
    write_sample(body, size)
    ours = _start(nursery, serve.run, ["--port", "0", "--data", str(folder / "long")])
    decode = _start(nursery, servers.decode_only, [])
    streams = itertools.count()
    contenders: dict[str, Callable[[], object]] = {
        "ingest from a file, no store": partial(peers.ours, body),
        "raw ASGI, decode and sum only": lambda: json.loads(post_file(f"{decode[1]}/webhook/x", body)),
        "ours: deduplicated, SQLite, outbox": lambda: take_in(ours[1], f"s{next(streams)}", body),
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
    for child, _ in (ours, decode):
        child.terminate()
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


def server_memory(nursery: Nursery, folder: Path, size: int) -> MemoryComparison:
    """Compare the peaks of two servers, one of which took in a body a tenth as long."""
    small, large = f"{size // 10 / _MB:g} MB body", f"{size / _MB:g} MB body"
    peaks = {name: _peak_of_server(nursery, folder, length) for name, length in ((small, size // 10), (large, size))}
    target = peak_within(6e6, of=small)
    held = target.met(peaks[large][0], peaks[small][0])
    rows = (
        PeakRow(small, (peaks[small][0],), peaks[small][1]),
        PeakRow(large, (peaks[large][0],), peaks[large][1], ((target, held),)),
    )
    return MemoryComparison("Peak memory of the server over what it held when idle", rows)


def _peak_of_server(nursery: Nursery, folder: Path, size: int) -> tuple[int, float]:
    body = folder / f"body-{size}.ndjson"
    write_sample(body, size)
    child, url = _start(nursery, serve.run, ["--port", "0", "--data", str(folder / f"memory-{size}")])
    get(f"{url}/status")  # the pages' threads are there
    idle, started = psutil.Process(child.pid).memory_info().rss, time.perf_counter()
    take_in(url, "s", body)
    seconds = time.perf_counter() - started
    peak = peak_rss(child.pid) - idle
    child.terminate()
    body.unlink()
    return max(0, peak), seconds


def peak_rss(pid: int) -> int:
    """Return the most bytes that a process has held so far; where the system does not remember, what it holds now."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    memory = psutil.Process(pid).memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


# -- one event a post


@dataclass(frozen=True, slots=True)
class PostRow:
    """One server's figures, one for each round: answers a second, and two quantiles of the latency in seconds."""

    name: str
    rates: tuple[float, ...]
    p50s: tuple[float, ...]
    p99s: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Answers a second in the median round."""
        return statistics.median(self.rates)


@dataclass(frozen=True, slots=True)
class PostComparison:
    """What `single_events` found, and whether ours kept its three targets."""

    title: str
    rows: tuple[PostRow, ...]

    def __getitem__(self, name: str) -> PostRow:
        return next(row for row in self.rows if row.name == name)

    @property
    def factor(self) -> float:
        """How many times the rate of a commit per post: the median over rounds, each of which both took part in."""
        return statistics.median(a / b for a, b in zip(self[OURS].rates, self[EACH].rates, strict=True))

    @property
    def verdicts(self) -> dict[str, bool]:
        """The targets in words, and whether they are kept: rate and p99 in the best round, the factor in the median."""
        ours = self[OURS]
        return {
            f"{RATE:,.0f} events/s": max(ours.rates) >= RATE,
            f"p99 under {P99 * 1e3:g} ms": min(ours.p99s) < P99,
            f"{FACTOR:g}x {EACH}": self.factor >= FACTOR,
        }

    @property
    def ok(self) -> bool:
        """Whether all targets are kept."""
        return all(self.verdicts.values())

    def table(self) -> str:
        """Lay the figures out as text, fastest first."""
        rows = [self._cells(row) for row in sorted(self.rows, key=lambda row: -row.rate)]
        head = ["server", "events/s", "best", "p50 ms", "p99 ms", f"x {EACH}", "target", "ok?"]
        return f"{self.title}\n{text_table(head, rows)}"

    def _cells(self, row: PostRow) -> list[str]:
        quantiles = [f"{statistics.median(values) * 1e3:.1f}" for values in (row.p50s, row.p99s)]
        words = {True: "yes", False: "NO"}
        held = self.verdicts if row.name == OURS else {}
        return [
            row.name,
            f"{row.rate:,.0f}",
            f"{max(row.rates):,.0f}",
            *quantiles,
            f"{row.rate / self[EACH].rate:.2f}",
            ", ".join(held),
            ", ".join(words[kept] for kept in held.values()),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as JSON-ready values (per second, seconds)."""
        rows = [{"name": r.name, "rates": r.rates, "p50": r.p50s, "p99": r.p99s} for r in self.rows]
        return {"kind": "posts", "title": self.title, "rows": rows, "targets": self.verdicts}


def single_events(nursery: Nursery, folder: Path, rounds: int, posts: int = 10_000) -> PostComparison:
    """Compare servers that are sent one event a post over 64 connections, each sending when it has been answered."""
    contenders: dict[str, tuple[Role, list[str], Headers | None]] = {
        "uvicorn, nothing": (servers.nothing, [], None),
        "FastAPI, nothing": (servers.fastapi_nothing, [], None),
        OURS: (serve.run, ["--port", "0", "--data", str(folder / "posts")], None),
        "ours, each with a webhook-id": (serve.run, ["--port", "0", "--data", str(folder / "named")], with_id),
        "ours, signed": (serve.run, ["--port", "0", "--data", str(folder / "signed"), "--secret", SECRET], signed),
        EACH: (servers.commit_each, [str(folder)], None),
    }
    found: dict[str, list[Any]] = {name: [] for name in contenders}
    with ExitStack() as stack:
        sender = stack.enter_context(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
        urls = {name: _start(nursery, role, args)[1] for name, (role, args, _) in contenders.items()}

        def send(name: str, stream: str) -> Any:
            count = posts // 4 if name == EACH else posts
            url = f"{urls[name]}/webhook/{stream}"
            load = sender.submit(post_events, url, count, headers=contenders[name][2]).result()
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
    rows = (_post_row(name, loads) for name, loads in found.items())
    return PostComparison("HTTP: one event a post, 64 connections", tuple(rows))


def with_id(n: int, body: bytes) -> Mapping[str, str]:  # noqa: ARG001  as `Headers`
    """Name the n-th delivery of this run."""
    return {"webhook-id": f"m{time.monotonic_ns()}-{n}"}


def signed(n: int, body: bytes) -> Mapping[str, str]:
    """Sign the n-th delivery of this run."""
    name, now = f"m{time.monotonic_ns()}-{n}", int(time.time())
    return {"webhook-id": name, "webhook-timestamp": str(now), "webhook-signature": sign(SECRET, name, now, body)}


def _post_row(name: str, loads: list[Any]) -> PostRow:
    quantile: Callable[[float], tuple[float, ...]] = lambda share: tuple(load.quantile(share) for load in loads)  # noqa: E731
    return PostRow(name, tuple(load.per_second for load in loads), quantile(0.5), quantile(0.99))


def _check_stored(url: str, turns: int, posts: int) -> None:
    stored = get(f"{url}/status")["store"]["rows"]
    if stored != turns * posts:
        raise RuntimeError(f"the store must hold {turns * posts} events, got {stored}")


def _start(nursery: Nursery, role: Role, args: list[str]) -> tuple[Child, str]:
    child = nursery.start(role, args)
    return child, child.said.split()[0]
