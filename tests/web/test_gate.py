"""Another site's page reaches nothing; a sender that is no browser is asked for nothing."""

from __future__ import annotations

import pytest

from arion_lib.web.edge.gate import Gate
from arion_lib.web.problems import Problem
from tests.web.client import Wire
from tests.web.conftest import Served

Pairs = list[tuple[bytes, bytes]]
LOCAL = (b"host", b"127.0.0.1:8000")


def status(gate: Gate, pairs: Pairs, method: str = "POST", version: str = "1.1") -> int:
    try:
        gate.check(pairs, method, version)
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize(
    ("pairs", "method", "expected"),
    [
        ([LOCAL], "POST", 200),
        ([(b"host", b"[::1]:1")], "GET", 200),
        ([(b"host", b"LOCALHOST")], "GET", 200),
        ([(b"host", b"evil.example")], "GET", 421),
        ([(b"host", b"localhost.evil.example")], "GET", 421),
        ([], "GET", 400),
        ([LOCAL, LOCAL], "GET", 400),
        ([LOCAL, (b"origin", b"http://127.0.0.1:8000")], "POST", 200),
        ([LOCAL, (b"origin", b"http://localhost:3000")], "POST", 403),
        ([LOCAL, (b"origin", b"null")], "POST", 403),
        ([LOCAL, (b"origin", b"https://evil.example")], "POST", 403),
        ([LOCAL, (b"sec-fetch-site", b"same-origin")], "POST", 200),
        ([LOCAL, (b"sec-fetch-site", b"cross-site")], "POST", 403),
        ([LOCAL, (b"sec-fetch-site", b"same-site")], "GET", 403),
        ([LOCAL, (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate")], "GET", 200),
        ([LOCAL, (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"navigate")], "POST", 403),
    ],
)
def test_only_the_services_own_pages_pass(pairs: Pairs, method: str, expected: int) -> None:
    assert status(Gate(), pairs, method) == expected
    if len(dict(pairs)) == len(pairs) and Gate().plain(dict(pairs)):
        assert expected == 200, "what is plain passes"


def test_hosts_may_be_named_or_any() -> None:
    public = [(b"host", b"hooks.example:443")]
    assert status(Gate(["hooks.example"]), public) == 200
    assert status(Gate(["*"]), public) == 200
    # A proxy in front of the service reaches it as localhost; its reader's browser knows the public name.
    proxied = [LOCAL, (b"origin", b"https://hooks.example")]
    assert status(Gate(["localhost", "127.0.0.1", "hooks.example"]), proxied) == 200
    assert status(Gate(["*"]), [*public, (b"origin", b"https://evil.example")]) == 403
    assert status(Gate(), [], version="1.0") == 200


@pytest.mark.parametrize("path", ["/webhook/orders", "/health", "/rows?stream=orders", "/docs"])
def test_a_refused_browser_reaches_neither_webhook_nor_pages(shared: Served, path: str) -> None:
    method = "POST" if path.startswith("/webhook") else "GET"
    for line, expected in (("host: evil.example", 421), ("host: localhost\r\nsec-fetch-site: cross-site", 403)):
        with Wire(shared.url) as wire:
            wire.send(f"{method} {path} HTTP/1.1\r\n{line}\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            answer = wire.answer()
        assert (answer.status, answer.headers["content-type"]) == (expected, "application/problem+json")
    assert list(shared.store.rows("orders")) == []
