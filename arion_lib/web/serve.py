"""`python -m arion_lib serve`: webhook and scheduler as a service, with a database and a queue that need no server.

Idea        Open store and queue, listen, say where on one line, and run until a signal asks for the end.
Invariant   The line with the URL is printed once requests are taken; after SIGTERM everything accepted is durable and
            the exit code is 0.
When wrong  Pages that everybody could reach, a wrong option, a taken port or a store that cannot be opened is one
            sentence on stderr; exit code 2.
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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from arion_lib.masking import masked
from arion_lib.pipeline.broker import check_broker_url, open_broker
from arion_lib.pipeline.ingest import Cut
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.queues.durable import make_folder
from arion_lib.pipeline.store import Store, StoreError, open_store
from arion_lib.pipeline.stores.addresses import local_url
from arion_lib.pipeline.stores.retention import REMEMBERED, Retention
from arion_lib.web.gate import LOCAL, LOOPBACK, Doors, Gate, is_loopback
from arion_lib.web.late_broker import LateBroker
from arion_lib.web.requests import Limits
from arion_lib.web.signatures import Verifier
from arion_lib.web.streams import Rules, Streams, read_streams

SECRETS = "ARION_WEBHOOK_SECRETS"
"""Environment variable with the shared secrets, separated by spaces: a command line shows in every process list."""

TOKEN = "ARION_ADMIN_TOKEN"  # noqa: S105  a name
"""Environment variable with the token that the pages ask for."""

_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def run(args: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code."""
    chosen = _parser().parse_args(args)
    logging.basicConfig(stream=sys.stderr, level=chosen.log.upper(), format="%(levelname)s %(name)s: %(message)s")
    before = os.umask(0o077)  # what is stored is for nobody else on this machine
    try:
        return _serve(chosen)
    except (StoreError, ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"python -m arion_lib serve: {error}\n")
        return 2
    finally:
        os.umask(before)


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
    add(
        "--config",
        type=Path,
        help="TOML file: what is kept of each stream, who may send it (arion_lib/web/streams.py)",
    )
    add("--admin", metavar="HOST:PORT", help="address of pages, controls and metrics (default: with the webhook)")
    add("--token-file", type=Path, help=f"file with the token that the pages ask for; or ${TOKEN}")
    add("--allow-host", action="append", default=[], help="name under which browsers and senders may reach us; * any")
    add("--store", help="store's URL, such as postgresql://host/db (default: sqlite in --data)")
    add("--broker", help="queue's URL, redis://... or amqp://... (default: files in --data)")
    add("--secret", action="append", default=[], help=f"shared secret whsec_...; repeatable; better in ${SECRETS}")
    add("--secret-file", type=Path, action="append", default=[], help="file with shared secrets, a line each")
    add(
        "--relay",
        choices=("inside", "none", "only"),
        default="inside",
        help="where the outbox is sent on (default: %(default)s)",
    )
    add("--max-body", type=_size, default=limits.max_body, help="bytes of a body as sent, or 100m, 4g (default: 16g)")
    add("--max-inflated", type=_size, default=limits.max_inflated, help="bytes of a gzip body, inflated (default: 64g)")
    add(
        "--max-line",
        type=_size,
        default=limits.max_record,
        help="bytes of one record; a longer one: 413 (default: 1m)",
    )
    add(
        "--max-in-flight",
        type=_count,
        default=limits.max_in_flight,
        help="posts at a time (default: %(default)s)",
    )
    add("--batch", type=_size, default=Cut().bytes, help="bytes of a long body that share a transaction (default: 8m)")
    add("--idle", type=_seconds, default=limits.idle, help="seconds a sender may pause (default: %(default)s)")
    add("--keep", type=_age, help="age at which rows and dead letters are forgotten: 12h, 7d (default: never)")
    add(
        "--remember", type=_age, default=REMEMBERED, help="age at which ids of deliveries and events are (default: 30d)"
    )
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


