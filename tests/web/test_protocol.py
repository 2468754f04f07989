"""Connections are bounded, answered in order, and read as HTTP says, however the bytes come."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import psutil
import pytest

from arion_lib.web import requests
from arion_lib.web.edge import fast_path, protocol
from tests.web.client import Wire, until
from tests.web.conftest import HeldStore, Serve, Served

EVENT = b'{"id":1}'


def request(body: bytes = EVENT, *lines: str, path: str = "/webhook/orders", method: str = "POST") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "host: localhost", *lines, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


def answers(wire: Wire) -> list[int]:
    """Read all that comes until the server closes; return the statuses.

    What reaches it after that is answered by a reset, which is an end as well, behind what it had answered.
    """
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := wire.socket.recv(1 << 16):
            data += piece
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


def stored(served: Served, stream: str = "orders") -> int:
    return len(list(served.store.rows(stream, limit=1_000)))


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0, x"])
@pytest.mark.parametrize("cut", [None, -8, -3, 30, 80])
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_the_requests_own(
    served: Served, offer: str, cut: int | None
) -> None:
    inner = b'{"id":1}' + b" " * 30
    whole = request(inner, "connection: Upgrade, HTTP2-Settings", f"upgrade: {offer}", "http2-settings: AAMAAABkAAQA")
    with Wire(served.url) as wire:
        if cut is None:
            wire.send(whole)
        else:
            wire.send(whole[:cut])
            time.sleep(0.01)
            wire.send(whole[cut:])
        assert wire.answer().json["accepted"] == 1
        assert wire.send(request()).answer().json["accepted"] == 1, "and the connection is as good as new"
    assert stored(served) == 2


def test_what_stands_in_a_body_behind_an_offer_is_no_request(served: Served) -> None:
    smuggled = request(b"{}", path="/webhook/smuggled")
    with Wire(served.url) as wire:
        wire.send(request(smuggled, "connection: upgrade", "upgrade: h2c"))
        assert wire.answer().json["dead"] > 0, "its lines are no events"
        wire.send(request(EVENT, "connection: close"))
        assert answers(wire) == [200]
    assert stored(served, "smuggled") == 0


def test_connect_is_refused(served: Served) -> None:
    with Wire(served.url) as wire:
        wire.send(b"CONNECT localhost:1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert answers(wire) == [400]


def test_a_request_is_answered_before_the_garbage_behind_it_is_refused(served: Served) -> None:
    for path in ("/webhook/orders", "/webhook/orders?dedupe=id"):  # the short way and the long one
        with Wire(served.url) as wire:
            wire.send(request(path=path) + b"\x00 garbage\r\n\r\n")
            assert answers(wire) == [200, 400]
    assert stored(served) == 2


def test_a_body_that_breaks_its_chunks_is_refused_once_and_behind_what_came_before(served: Served) -> None:
    chunked = (
        b"POST /webhook/orders HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{} \r\nzz\r\n"
    )
    with Wire(served.url) as wire:
        wire.send(chunked)
        assert answers(wire) == [400]
    with Wire(served.url) as wire:
        wire.send(request() + chunked)
        assert answers(wire) == [200, 400]
    until(lambda: served.service.webhook.figures.in_flight == 0)
    assert stored(served) == 1


@pytest.mark.parametrize("piece", [1 << 20, 7_000])
def test_a_head_is_bounded(served: Served, piece: int) -> None:
    head = b"POST /webhook/orders HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"x" * (1 << 20)
    with Wire(served.url) as wire:
        try:
            for start in range(0, len(head), piece):
                wire.send(head[start : start + piece])
            found = answers(wire)
        except ConnectionError:  # refused and closed while it was still being sent
            found = [431]
        assert found == [431]


def test_a_large_address_leaves_nothing_behind(served: Served) -> None:
    process = psutil.Process()
    before = 0
    for number in range(200):
        with Wire(served.url) as wire:
            wire.send(request(path=f"/webhook/orders?x{number}=" + "y" * 30_000))
            assert wire.answer().status == 400
        if number == 20:
            before = process.memory_info().rss
    assert process.memory_info().rss - before < 8 << 20


def test_a_large_address_that_is_taken_is_not_remembered(served: Served) -> None:
    def remembered() -> int:
        return sum(cache.cache_info().currsize for cache in (requests.read_target, fast_path._remembered))

    for length, more in ((20, True), (2_000, False)):
        before = remembered()
        for pieces in (1, 2):
            with Wire(served.url) as wire:
                whole = request(path=f"/webhook/orders?fields=id,{'y' * length}{pieces}")
                wire.send(whole[:-3])
                if pieces == 2:
                    time.sleep(0.01)
                wire.send(whole[-3:])
                assert wire.answer().json["accepted"] == 1
        assert (remembered() > before) == more


def test_an_empty_line_does_not_hold_a_connection(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.BoundedProtocol, "clock", staticmethod(time.monotonic))
    with serve() as served, Wire(served.url) as wire:
        assert wire.send(request()).answer().status == 200
        wire.send(b"\r\n")
        monkeypatch.setattr("arion_lib.web.edge.server.HEAD_PATIENCE", 0.2)
        assert answers(wire) == [408]


def test_a_late_head_behind_a_pending_request_does_not_overtake_its_answer(
    serve: Serve, held: HeldStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, looked = protocol.BoundedProtocol.close_late, threading.Event()

    def noted(connections: Iterable[Any], now: float, patience: float) -> int:
        late = any(one.head_since and now - one.head_since > patience for one in connections)
        closed = close(connections, now, patience)
        if late:
            looked.set()
        return closed

    monkeypatch.setattr(protocol.BoundedProtocol, "close_late", staticmethod(noted))
    monkeypatch.setattr("arion_lib.web.edge.server.HEAD_PATIENCE", 0.1)
    with serve(store=held) as served, Wire(served.url) as wire:
        wire.send(request() + b"POST /web")
        assert held.entered.wait(20)
        assert looked.wait(20), "the head is late while the request before it waits for its commit"
        held.gate.set()
        assert answers(wire) == [200, 408]


def test_pipelined_requests_take_the_memory_of_a_piece(serve: Serve) -> None:
    with serve() as served, Wire(served.url) as wire:
        process = psutil.Process()
        one = request(b'{"id":1}', path="/webhook/orders?dedupe=id")
        before = process.memory_info().rss
        wire.socket.settimeout(0.5)
        many = one * (8_000_000 // len(one))
        with contextlib.suppress(TimeoutError):  # nobody reads the answers: the server stops reading, as it should
            wire.socket.sendall(many)
        assert process.memory_info().rss - before < 40 << 20


def test_pipelined_requests_of_both_ways_are_all_answered(served: Served) -> None:
    count = 1_000
    with Wire(served.url) as wire:
        one, other = request(), request(path="/webhook/orders?group_by=id")
        wire.send((one + other) * (count // 2 - 1) + one + request(EVENT, "connection: close"))
        assert answers(wire) == [200] * count
    assert stored(served) == count // 2 + 1


def test_who_stops_sending_but_listens_gets_the_answers(served: Served) -> None:
    for path in ("/webhook/orders", "/webhook/orders?group_by=id"):
        with Wire(served.url) as wire:
            wire.send(request(path=path) * 3)
            wire.socket.shutdown(socket.SHUT_WR)
            assert answers(wire) == [200] * 3


def test_a_trailer_is_no_header(served: Served) -> None:
    with Wire(served.url) as wire:
        wire.send(
            b"POST /webhook/orders HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\ncontent-type: text/css\r\nwebhook-id: m\r\n\r\n"
        )
        assert wire.answer().status == 200
    assert served.store.done("orders", "m") is None


def test_blanks_around_a_header_are_not_its_value(served: Served) -> None:
    for spelling in ("m", "m  ", "  m\t"):
        with Wire(served.url) as wire:
            assert wire.send(request(EVENT, f"webhook-id:{spelling}")).answer().status == 200
    assert stored(served) == 1


@pytest.mark.parametrize("cut", [None, 20])
def test_an_absolute_target_is_the_same_as_its_path_however_it_comes(served: Served, cut: int | None) -> None:
    whole = request(path="http://localhost/webhook/orders")
    nowhere = request(path="http://localhost")
    for one, status in ((whole, 200), (nowhere, 400)):
        with Wire(served.url) as wire:
            for piece in (one,) if cut is None else (one[:cut], one[cut:]):
                wire.send(piece)
                time.sleep(0.01)
            assert wire.answer().status == status
    assert stored(served) == 1


def chunked(*codings: str, version: str = "1.1", more: str = "") -> bytes:
    head = [
        f"POST /webhook/orders HTTP/{version}",
        "host: localhost",
        *(f"Transfer-Encoding: {one}" for one in codings),
    ]
    return "\r\n".join([*head, *([more] if more else []), "", ""]).encode() + b"8\r\n" + EVENT + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize("codings", [("chunked",), ("ChUNKed",), (" chunked ",), (", chunked",)])
def test_chunks_are_read_however_they_are_spelled(served: Served, codings: tuple[str, ...]) -> None:
    with Wire(served.url) as wire:
        assert wire.send(chunked(*codings)).answer().status == 200
        assert wire.send(request()).answer().status == 200, "and the connection goes on"
    assert stored(served) == 2


@pytest.mark.parametrize(
    ("codings", "status"),
    [
        (("gzip, chunked",), 501),
        (("GZIP,Chunked",), 501),
        (("gzip", "chunked"), 501),
        (("identity, chunked",), 501),
        (("chunkedx, chunked",), 501),
        (("chunked;q=1, chunked",), 501),
        (("chunked, gzip",), 400),
        (("chunked", "gzip"), 400),
        (("chunked, chunked",), 400),
        (("chunked", "chunked"), 400),
        (("gzip",), 400),
        (("identity",), 400),
        (("",), 400),
    ],
)
@pytest.mark.parametrize("cut", [None, 60, -8])
def test_a_coding_that_nobody_undoes_is_refused_as_http_says(
    served: Served, codings: tuple[str, ...], status: int, cut: int | None
) -> None:
    """RFC 9112, 6.1: 501 for a coding that is not understood; without chunked at its end a body has no end: 400."""
    with Wire(served.url) as wire:
        whole = request() + chunked(*codings) + request()
        for piece in (whole,) if cut is None else (whole[:cut], whole[cut:]):
            wire.send(piece)
            time.sleep(0.01)
        assert answers(wire) == [200, status], "and nothing behind it is read"
    assert stored(served) == 1


def test_the_refusal_of_a_coding_says_what_to_send(served: Served) -> None:
    with Wire(served.url) as wire:
        told = wire.send(chunked("gzip, chunked")).answer().json["detail"]
    assert told.startswith("transfer-encoding must be chunked, got 'gzip, chunked': ")
    assert "content-encoding" in told


def test_a_length_beside_chunks_or_chunks_of_before_there_were_any_are_refused(served: Served) -> None:
    for broken in (chunked("chunked", more="content-length: 8"), chunked("chunked", version="1.0")):
        with Wire(served.url) as wire:
            wire.send(broken)
            assert answers(wire) == [400]
    assert stored(served) == 0


@pytest.mark.parametrize("query", ["", "?dedupe=id"])
@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://elsewhere.example", "localhost", 421),
        ("http://elsewhere.example:80", "localhost", 421),
        ("http://localhost@elsewhere.example", "localhost", 421),
        ("http://localhost", "elsewhere.example", 200),
        ("HTTP://LocalHost:8000", "elsewhere.example", 200),
        ("http://[::1]:8000", "elsewhere.example", 200),
        ("", "elsewhere.example", 421),
    ],
)
def test_the_host_in_a_target_counts_and_not_the_header(
    served: Served, target: str, host: str, status: int, query: str
) -> None:
    """RFC 9112, 3.2.2."""
    head = f"POST {target}/webhook/orders{query} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(EVENT)}\r\n\r\n"
    with Wire(served.url) as wire:
        assert wire.send(head.encode() + EVENT).answer().status == status
    assert stored(served) == (status == 200)


@pytest.mark.parametrize("hosts", ["", "host: localhost\r\nhost: localhost\r\n"])
def test_a_target_with_a_host_spares_nobody_the_header(served: Served, hosts: str) -> None:
    head = f"POST http://localhost/webhook/orders HTTP/1.1\r\n{hosts}content-length: {len(EVENT)}\r\n\r\n"
    with Wire(served.url) as wire:
        assert wire.send(head.encode() + EVENT).answer().status == 400
