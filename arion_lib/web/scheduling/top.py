"""`python -m arion_lib top`: a running service's scheduler in the terminal, drawn anew every second.

Idea        Ask the service for one snapshot, draw it, wait: drawing is a function of the snapshot and of nothing else.
Invariant   Looking changes nothing: one GET a frame, and a scheduler that nobody used is not started by it.
When wrong  Nobody answering, or somebody else, is one sentence on stderr with exit code 1; Ctrl-C ends with 0.
See         arion_lib/web/scheduling/pages.py · tests/web/test_top.py
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from arion_lib.units import clock_text, progress_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

PAGE = "/scheduler/status"
PATIENCE = 5.0
"""Seconds that the service may take for an answer."""

NEEDED = {"name", "uptime", "lanes", "running", "ready", "pending", "window", "throughput", "waiting", "running_time"}
STYLES = {"running": "green", "idle": "dim", "starting": "cyan", "draining": "yellow", "stopping": "red"}
UNFINISHED = {"running": "green", "ready": "", "pending": "", "retries": "yellow"}
ENDED = {"succeeded": "green", "failed": "red", "timed_out": "red", "cancelled": "yellow", "quarantined": "red"}


class NoSchedulerError(Exception):
    """Nobody answers there, or nobody with a scheduler."""


def run(args: list[str]) -> int:
    """Show frames until Ctrl-C, or one; return the exit code."""
    chosen = _parser().parse_args(args)
    from rich.console import Console

    console = Console()
    try:
        if chosen.once:
            console.print(frame(fetch(chosen.url)))
        else:
            _watch(chosen.url, chosen.interval, console)
    except KeyboardInterrupt:  # the way to leave
        return 0
    except NoSchedulerError as error:
        sys.stderr.write(f"python -m arion_lib top: {error}\n")
        return 1
    return 0


def refuse_wrong(args: list[str]) -> None:
    """Leave by `SystemExit` for `--help` and for wrong arguments; needs nothing but the standard library."""
    _parser().parse_args(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib top",
        description="Show the scheduler of a running service: its workers, its queue, its figures. Ctrl-C ends it.",
        epilog="example: python -m arion_lib top http://127.0.0.1:8000 --interval 0.5",
    )
    url = "where the service listens (default: %(default)s)"
    parser.add_argument("url", metavar="URL", nargs="?", type=_url, default="http://127.0.0.1:8000", help=url)
    parser.add_argument("--once", action="store_true", help="print one frame and exit")
    parser.add_argument("--interval", type=_interval, default=1.0, help="seconds between frames (default: %(default)s)")
    return parser


def _url(text: str) -> str:
    """Check the address: `top` adds its page to it.

    >>> _url("http://127.0.0.1:8000/")
    'http://127.0.0.1:8000'
    """
    try:
        parts = urlsplit(text)
        understood = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        understood = False
    if not understood:
        raise argparse.ArgumentTypeError(f"must be like http://127.0.0.1:8000, got {text[:80]!r}")
    return text.rstrip("/")


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.05 <= seconds <= 3_600:
        raise argparse.ArgumentTypeError(f"must be seconds from 0.05 to 3600, got {text[:40]!r}")
    return seconds


def fetch(url: str) -> dict[str, Any]:
    """Ask the service at `url` for its scheduler's snapshot. Raises `NoSchedulerError`."""
    # Past any proxy of the environment: the service is the reader's own, most often on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url + PAGE, timeout=PATIENCE) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        error.close()
        raise _nobody(url, f"status {error.code} for {PAGE}") from None
    except (OSError, HTTPException) as error:
        raise _nobody(url, getattr(error, "reason", None) or error) from None
    except ValueError:
        raise _nobody(url, "an answer that is not JSON") from None
    if not isinstance(found, dict) or not found.keys() >= NEEDED:
        raise _nobody(url, "JSON that is not a scheduler's status")
    return found


def _nobody(url: str, got: object) -> NoSchedulerError:
    do = "start one with `python -m arion_lib serve`, or name its URL"
    return NoSchedulerError(f"a service with a scheduler must answer at {url}, got {got}: {do}")


def _watch(url: str, interval: float, console: Console) -> None:
    from rich.live import Live

    if not console.is_terminal:  # a file or a pipe: one frame below the other
        while True:
            console.print(frame(fetch(url)))
            time.sleep(interval)
    first = frame(fetch(url))  # before the screen is taken: an error then leaves it as it was
    live = Live(first, console=console, screen=True, auto_refresh=False)
    try:
        live.start()  # inside: Ctrl-C may come while the first frame is drawn, and the screen must be given back
        while True:
            time.sleep(interval)
            live.update(frame(fetch(url)), refresh=True)
    finally:
        live.stop()


