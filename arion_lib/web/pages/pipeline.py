"""The pages of challenge 1: what became of the events, and how the server is doing.

Idea        Typed, paged and read from the store each time; a page names the address of the next one.
Invariant   Following `next` from the first page shows every entry that was there at the start, once.
When wrong  A place that is none is a 422; a store that cannot answer a 503.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/test_pipeline_pages.py
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice, zip_longest
from typing import Any

import psutil
from fastapi import APIRouter, Response

from arion_lib.pipeline.broker import BrokerError
from arion_lib.pipeline.decoder import encode
from arion_lib.pipeline.store import Result, StoredRow
from arion_lib.web.monitoring import metrics
from arion_lib.web.pages.documents import Group, Groups, Messages, Queue, QueueError, Rows, Taken
from arion_lib.web.pages.health import Health, health_of
from arion_lib.web.pages.letters import letter_pages
from arion_lib.web.pages.paging import PAGE, After, Limit, Stream, next_page, paged, spliced
from arion_lib.web.pages.refusals import parameter_problem
from arion_lib.web.problems import inside
from arion_lib.web.service import PipelineService

log = logging.getLogger(__name__)


class _Handover(Response):
    """Gives the request to the hot route as it is: the body has not been touched."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


def pipeline_pages(service: PipelineService, *collectors: Any) -> APIRouter:
    """Make the router of the pages, which read from `service`; `/metrics` shows the collectors' figures, too."""
    router = APIRouter(tags=["pipeline"])
    _webhook(router, service)
    _contents(router, service)
    letter_pages(router, service)
    _state(router, service, collectors)
    return router


def _webhook(router: APIRouter, service: PipelineService) -> None:
    event = {"schema": {"type": "object"}, "example": {"id": "e1", "type": "order.created", "amount": 7}}
    lines = {"schema": {"type": "string"}, "example": '{"id": "e1", "amount": 7}\n{"id": "e2", "amount": 5}\n'}
    names = {
        "fields": "fields a row keeps, with commas (all when left out)",
        "group_by": "fields whose values name a group: groups are summed instead of rows kept",
        "sum_field": "field that is summed",
        "path": "where the array is in a JSON document, such as events.item",
        "dedupe": "field that makes an event unique in its stream; one seen before is a duplicate, not stored again",
        "window": "FIELD:SECONDS groups by stretches of time as well: created:3600 are the hours of the field created; "
        "created:3600:ms where its numbers count milliseconds",
        "figures": "min, max: what is known of sum_field beside its sum and mean",
        "config": "`body`: the body's first line is a JSON object with these parameters",
    }
    query = [{"name": k, "in": "query", "description": v, "schema": {"type": "string"}} for k, v in names.items()]
    headers = [
        {"name": name, "in": "header", "schema": {"type": "string"}}
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    ]
    extra = {
        "parameters": [*query, *headers],
        "requestBody": {"required": True, "content": {"application/json": event, "application/x-ndjson": lines}},
    }

    @router.post(
        "/webhook/{stream:path}",
        openapi_extra=extra,
        summary="Take one event, lines or an array",
        responses={200: {"model": Taken}},
    )
    async def webhook(stream: str) -> Response:  # noqa: ARG001  the docs show it
        """Take a body in, and answer once all of it is durable.

        Refusals are problem documents: 422 where nothing of the body could be accepted (its dead letters are stored).
        A delivery with a `webhook-id` that was taken in to its end before, whatever its records came to then, is
        answered 200 and changes nothing: `duplicates` counts all of its records, the dead ones too. So a sender that
        repeats a delivery of bad records alone, which was refused with 422, gets 200 with `accepted` 0: stop sending.
        Another body under a `webhook-id` that is known is refused with 422, before and after its first body's end: send
        it under an id of its own. Only a body that was refused because it broke off may be mended under its id.

        Give each delivery a `webhook-id`, the same at every retry: without one a retry is a new body, so what was whole
        of one that broke off is stored again, its dead letters too. A name is a stream as it is written: `orders/` is
        another than `orders`.
        """
        return _Handover(service.webhook)


def _contents(router: APIRouter, service: PipelineService) -> None:
    store = service.store

    @router.get("/results", summary="Groups of a stream, with their figures", response_model=Groups)
    def results(stream: Stream, after: str | None = None, limit: Limit = 100) -> Response:
        """Show the groups of a stream; `after` is the last group of the page before, as JSON."""
        key = None if after is None else _key(after)
        found = store.results(stream, key, limit)
        items = [_group(one) for one in found]
        last = json.dumps(items[-1].group) if items else ""
        page = Groups(items=items, next=next_page("/results", stream, last, limit, len(items) == limit))
        if after is None and (doubts := _doubts(items)):
            page.hint = f"no record here has {' or '.join(doubts)}: are the names in the webhook's query right?"
        # Sums are exact: a decimal goes out as the number it is, not as pydantic's text or a rounded float.
        return Response(encode(page.model_dump(exclude_unset=True)), media_type="application/json")

    @router.get("/rows", summary="Stored events of a stream", response_model=Rows)
    def rows(stream: Stream, after: After = 0, limit: Limit = 100) -> Response:
        """Show the events of a stream in the order of their commits, each as the very text that is stored.

        A page ends early once it holds 4 MiB.
        """
        found, more = paged(lambda past, most: store.rows(stream, past, most), after, limit, lambda row: len(row.body))
        items = b",".join(map(_row_text, found))
        return spliced(items, next_page("/rows", stream, found[-1].seq if found else 0, limit, more))

    @router.get("/messages", summary="Messages that wait for the queue, and what it holds", response_model=Messages)
    def messages(stream: str | None = None, after: str = "0-0", limit: Limit = 100) -> Response:
        """Show the messages that wait for the queue (the oldest 4 MiB of them), and how many the queue holds.

        A message that the queue has confirmed is no longer here but there, and who wants to read it claims it: with
        `open_broker(url).claim()`, or with a client of Redis or RabbitMQ. Reading here takes nothing away.
        """
        found = re.fullmatch(r"(\d{1,18})-(\d{1,18})", after)
        if found is None:
            raise parameter_problem("after must be the place of a message", f"{after!r:.80}")
        past = (int(found[1]), int(found[2]))
        items = list(islice((one for one in _waiting(service, stream) if one[0] > past), limit))
        last = "{}-{}".format(*items[-1][0]) if items else ""
        queue = _queue(service)
        told = {"queue": None if queue is None else queue.model_dump()}
        return spliced(
            b",".join([text for _, text in items]),
            next_page("/messages", stream, last, limit, len(items) == limit),
            told,
        )


