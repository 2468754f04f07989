"""Pages: bounded bodies, HEAD, methods, headers that a browser minds."""

from __future__ import annotations

import http.client
import json
import re

import pytest

from arion_lib.web.requests import Limits
from tests.web.client import Wire, get, post, until
from tests.web.conftest import Serve, Served


@pytest.mark.parametrize("body", [b"[" + b"1," * 60_000 + b"1]", b'"' + b"x" * (3 << 20) + b'"'], ids=["many", "long"])
def test_a_pages_body_is_bounded_and_its_refusal_short(shared: Served, body: bytes) -> None:
    try:
        answer = post(f"{shared.url}/scheduler/tasks", body)
    except ConnectionError:  # closed while it was still being sent
        return
    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")


def test_a_body_with_many_errors_is_answered_shortly(shared: Served) -> None:
    body = json.dumps({"function": "x", **{f"no{n}": n for n in range(5_000)}}).encode()
    answer = post(f"{shared.url}/scheduler/tasks", body)
    assert answer.status in (404, 422)
    assert len(answer.body) < 20_000


def test_a_post_to_a_page_without_its_body_is_ended(serve: Serve) -> None:
    with serve(limits=Limits(idle=0.2)) as served, Wire(served.url) as wire:
        wire.head("/scheduler/tasks", content_length="10", content_type="application/json")
        until(lambda: len(served.service.patience.waiting) == 1)
        assert wire.answer().status == 408


def test_head_is_get_without_the_body_and_pages_are_hardened(shared: Served) -> None:
    connection = http.client.HTTPConnection(shared.url.removeprefix("http://"), timeout=20)
    for path in ("/health", "/rows?stream=s", "/docs"):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
    connection.close()


def test_head_of_a_page_that_streams_for_ever_ends(shared: Served) -> None:
    with Wire(shared.url) as wire:
        wire.send(b"HEAD /events HTTP/1.1\r\nhost: localhost\r\n\r\nGET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        read = b""
        while b'"status":"ok"' not in read:
            read += (piece := wire.socket.recv(65_536))
            assert piece, "closed before the second answer"
    assert read.count(b"HTTP/1.1 200") == 2


def test_allow_names_every_method_of_every_path(shared: Served) -> None:
    connection = http.client.HTTPConnection(shared.url.removeprefix("http://"), timeout=20)
    paths = get(f"{shared.url}/openapi.json").json["paths"]
    assert len(paths) > 20
    for path, operations in paths.items():
        methods = {method.upper() for method in operations}
        for method in ("PATCH", "OPTIONS", "TRACE"):
            connection.request(method, re.sub(r"\{[^}]*\}", "x", path))
            answer = connection.getresponse()
            answer.read()
            allowed = set((answer.headers["allow"] or "").split(", "))
            assert (answer.status, allowed) == (405, methods | ({"HEAD"} if "GET" in methods else set())), path
    connection.close()


def test_a_sender_that_is_slow_gives_its_place_to_one_that_is_not(serve: Serve) -> None:
    with serve(limits=Limits(max_in_flight=2)) as served:
        slow = [Wire(served.url).head("/webhook/orders", content_length="9999") for _ in range(2)]
        for wire in slow:
            wire.send(b"{")
        until(lambda: len(served.service.patience.waiting) == 2)
        assert post(served.orders + "?dedupe=id", b'{"id":1}').status == 429, "in the first second nobody is slow"
        until(lambda: post(served.orders + "?dedupe=id", b'{"id":1}').status == 200, tries=600)
        assert served.service.webhook.figures.answers[408] >= 1
        for wire in slow:
            wire.close()