def frame(snapshot: Mapping[str, Any]) -> RenderableType:
    """Draw a snapshot (`Snapshot.as_dict()`, or the same after a way through JSON) for a terminal."""
    from rich.console import Group
    from rich.text import Text

    head = Text.assemble(
        (_plain(snapshot["name"]), "bold"), f"   up {clock_text(snapshot['uptime'])}   restarts {_restarts(snapshot)}"
    )
    counts = (_counts("tasks", UNFINISHED, snapshot), _counts("ended", ENDED, snapshot))
    return Group(head, *counts, "", _window(snapshot), "", _workers(snapshot), "", _queue(snapshot))


def _counts(label: str, names: Mapping[str, str], snapshot: Mapping[str, Any]) -> RenderableType:
    from rich.text import Text

    line = Text(label)
    for name, style in names.items():
        count = snapshot.get(name, 0)
        line.append(f"   {name.replace('_', ' ')} ").append(f"{count:,}", style if count else "dim")
    return line


def _window(snapshot: Mapping[str, Any]) -> RenderableType:
    from rich.progress_bar import ProgressBar

    table = _table(f"last {clock_text(snapshot['window'])}", "p50", "p95", "p99", "most", "", "", numbers=(1, 2, 3, 4))
    busy = snapshot.get("utilisation", 0.0)
    extra: tuple[list[RenderableType], list[RenderableType]] = (
        [f"{snapshot['throughput']:,.1f} tasks/s", ""],
        [f"{busy:.0%} busy", ProgressBar(total=1.0, completed=min(1.0, busy), width=20)],
    )
    for label, name, more in zip(("waiting", "running"), ("waiting", "running_time"), extra, strict=True):
        spread = snapshot[name]
        table.add_row(label, *(clock_text(spread[quantile]) for quantile in ("p50", "p95", "p99", "most")), *more)
    return table


def _workers(snapshot: Mapping[str, Any]) -> RenderableType:
    names = ("worker", "lane", "pid", "state", "task", "age", "done", "failed", "CPU", "RSS")
    table = _table(*names, numbers=(0, 2, 5, 6, 7, 8, 9), gives_way=4)
    for lane in snapshot["lanes"]:
        for worker in lane["workers"]:
            table.add_row(*_worker(worker))
    if not table.row_count:
        table.add_row("-", "none runs yet", *[""] * 8)
    return table


def _worker(worker: Mapping[str, Any]) -> list[RenderableType]:
    from rich.text import Text

    state = worker["state"]
    task = f"{progress_text(worker.get('progress'))} {_plain(worker['task'] or '')}"
    return [
        str(worker["number"]),
        worker["lane"],
        _or_dash(worker["pid"], "{}"),
        Text(state, STYLES.get(state, "")),
        Text(task.strip(), no_wrap=True, overflow="ellipsis"),
        clock_text(worker["age"]) if worker["age"] is not None else "",
        f"{worker['done']:,}",
        Text(f"{worker['failed']:,}", "red" if worker["failed"] else "dim"),
        _or_dash(worker["cpu"], "{:.0f} %"),
        _or_dash(None if worker["rss"] is None else worker["rss"] / 1e6, "{:,.0f} MB"),
    ]


def _queue(snapshot: Mapping[str, Any]) -> RenderableType:
    from rich.progress_bar import ProgressBar

    table = _table("queue", "priority", "tasks", "", numbers=(1, 2))
    waiting = [
        (lane["name"], int(priority), count) for lane in snapshot["lanes"] for priority, count in lane["queued"].items()
    ]
    most = max((count for *_, count in waiting), default=1)
    for lane, priority, count in sorted(waiting, key=lambda row: (row[0], -row[1])):
        table.add_row(lane, str(priority), f"{count:,}", ProgressBar(total=most, completed=count, width=20))
    if not waiting:
        table.add_row("empty", "", "", "")
    return table


def _table(*columns: str, numbers: tuple[int, ...], gives_way: int | None = None) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        justify: Any = "right" if place in numbers else "left"
        # In a narrow terminal it is the columns which may wrap that lose width: a figure cut in two would be wrong.
        table.add_column(name, justify=justify, no_wrap=place != gives_way)
    return table


def _restarts(snapshot: Mapping[str, Any]) -> int:
    return sum(lane["restarts"] for lane in snapshot["lanes"])


def _plain(text: str) -> str:
    """Make a name harmless: one with an escape sequence would otherwise steer the reader's terminal.

    >>> _plain("resize [red]")
    'resize [red]'
    >>> _plain(chr(27) + "[2J")
    '?[2J'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _or_dash(value: object, form: str) -> str:
    return "-" if value is None else form.format(value)
