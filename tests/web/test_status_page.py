"""The page to look at: drawn by the server, live, harmless, and readable by keyboard and screen reader."""

from __future__ import annotations

import http.client
import json
import re
import time

import pytest

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.store import StoreDown
from arion_lib.web.monitoring import status_page
from tests.browser import browser
from tests.web.client import get, post, until
from tests.web.conftest import Serve, Served

SECTIONS = ("health", "streams", "queue", "scheduler", "resources", "plugins")


def test_the_server_draws_every_part(served: Served) -> None:
    post(served.orders, b'{"id": "e1"}')
    answer = get(served.url + "/")
    page = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/html")
    for name in SECTIONS:
        assert f'<section id="{name}" aria-labelledby="{name}-title">' in page
    assert '<th scope="row">orders</th><td>1</td>' in page
    assert "Health: ok" in page
    assert "refused" not in page
    assert not re.findall(r"""(?:src|href)=["']https?://""", page), "nothing from another machine"


def test_a_stream_of_before_a_restart_is_listed_behind_those_that_take_records(serve: Serve) -> None:
    with serve() as served:
        post(f"{served.url}/webhook/old%20one", b'{"id": "e1"}')
        post(served.orders, b'{"id": "e1"}')
    with serve() as served:
        post(served.orders, b'{"id": "e2"}')
        page = get(served.url + "/").body.decode()
        assert re.findall(r'<th scope="row">(old one|orders)</th><td>(\d+)</td>', page) == [
            ("orders", "1"),
            ("old one", "0"),
        ]
        assert '<a href="/rows?stream=old%20one" aria-label="rows of old one">' in page


def test_a_store_that_does_not_answer_hides_no_stream_that_takes_records(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_limit: int) -> None:
        raise StoreDown("away")

    post(served.orders, b'{"id": "e1"}')
    monkeypatch.setattr(served.store, "streams", fail)
    page = get(served.url + "/").body.decode()
    assert '<th scope="row">orders</th><td>1</td>' in page
    assert "The store, which knows those of before, does not answer" in page


def test_posts_that_were_refused_are_counted_by_their_status(served: Served) -> None:
    """A wrong secret, say, would otherwise be seen by the sender alone."""
    for body, name in ((b"{", "a"), (b"{", "b"), (b"{}", "x" * 81)):
        assert post(f"{served.url}/webhook/{name}", body).status in (400, 422)
    assert "; refused: 1 posts 400, 2 posts 422" in get(served.url + "/").body.decode()


def test_what_senders_name_is_text_and_scripts_are_the_pages_own(served: Served) -> None:
    name = "%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    assert post(f"{served.url}/webhook/{name}", b"{}").status == 200
    answer = get(served.url + "/")
    assert b"<script>alert" not in answer.body
    assert b"&lt;script&gt;alert" in answer.body
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_part_that_is_ill_says_so_and_hides_no_other(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise StoreDown("postgresql://me@10.0.0.1/db does not answer")

    monkeypatch.setattr(served.store, "status", fail)
    page = get(served.url + "/").body.decode()
    assert "a store that does not answer" in page
    assert "10.0.0.1" not in page
    assert "plugins-title" in page
    monkeypatch.undo()


def events(served: Served, count: int) -> list[dict[str, str]]:
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
    try:
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")
        found: list[dict[str, str]] = []
        while len(found) < count:
            line = answer.readline()
            assert line
            if line.startswith(b"data: "):
                found.append(json.loads(line[6:]))
        return found
    finally:
        connection.close()


def test_events_bring_what_changed_alone(served: Served) -> None:
    first, second = events(served, 2)
    assert set(first) == set(SECTIONS)
    assert "resources" not in second, "nothing changed there"


def test_those_who_look_are_bounded_and_do_not_hold_the_end_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_page, "MOST", 1)
    with serve() as served:
        connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.readline().startswith(b"retry")
        assert get(f"{served.url}/events").status == 503
        before = time.monotonic()
    assert time.monotonic() - before < 15
    connection.close()


def test_streams_that_are_counted_are_bounded(served: Served) -> None:
    figures = served.service.webhook.figures
    for number in range(2_000):
        figures.count(Batch(f"s{number}", [b"1"]))
    assert sum(figures.streams.values()) == 2_000
    assert len(figures.streams) <= 1_001


def test_a_real_browser_shows_it_live_and_works_by_keyboard(served: Served) -> None:
    with browser() as window:
        window.open(served.url + "/")
        until(lambda: window.run("return document.getElementById('state').textContent") == "live")
        for _ in range(3):
            post(served.orders, b'{"id": "e1"}')
        rows = "return document.getElementById('streams').innerText"
        until(lambda: "orders" in window.run(rows))
        tables = "return [...document.querySelectorAll('table')].every(t => t.getAttribute('aria-labelledby'))"
        assert window.run(tables)
        # A link that has the focus keeps it while the figures go on.
        window.run("document.querySelector('#streams a').focus()")
        post(served.orders, b'{"id": "e2"}')
        until(lambda: window.run("return (newest.streams || '').includes('>4<')"))  # it came, and waits
        assert window.run("return document.activeElement.textContent") == "rows"
        window.run("document.activeElement.blur()")
        until(lambda: "orders\t4" in window.run(rows))
        window.resize(360, 740)
        assert window.run("return document.documentElement.scrollWidth <= innerWidth"), "fits a phone"
        for width in (360, 768, 1_200):
            window.resize(width, 900)
            cut = "(s => s.scrollWidth > s.clientWidth).map(s => s.id)"
            assert window.run(f"return [...document.querySelectorAll('section')].filter{cut}") == [], width
        assert window.picture().startswith(b"\x89PNG")


def test_a_long_name_of_a_stream_breaks_no_word_of_the_page(served: Served) -> None:
    post(f"{served.url}/webhook/{'x' * 80}", b'{"id": "e1"}')
    broken = """
      const lines = cell => {
        const text = document.createRange(); text.selectNodeContents(cell);
        return new Set([...text.getClientRects()].map(line => Math.round(line.top))).size };
      const words = [...document.querySelectorAll('thead th, #health tbody th, #streams td')].filter(
        cell => !/\\s/.test(cell.textContent) && !cell.textContent.startsWith('xx'));
      return words.filter(cell => lines(cell) > 1).map(cell => cell.textContent)"""
    with browser() as window:
        window.open(served.url + "/")
        for width in (360, 768, 1_200):
            window.resize(width, 900)
            assert window.run(broken) == [], width
            assert window.run("return document.documentElement.scrollWidth <= innerWidth"), width


def test_every_link_of_a_row_says_to_whom_it_belongs(served: Served) -> None:
    for name in ("orders", "%3Cb%3E%22"):
        post(f"{served.url}/webhook/{name}", b'{"id": "e1"}')
    page = get(served.url + "/").body.decode()
    labels = re.findall(r'aria-label="([^"]*)">', page)
    assert {"rows of orders", "letters of orders", "rows of &lt;b&gt;&quot;", "letters of &lt;b&gt;&quot;"} <= set(
        labels
    )


def test_the_page_is_allowed_all_that_it_holds(served: Served) -> None:
    """A browser that refuses the page's own icon says so in its console, each time."""
    answer = get(served.url + "/")
    assert b'<link rel="icon" href="data:,">' in answer.body
    assert "img-src data:" in answer.headers["content-security-policy"]
