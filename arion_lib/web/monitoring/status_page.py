"""A page to look at: what comes in, what waits, what runs, live.

Idea        The server draws the tables; the page gets them drawn anew once a second where they changed (server-sent
            events). No build step, nothing from another machine, and without JavaScript it is still the page.
Invariant   Every text that a sender or a store gave is escaped, and the page may run no script but its own. Looking
            costs one set of figures a second for all who look, at most `MOST` of them.
When wrong  A part that cannot be asked says so in its place. One viewer more than `MOST` gets 503. When the connection
            breaks, the page says since when its figures are old, and tries again.
See         tests/web/test_status_page.py, in a real browser where there is one
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from arion_lib.contracts.contract import registry
from arion_lib.pipeline.store import StoreError
from arion_lib.units import how_many
from arion_lib.web.pages.health import health_of
from arion_lib.web.pages.resource_runs import ResourceRuns
from arion_lib.web.problems import RETRY_AFTER, Problem, inside
from arion_lib.web.scheduling.tasks import ScheduledTasks
from arion_lib.web.service import PipelineService

MOST = 16
"""Pages that may be looked at live at a time."""

SHOWN = 20
"""Streams and workers that a table shows."""

Row = Sequence[object]


@dataclass(frozen=True)
class Section:
    """One table of the page. `note` stands below it."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    note: str = ""

    def html(self) -> str:
        """Draw it; a cell that is a `Link` becomes one, all else is text."""
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in self.columns)
        body = "".join(f"<tr>{_cells(row)}</tr>" for row in self.rows)
        empty = f'<tr><td colspan="{len(self.columns)}">none yet</td></tr>'
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return (
            f'<h2 id="{self.name}-title">{escape(self.title)}</h2><table aria-labelledby="{self.name}-title">'
            f"<thead><tr>{head}</tr></thead><tbody>{body or empty}</tbody></table>{note}"
        )


@dataclass(frozen=True)
class Link:
    """A cell that leads somewhere in this service; `about` tells it from the links of other rows."""

    path: str
    text: str
    about: str = ""


