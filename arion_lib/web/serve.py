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
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from arion_lib.masking import masked
from arion_lib.pipeline.broker import check_broker_url, open_broker
from arion_lib.pipeline.ingest import Cut
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.queues.durable import make_folder, nobody_elses
from arion_lib.pipeline.store import Store, StoreError, open_store
from arion_lib.pipeline.stores.addresses import checked_stream, local_url
from arion_lib.pipeline.stores.retention import Retention
from arion_lib.web.edge.gate import Doors
from arion_lib.web.edge.signals import asked_to_end
from arion_lib.web.requests import Limits
from arion_lib.web.signatures import Verifier
from arion_lib.web.startup.config import example, read_config
from arion_lib.web.startup.doors import doors_of, shared_secrets
from arion_lib.web.startup.late_broker import LateBroker
from arion_lib.web.startup.options import command_line
from arion_lib.web.streams import Rules, Streams


def run(args: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code."""
    chosen = command_line().parse_args(args)
    if chosen.show_config:
        _say(example().rstrip())
        return 0
    logging.basicConfig(stream=sys.stderr, level=chosen.log.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        with nobody_elses():
            return _serve(args, chosen)
    except (StoreError, ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"python -m arion_lib serve: {error}\n")
        return 2


class _Judged(NamedTuple):
    """What the options come to, before anything is opened."""

    doors: Doors
    admin: tuple[str, int] | None  # where the pages listen, if elsewhere
    streams: Streams
    limits: Limits


def _serve(args: list[str], chosen: argparse.Namespace) -> int:
    streams, options = _streams(chosen)
    chosen = command_line(options).parse_args(args)
    judged = _Judged(*doors_of(chosen), streams, _limits(chosen))
    if chosen.remember < streams.good_for:
        must = f"--remember must be >= {streams.good_for:.0f}s where posts are signed"
        raise ValueError(f"{must}, got {chosen.remember:.0f}s: so long a captured post is good, and would count again")
    if not (chosen.store and chosen.broker):
        make_folder(chosen.data)
    store_url = chosen.store or local_url("sqlite", chosen.data / "arion.db")
    broker_url = chosen.broker or local_url("file", chosen.data / "queue")
    check_broker_url(broker_url)  # the address is judged now; the queue itself may come later
    with (
        open_store(store_url) as store,
        LateBroker(lambda: open_broker(broker_url)) as broker,
        Retention(store, keep=chosen.keep, own=streams.ages, remember=chosen.remember),
    ):
        if chosen.relay == "only":
            return _relay(store, broker)
        sending = broker if chosen.relay == "inside" else None
        return _listen(chosen, judged, store, sending, masked(store_url))


def _streams(chosen: argparse.Namespace) -> tuple[Streams, Mapping[str, Any]]:
    """Return what holds for each stream, and the options that the file sets."""
    secrets = shared_secrets(chosen)
    if chosen.config and chosen.stream is not None:
        raise ValueError("--stream must be left out beside --config, got both: the file names the streams")
    if chosen.config:
        config = read_config(chosen.config, secrets)
        return config.streams, config.options
    rules = Rules(verifier=Verifier(secrets) if secrets else None)
    if chosen.stream is not None:
        return Streams({checked_stream(chosen.stream): rules}, None), {}
    if secrets:
        raise ValueError(
            "secrets must belong to one stream, got some for all, and what is signed for one would count in each: name "
            "it with --stream, or give each stream its own secret in --config"
        )
    return Streams(), {}


def _limits(chosen: argparse.Namespace) -> Limits:
    return Limits(
        max_body=chosen.max_body,
        max_inflated=chosen.max_inflated,
        max_record=chosen.max_line,
        max_spool=chosen.max_spool,
        max_in_flight=chosen.max_in_flight,
        idle=chosen.idle,
    )


def _listen(chosen: argparse.Namespace, judged: _Judged, store: Store, broker: LateBroker | None, where: str) -> int:
    from arion_lib.web.application import create_app  # the web framework takes most of a second to import
    from arion_lib.web.edge.server import listening_socket, serve_until_signal, url_of
    from arion_lib.web.scheduling.samples import shipped
    from arion_lib.web.scheduling.tasks import ScheduledTasks, local_scheduler
    from arion_lib.web.service import PipelineService

    doors, admin, streams, limits = judged
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
    with asked_to_end(lambda *_: relay.stop(0)):
        _say("the relay runs; Ctrl-C ends it")
        relay.run()
    return 0
