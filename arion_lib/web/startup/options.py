"""The options of `python -m arion_lib serve`: each bound that a sender or a store can reach, with its default.

Idea        One page says what can be set; numbers carry their units as people write them: 64k, 100m, 12h, 7d.
Invariant   `--help` shows every default; a value that makes no sense is refused before anything is opened.
When wrong  argparse's sentence on stderr: what must be, what was got; exit code 2.
See         tests/web/test_serve.py
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from arion_lib.pipeline.ingest import Cut
from arion_lib.pipeline.stores.retention import REMEMBERED
from arion_lib.web.requests import Limits
from arion_lib.web.startup.doors import SECRETS, TOKEN

_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

EXAMPLE = """\
example: python -m arion_lib serve --port 8000 --data ./arion-data
  curl -H 'content-type: application/json' -d '{"id":"e1","amount":7}' http://127.0.0.1:8000/webhook/orders

a file for --config, here with GitHub's pushes, signed, as one stream and no other:
  unknown_streams = "refuse"
  [streams.pushes]
  scheme = "github"              # or standard, svix, shopify, {header = "x-sig", prefix = "", encoding = "hex"}
  secret_env = "PUSHES_SECRET"   # or secret_file
  fields = ["ref", "repository.full_name"]
  [limits]
  max_line = "25m"               # GitHub's largest event
  max_body = "25m"
  [retention]
  keep = "7d"
all keys of the file: python -m arion_lib serve --show-config    behind nginx or Caddy: .github/SERVE.md
"""


def size(text: str) -> int:
    """Read bytes. Raises `ArgumentTypeError`.

    >>> size("64k")
    65536
    """
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    known = number.isascii() and number.isdigit() and len(number) <= 18 and unit in _SIZES
    if not known or int(number) == 0:
        raise argparse.ArgumentTypeError(f"must be bytes such as 1000, 64k, 100m or 4g, got {text[:40]!r}")
    return int(number) * _SIZES[unit]


def age(text: str) -> float:
    """Read a time, in seconds. Raises `ArgumentTypeError`.

    >>> age("12h")
    43200.0
    """
    unit = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}.get(text[-1:].lower())
    number = text[:-1]
    if unit is None or not (number.isascii() and number.isdigit()) or len(number) > 9 or int(number) == 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m, 12h or 7d, got {text[:40]!r}")
    return float(int(number) * unit)


def port(text: str) -> int:
    """Read a port."""
    return int(_within(text, 0, 65_535, whole=True))


def count(text: str) -> int:
    """Read how many."""
    return int(_within(text, 1, 1_000_000, whole=True))


def workers(text: str) -> int:
    """Read how many processes."""
    return int(_within(text, 1, 256, whole=True))


def seconds(text: str) -> float:
    """Read seconds."""
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


FROM_FILE: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "limits": {
        "max_body": size,
        "max_inflated": size,
        "max_line": size,
        "max_spool": size,
        "max_in_flight": count,
        "batch": size,
        "idle": seconds,
    },
    "retention": {"keep": age, "remember": age},
}
"""Options that the file of `--config` may set, by its tables; the command line wins."""


def command_line(defaults: Mapping[str, Any] | None = None) -> argparse.ArgumentParser:
    """Make the command's parser; `defaults`, where given, are a file's."""
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib serve",
        description="Take webhook events over HTTP into a database and a message queue, losing none.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")
    add("--port", type=port, default=8000, help="port; 0 takes a free one (default: %(default)s)")
    data = Path("arion-data")
    add("--data", type=Path, default=data, help="folder of the embedded store and queue (default: ./%(default)s)")
    add("--store", help="store's URL, such as postgresql://host/db (default: sqlite in --data)")
    add("--broker", help="queue's URL, redis://... or amqp://... (default: files in --data)")
    relay = ("inside", "none", "only")
    add("--relay", choices=relay, default="inside", help="where the outbox is sent on (default: %(default)s)")
    add(
        "--workers", type=workers, help="worker processes of the scheduler, once a task needs them (default: the cores)"
    )
    add("--log", default="warning", choices=("debug", "info", "warning", "error"), help="default: %(default)s")
    _who(parser.add_argument_group("who may send, who may look").add_argument)
    _bounds(parser.add_argument_group("limits, also [limits] of the file").add_argument)
    add = parser.add_argument_group("retention, also [retention] of the file").add_argument
    add("--keep", type=age, help="age at which rows and dead letters are forgotten: 12h, 7d (default: never)")
    ids = "age at which ids of deliveries and events are (default: 30d)"
    add("--remember", type=age, default=REMEMBERED, help=ids)
    parser.set_defaults(**(defaults or {}))
    return parser


def _who(add: Callable[..., object]) -> None:
    add("--config", type=Path, help="TOML file: what is kept of each stream, who may send it; see below")
    add("--show-config", action="store_true", help="print an example of that file with all keys, and end")
    add("--stream", metavar="NAME", help="the one stream that is taken, and that the secrets are for (default: any)")
    add("--secret", action="append", default=[], help=f"secret whsec_... of --stream; repeatable; better in ${SECRETS}")
    add("--secret-file", type=Path, action="append", default=[], help="file with such secrets, a line each")
    add("--admin", metavar="HOST:PORT", help="address of pages, controls and metrics (default: with the webhook)")
    add("--token-file", type=Path, help=f"file with the token that the pages ask for; or ${TOKEN}")
    add("--allow-host", action="append", default=[], help="name under which browsers and senders may reach us; * any")


def _bounds(add: Callable[..., object]) -> None:
    limits = Limits()
    add("--max-body", type=size, default=limits.max_body, help="bytes of a body as sent, or 100m, 4g (default: 16g)")
    add("--max-inflated", type=size, default=limits.max_inflated, help="bytes of a gzip body, inflated (default: 64g)")
    line = "bytes of one record; a longer one: 413 (default: 1m)"
    add("--max-line", type=size, default=limits.max_record, help=line)
    spool = "bytes of long signed bodies that wait among the temporary files to be verified, together (default: 4g)"
    add("--max-spool", type=size, default=limits.max_spool, help=spool)
    flight = "posts at a time (default: %(default)s)"
    add("--max-in-flight", type=count, default=limits.max_in_flight, help=flight)
    add("--batch", type=size, default=Cut().bytes, help="bytes of a long body that share a transaction (default: 8m)")
    add("--idle", type=seconds, default=limits.idle, help="seconds a sender may pause (default: %(default)s)")