def _key(after: str) -> tuple[Any, ...]:
    """Read the last group seen from a page's address. Raises `Problem` 422."""
    try:
        found = json.loads(after)
    except (ValueError, RecursionError):
        found = None
    simple = isinstance(found, list) and all(one is None or isinstance(one, (str, int, float)) for one in found)
    if not simple or not all(math.isfinite(one) for one in found if isinstance(one, float)):
        raise parameter_problem("after must be a group as JSON", f"{after!r:.80}")
    return tuple(found)


def _row_text(row: StoredRow) -> bytes:
    return b'{"seq":%d,"record":%b%b}' % (row.seq, row.body, _beside(row.meta))


def _beside(meta: str | None) -> bytes:
    return b',"meta":%b' % meta.encode() if meta else b""


def _group(one: Result) -> Group:
    figures = {"sum": one.sum, "values": one.values, "mean": one.mean, "min": one.min, "max": one.max}
    known: dict[str, Any] = {name: figure for name, figure in figures.items() if figure is not None}
    return Group(group=list(one.key), count=one.count, **known)


def _doubts(items: Sequence[Group]) -> list[str]:
    """Name the wanted fields that no record of these groups has: a misspelt one gives one group, called null.

    >>> _doubts([Group(group=["paid", None], count=2, sum=0, values=0)])
    ['field 2 of group_by', 'a number in sum_field']
    >>> _doubts([Group(group=[None], count=2), Group(group=["paid"], count=3, sum=7, values=1)])
    []
    """
    columns = zip(*(one.group for one in items), strict=False)
    doubts = [f"field {place} of group_by" for place, column in enumerate(columns, 1) if set(column) == {None}]
    summed = [one.values for one in items if one.sum is not None]
    return doubts + (["a number in sum_field"] if summed and set(summed) == {0} else [])


def _queue(service: PipelineService) -> Queue | QueueError | None:
    try:
        return Queue(**asdict(service.broker.status())) if service.broker else None
    except BrokerError as error:
        return QueueError(error=inside(error))


def _waiting(service: PipelineService, stream: str | None) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the places of the messages that wait, and how a page shows each."""
    for entry in service.store.outbox(1_000, PAGE):
        if stream in (None, entry.stream):
            named = json.dumps(entry.stream).encode()
            for number, (message, meta) in enumerate(zip_longest(entry.messages, entry.metas), 1):
                place, beside = b"%d-%d" % (entry.seq, number), _beside(meta)
                shown = b'{"place":"%b","stream":%b,"message":%b%b}' % (place, named, message, beside)
                yield (entry.seq, number), shown


def _state(router: APIRouter, service: PipelineService, collectors: Sequence[Any]) -> None:
    @router.get("/status", summary="Figures of the service, as JSON")
    def status() -> dict[str, Any]:
        """Show the figures of the webhook, its commits, the store, the relay and the queue."""
        commits = service.webhook.commits
        return {
            "webhook": service.webhook.figures.as_dict(),
            "commits": {**asdict(commits.figures), "waiting": commits.waiting} if commits else None,
            "store": _or_error(lambda: asdict(service.store.status())),
            "relay": _or_error(lambda: asdict(service.relay.status()) if service.relay else None),
            "broker": _or_error(lambda: asdict(service.broker.status()) if service.broker else None),
            "process": {"pid": os.getpid(), "rss_bytes": psutil.Process().memory_info().rss},
        }

    @router.get("/health", summary="Whether events can be taken, tried now", responses={503: {"model": Health}})
    def health(response: Response) -> Health:
        """Try the store, the queue and the relay, now."""
        found = health_of(service)
        response.status_code = found.http_status
        return found

    @router.get("/metrics", summary="Figures of the service, for Prometheus", response_class=Response)
    def prometheus() -> Response:
        """Show the figures as Prometheus reads them."""
        return Response(metrics.exposition(service, *collectors), media_type=metrics.CONTENT_TYPE)


def _or_error(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # noqa: BLE001  a page of figures shows what it can, and what failed
        log.warning("a figure could not be read: %s", error)
        return {"error": inside(error)}