def _cells(row: Row) -> str:
    first, *others = (_cell(value) for value in row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def _cell(value: object) -> str:
    """Draw one value.

    >>> _cell("<b>"), _cell(12345), _cell(Link("/docs", "docs"))
    ('&lt;b&gt;', '12,345', '<a href="/docs">docs</a>')
    >>> _cell(Link("/rows?stream=a", "rows", "of a"))
    '<a href="/rows?stream=a" aria-label="rows of a">rows</a>'
    """
    if isinstance(value, Link):
        label = f' aria-label="{escape(f"{value.text} {value.about}")}"' if value.about else ""
        return f'<a href="{escape(value.path)}"{label}>{escape(value.text)}</a>'
    return escape(f"{value:,}" if isinstance(value, int) else str(value))


class Board:
    """Reads the figures once a second, however many look."""

    def __init__(self, service: PipelineService, tasks: ScheduledTasks, runs: ResourceRuns) -> None:
        self._service, self._tasks, self._runs = service, tasks, runs
        self._before: tuple[float, dict[str, int]] = (0.0, {})
        self._rates: dict[str, float] = {}
        self._drawn: tuple[float, dict[str, str]] = (-1.0, {})
        self._drawing = asyncio.Lock()
        self.watching = 0

    async def drawn(self) -> dict[str, str]:
        """Return each section's HTML, at most a second old."""
        async with self._drawing:
            at, sections = self._drawn
            now = time.monotonic()
            if now - at >= 0.9:
                self._count(now)
                read = await asyncio.to_thread(self._sections)
                sections = {section.name: section.html() for section in read}
                self._drawn = now, sections
        return sections

    async def changes(self) -> AsyncIterator[str]:
        """Yield what changed as server-sent events, until the server ends."""
        shown: dict[str, str] = {}
        while not self._service.patience.draining:
            sections = await self.drawn()
            news = {name: html for name, html in sections.items() if shown.get(name) != html}
            shown = sections
            yield f"data: {json.dumps(news)}\n\n"
            await asyncio.sleep(1.0)

    def _count(self, now: float) -> None:
        before, counts = self._before
        taken = dict(self._service.webhook.figures.streams)
        if before and now > before:
            self._rates = {name: (count - counts.get(name, 0)) / (now - before) for name, count in taken.items()}
        self._before = now, taken

    def _sections(self) -> list[Section]:
        parts = (self._health, self._streams, self._queue, self._scheduler, self._resources, self._plugins)
        return [_or_sentence(part) for part in parts]

    def _health(self) -> Section:
        found = health_of(self._service)
        checks = (("store", found.store), ("queue", found.broker), ("relay", found.relay))
        rows = [(name, "ok" if check.ok else "ill", check.detail) for name, check in checks]
        return Section("health", f"Health: {found.status}", ("part", "state", "detail"), rows)

    def _streams(self) -> Section:
        figures = self._service.webhook.figures
        taken = dict(figures.streams)
        try:
            before = {name: 0 for name in self._service.store.streams(SHOWN) if name not in taken}
            unknown = ""
        except StoreError:
            before, unknown = {}, ". The store, which knows those of before, does not answer"
        most = [*sorted(taken.items(), key=lambda pair: -pair[1]), *before.items()][:SHOWN]
        rows = [
            (
                name,
                count,
                f"{self._rates.get(name, 0.0):,.1f}",
                Link(f"/rows?stream={quote(name, safe='')}", "rows", f"of {name}"),
                Link(f"/dead-letters?stream={quote(name, safe='')}", "letters", f"of {name}"),
            )
            for name, count in most
        ]
        note = f"since the start: {figures.accepted:,} taken, {figures.dead:,} dead, {figures.duplicates:,} sent again"
        refused = [f"{count:,} posts {status}" for status, count in sorted(figures.answers.items()) if status >= 400]
        note += f"; refused: {', '.join(refused)}" if refused else ""
        return Section("streams", "Streams", ("stream", "records", "per s", "stored", "dead"), rows, note + unknown)

    def _queue(self) -> Section:
        store = self._service.store.status()
        rows: list[Row] = [("waiting in the store", store.outbox_messages), ("dead letters", store.dead_letters)]
        if self._service.broker:
            queue = self._service.broker.status()
            rows += [
                ("blocks ready", queue.ready),
                ("blocks with a consumer", queue.claimed),
                ("put aside", queue.dead),
            ]
        return Section("queue", "Queue", ("messages", "count"), rows)

    def _scheduler(self) -> Section:
        found = self._tasks.status().as_dict()
        names = ("running", "ready", "pending", "succeeded", "failed", "timed_out", "cancelled", "quarantined")
        rows: list[Row] = [(name.replace("_", " "), found[name]) for name in names if name in found]
        workers = sum(len(lane["workers"]) for lane in found.get("lanes", ()))
        return Section("scheduler", "Scheduler", ("tasks", "count"), rows, how_many(workers, "workers"))

    def _resources(self) -> Section:
        rows = [
            (name, "never run" if one.last is None else "ok" if one.last.ok else "failed")
            for name, one in self._runs.sets.items()
        ]
        return Section("resources", "Resources", ("set", "last run"), rows)

    def _plugins(self) -> Section:
        rows = [
            (f"{one.kind}/{one.name}", one.version, sum(figures.calls for figures in one.metrics().values()))
            for one in registry.plugins()
        ]
        return Section("plugins", "Plugins", ("plugin", "version", "calls"), rows)


def _or_sentence(read: Callable[[], Section]) -> Section:
    try:
        return read()
    except Exception as error:  # noqa: BLE001  one part that is ill must not hide the others
        name = read.__name__.strip("_")
        return Section(name, name.capitalize(), ("part", "state"), [(name, inside(error))])


def status_page(service: PipelineService, tasks: ScheduledTasks, runs: ResourceRuns) -> APIRouter:
    """Make the router of the page and its events."""
    router, board = APIRouter(tags=["status"]), Board(service, tasks, runs)

    @router.get("/", summary="A page to look at", response_class=HTMLResponse)
    async def page() -> Response:
        """Show streams, queue, scheduler, resources and plugins, live."""
        nonce = secrets.token_urlsafe(16)
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'"
        others = "img-src data:; base-uri 'none'; form-action 'none'"  # the icon, which is empty
        headers = {"content-security-policy": f"{policy}; {others}"}
        return HTMLResponse(_page(await board.drawn(), nonce), headers=headers)

    @router.get("/events", summary="What changes on the page, once a second", response_class=StreamingResponse)
    async def events() -> Response:
        """Send the sections that changed, as server-sent events with JSON: the section's name and its HTML."""
        if board.watching >= MOST:
            raise Problem(503, f"pages looked at must be <= {MOST}", "more", "try later", headers={"retry-after": "10"})
        return StreamingResponse(_watched(board), media_type="text/event-stream")

    return router


async def _watched(board: Board) -> AsyncIterator[str]:
    board.watching += 1
    try:
        yield f"retry: {int(RETRY_AFTER) * 1_000}\n\n"
        async for change in board.changes():
            yield change
    finally:
        board.watching -= 1


def _page(sections: dict[str, str], nonce: str) -> str:
    return PAGE.replace("{nonce}", nonce).replace("{sections}", "".join(_placed(sections.items())))


def _placed(sections: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (f'<section id="{name}" aria-labelledby="{name}-title">{html}</section>' for name, html in sections)


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Arion: status</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style nonce="{nonce}">
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 70rem; padding: 1rem }
main { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)) }
section { overflow-x: auto } h2 { font-size: 1.1rem; margin: .5rem 0 }
table { border-collapse: collapse; width: 100% }
td { overflow-wrap: break-word }
tbody th { overflow-wrap: anywhere; white-space: pre-wrap; min-width: 6ch } /* a stream's name may be long */
th, td { border-bottom: 1px solid GrayText; padding: .2rem .5rem; text-align: left }
tbody th { font-weight: normal } td { font-variant-numeric: tabular-nums }
a:focus-visible { outline: 3px solid Highlight; outline-offset: 2px }
@media (min-width: 50rem) { #streams { grid-column: span 2 } }
@media (max-width: 30rem) { body { padding: .7rem } th, td { padding: .2rem .25rem } }
.skip:not(:focus) { position: absolute; left: -100rem }
</style></head><body>
<a class="skip" href="#live">Skip to the figures</a>
<header><h1>Arion</h1><nav aria-label="pages"><a href="/docs">docs</a> <a href="/status">figures as JSON</a>
<a href="/metrics">metrics</a> <a href="/plugins">plugins</a></nav>
<p role="status" id="state">as of this page's loading</p></header>
<main id="live" tabindex="-1">{sections}</main>
<script nonce="{nonce}">
const state = document.getElementById("state");
const newest = {};
const say = (text) => { if (state.textContent !== text) state.textContent = text };
const source = new EventSource("/events");
source.onmessage = (message) => {
  Object.assign(newest, JSON.parse(message.data));
  for (const [name, html] of Object.entries(newest)) {
    const place = document.getElementById(name);
    // What has the keyboard's focus or a selection in it stays as it is until that has moved on.
    const chosen = document.getSelection();
    const busy = place.contains(document.activeElement) || (!chosen.isCollapsed && place.contains(chosen.anchorNode));
    if (!busy) { place.innerHTML = html; delete newest[name] }
  }
  say("live");
};
source.onerror = () => say("no connection since " + new Date().toLocaleTimeString() + ": the figures are old");
</script></body></html>
"""
