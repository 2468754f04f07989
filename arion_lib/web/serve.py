"""`python -m arion_lib serve`: webhook and scheduler as a service, with a database and a queue that need no server.

Idea        Open store and queue, listen, say where on one line, and run until a signal asks for the end.
Invariant   The line with the URL is printed once requests are taken; after SIGTERM everything accepted is durable and
            the exit code is 0.
When wrong  A wrong option, a taken port or a store that cannot be opened is one sentence on stderr; exit code 2.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_serve.py
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from arion_lib.masking import masked
from arion_lib.pipeline.addresses import local_url
from arion_lib.pipeline.broker import open_broker
from arion_lib.pipeline.ingest import Cut
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.store import Store, StoreError, open_store
from arion_lib.web.late_broker import LateBroker
from arion_lib.web.requests import Limits

SECRETS = "ARION_WEBHOOK_SECRETS"
"""Environment variable with the shared secrets, separated by spaces: a command line shows in every process list."""

_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def run(args: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code."""
    chosen = _parser().parse_args(args)
    logging.basicConfig(stream=sys.stderr, level=chosen.log.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        return _serve(chosen)
    except (StoreError, ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"python -m arion_lib serve: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    limits = Limits()
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib serve",
        description="Take webhook events over HTTP into a database and a message queue, losing none.",
        epilog="example: python -m arion_lib serve --port 8000 --data ./arion-data    then: curl -H 'content-type: "
        'application/json\' -d \'{"id":"e1","amount":7}\' http://127.0.0.1:8000/webhook/orders',
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")
    add("--port", type=_port, default=8000, help="port; 0 takes a free one (default: %(default)s)")
    add(
        "--data",
        type=Path,
        default=Path("arion-data"),
        help="folder of the embedded store and queue (default: ./%(default)s)",
    )
    add("--store", help="store's URL, such as postgresql://host/db (default: sqlite in --data)")
    add("--broker", help="queue's URL, redis://... or amqp://... (default: files in --data)")
    add("--secret", action="append", default=[], help=f"shared secret whsec_...; repeatable; better in ${SECRETS}")
    add(
        "--relay",
        choices=("inside", "none", "only"),
        default="inside",
        help="where the outbox is sent on (default: %(default)s)",
    )
    add("--max-body", type=_size, default=limits.max_body, help="bytes of a body as sent, or 100m, 4g")
    add("--max-inflated", type=_size, default=limits.max_inflated, help="bytes of a gzip body, inflated")
    add("--max-line", type=_size, default=limits.max_record, help="bytes of one record")
    add("--max-in-flight", type=_count, default=limits.max_in_flight, help="posts at a time; past it: 429")
    add("--batch", type=_size, default=Cut().bytes, help="bytes of a long body that share a transaction")
    add("--idle", type=_seconds, default=limits.idle, help="seconds a sender may pause (default: %(default)s)")
    add(
        "--workers",
        type=_workers,
        help="worker processes of the scheduler, once a task needs them (default: the cores)",
    )
    add("--log", default="warning", choices=("debug", "info", "warning", "error"), help="default: %(default)s")
    return parser


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    known = number.isascii() and number.isdigit() and len(number) <= 18 and unit in _SIZES
    if not known or int(number) == 0:
        raise argparse.ArgumentTypeError(f"must be bytes such as 1000, 64k, 100m or 4g, got {text[:40]!r}")
    return int(number) * _SIZES[unit]


def _port(text: str) -> int:
    return int(_within(text, 0, 65_535, whole=True))


def _count(text: str) -> int:
    return int(_within(text, 1, 1_000_000, whole=True))


def _workers(text: str) -> int:
    return int(_within(text, 1, 256, whole=True))


def _seconds(text: str) -> float:
    return _within(text, 0.001, 86_400.0, whole=False)


def _within(text: str, least: float, most: float, *, whole: bool) -> float:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        kind = "a whole number" if whole else "a number"
        raise argparse.ArgumentTypeError(f"must be {kind} from {least} to {most}, got {text[:40]!r}")
    return number


def _serve(chosen: argparse.Namespace) -> int:
    if not (chosen.store and chosen.broker):
        chosen.data.mkdir(parents=True, exist_ok=True)
    store_url = chosen.store or local_url("sqlite", chosen.data / "arion.db")
    broker_url = chosen.broker or local_url("file", chosen.data / "queue")
    with open_store(store_url) as store, LateBroker(lambda: open_broker(broker_url)) as broker:
        if chosen.relay == "only":
            return _relay(store, broker)
        return _listen(chosen, store, broker if chosen.relay == "inside" else None, masked(store_url))


def _listen(chosen: argparse.Namespace, store: Store, broker: LateBroker | None, where: str) -> int:
    from arion_lib.web.application import create_app  # the web framework takes most of a second to import
    from arion_lib.web.scheduler_samples import shipped
    from arion_lib.web.scheduler_tasks import ScheduledTasks, local_scheduler
    from arion_lib.web.server import listening_socket, serve_until_signal, url_of
    from arion_lib.web.service import PipelineService

    limits = Limits(
        max_body=chosen.max_body,
        max_inflated=chosen.max_inflated,
        max_record=chosen.max_line,
        max_in_flight=chosen.max_in_flight,
        idle=chosen.idle,
    )
    secrets = [*chosen.secret, *os.environ.get(SECRETS, "").split()]
    service = PipelineService(store, broker, secrets=secrets, limits=limits, cut=Cut(bytes=chosen.batch))
    app = create_app(service, ScheduledTasks(shipped(), partial(local_scheduler, chosen.workers)))
    sock = listening_socket(chosen.host, chosen.port)
    url = url_of(sock)
    serve_until_signal(app, sock, lambda: _say(f"{url}  (store {where}; docs {url}/docs; Ctrl-C ends)"))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _relay(store: Store, broker: LateBroker) -> int:
    relay = Relay(store, broker)
    _on_signals(lambda: relay.stop(0))
    _say("the relay runs; Ctrl-C ends it")
    relay.run()
    return 0


def _on_signals(stop: Callable[[], Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for name in (
            "SIGTERM",
            "SIGINT",
            "SIGBREAK",
        ):  # the last: Ctrl-Break, all that Windows can send a console process
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: stop())