def _age(text: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}.get(text[-1:].lower())
    number = text[:-1]
    if unit is None or not (number.isascii() and number.isdigit()) or len(number) > 9 or int(number) == 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m, 12h or 7d, got {text[:40]!r}")
    return float(int(number) * unit)


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
    doors, secrets = _doors(chosen), _secrets(chosen)  # judged before anything is opened
    others = Rules(verifier=Verifier(secrets) if secrets else None)
    streams = read_streams(chosen.config, secrets) if chosen.config else Streams(others=others)
    if not (chosen.store and chosen.broker):
        make_folder(chosen.data)
    store_url = chosen.store or local_url("sqlite", chosen.data / "arion.db")
    broker_url = chosen.broker or local_url("file", chosen.data / "queue")
    check_broker_url(broker_url)  # the address is judged now; the queue itself may come later
    with (
        open_store(store_url) as store,
        LateBroker(lambda: open_broker(broker_url)) as broker,
        Retention(store, keep=chosen.keep, remember=chosen.remember),
    ):
        if chosen.relay == "only":
            return _relay(store, broker)
        sending = broker if chosen.relay == "inside" else None
        return _listen(chosen, doors, streams, store, sending, masked(store_url))


def _secrets(chosen: argparse.Namespace) -> list[str]:
    """Gather the shared secrets. Raises `ValueError` where a place that should have some has none."""
    found = list(chosen.secret)
    for name, text in _texts(SECRETS, chosen.secret_file):
        if not text.split():
            raise ValueError(f"{name} must hold a secret, got blanks: leave it out to take unsigned posts")
        found += text.split()
    return found


def _texts(variable: str, files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    if variable in os.environ:
        yield f"${variable}", os.environ[variable]
    for file in files:
        yield str(file), file.read_text(encoding="utf-8")


def _doors(chosen: argparse.Namespace) -> tuple[Doors, tuple[str, int] | None]:
    """Judge who may reach what, and where the pages listen. Raises `ValueError`."""
    if not chosen.host:
        raise ValueError("--host must be an address, got '': 0.0.0.0 is every IPv4 address of this machine")
    tokens = [text.strip() for _, text in _texts(TOKEN, [chosen.token_file] if chosen.token_file else [])]
    if any(len(token) < 16 for token in tokens):
        raise ValueError("the pages' token must be 16 characters or more, got fewer: `openssl rand -hex 16` makes one")
    token = tokens[-1] if tokens else None
    admin = _address(chosen.admin) if chosen.admin else None
    here = is_loopback(chosen.host)
    if not here and admin is None and token is None:
        raise ValueError(
            f"pages and controls must not be open to everybody, got --host {chosen.host}: give them an address of "
            f"their own with --admin 127.0.0.1:PORT, or a token in ${TOKEN} or --token-file"
        )
    if admin is not None and not is_loopback(admin[0]) and token is None:
        raise ValueError(f"--admin must be on this machine, got {chosen.admin}: or have the pages ask for a token")
    if admin is not None and admin[1] == chosen.port:
        raise ValueError(f"--admin must have a port of its own, got --port's {chosen.port}")
    names = chosen.allow_host or ([] if here else ["*"])
    gate = Gate([*(LOOPBACK if here else ()), chosen.host, *names])
    inner = LOCAL if admin is None else Gate([*LOOPBACK, admin[0], *chosen.allow_host])
    return Doors(gate, admin and admin[1], inner, token), admin


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        raise ValueError(f"--admin must be HOST:PORT, such as 127.0.0.1:8001, got {text[:60]!r}")
    return host.strip("[]"), int(port)


def _listen(
    chosen: argparse.Namespace,
    where_in: tuple[Doors, tuple[str, int] | None],
    streams: Streams,
    store: Store,
    broker: LateBroker | None,
    where: str,
) -> int:
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
    doors, admin = where_in
    service = PipelineService(store, broker, streams=streams, limits=limits, cut=Cut(bytes=chosen.batch))
    most = chosen.workers or os.cpu_count() or 1
    tasks = ScheduledTasks(shipped(), partial(local_scheduler, chosen.workers), most_workers=most)
    app = create_app(service, tasks, doors=doors)
    socks = [listening_socket(chosen.host, chosen.port)]
    if admin is not None:
        try:
            socks.append(listening_socket(*admin))
        except BaseException:
            socks[0].close()
            raise
    url, pages = url_of(socks[0]), url_of(socks[-1])
    inside = f"pages {pages}; " if admin else ""
    serve_until_signal(app, socks, lambda: _say(f"{url}  ({inside}store {where}; docs {pages}/docs; Ctrl-C ends)"))
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
