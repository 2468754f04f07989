"""The options of `python -m arion_lib serve`: each bound that a sender or a store can reach, with its default.

Idea        One page says what can be set; numbers carry their units as people write them: 64k, 100m, 12h, 7d.
Invariant   `--help` shows every default; a value that makes no sense is refused before anything is opened.
When wrong  argparse's sentence on stderr: what must be, what was got; exit code 2.
See         tests/web/test_serve.py
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from arion_lib.pipeline.ingest import Cut
from arion_lib.pipeline.stores.retention import REMEMBERED
from arion_lib.web.requests import Limits
from arion_lib.web.startup.doors import SECRETS, TOKEN

_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def command_line() -> argparse.ArgumentParser:
    """Make the command's parser."""
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
        help="TOML file: what is kept of each stream, who may send it (arion_lib/web/config.py)",
    )
    add("--stream", metavar="NAME", help="the one stream that is taken, and that the secrets are for (default: any)")
    add("--admin", metavar="HOST:PORT", help="address of pages, controls and metrics (default: with the webhook)")
    add("--token-file", type=Path, help=f"file with the token that the pages ask for; or ${TOKEN}")
    add("--allow-host", action="append", default=[], help="name under which browsers and senders may reach us; * any")
    add("--store", help="store's URL, such as postgresql://host/db (default: sqlite in --data)")
    add("--broker", help="queue's URL, redis://... or amqp://... (default: files in --data)")
    add("--secret", action="append", default=[], help=f"secret whsec_... of --stream; repeatable; better in ${SECRETS}")
    add("--secret-file", type=Path, action="append", default=[], help="file with such secrets, a line each")
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
        "--max-spool",
        type=_size,
        default=limits.max_spool,
        help="bytes of long signed bodies, together, that wait in the folder of temporary files until they are "
        "verified (default: 4g)",
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
