"""A sender for tests: whole posts by http.client, and a bare socket where the point is how the bytes come."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from arion_lib.pipeline.queues.file_queue import FileBroker

PATIENCE = 20.0
"""Seconds after which a test that waits for an answer has failed."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, its body read as JSON where it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(url: str) -> Answer:
    return _ask("GET", url, None, {})


def post(url: str, body: bytes | Iterable[bytes], headers: Mapping[str, str] | None = None) -> Answer:
    return _ask("POST", url, body, {"content-type": "application/json", **(headers or {})})


def put(url: str, body: bytes) -> Answer:
    return _ask("PUT", url, body, {"content-type": "application/json"})


def delete(url: str) -> Answer:
    return _ask("DELETE", url, None, {})


def _ask(method: str, url: str, body: bytes | Iterable[bytes] | None, headers: Mapping[str, str]) -> Answer:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)) as connection:
        connection.request(method, target, body=body, headers=dict(headers), encode_chunked=False)
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, answer.read())


def until(true: Callable[[], bool], tries: int = 2_000) -> None:
    """Look again, ever so shortly later, until it is true."""
    ticker = threading.Event()
    for _ in range(tries):
        if true():
            return
        ticker.wait(0.005)
    raise AssertionError("it never became true")


def accepts(url: str) -> bool:
    try:
        with Wire(url):
            return True
    except OSError:
        return False


class Wire:
    """A bare connection: what is sent, and when, is the test's business."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def head(self, path: str, **headers: str) -> Self:
        lines = [f"POST {path} HTTP/1.1", "host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return self.send("\r\n".join([*lines, "", ""]).encode())

    def chunk(self, data: bytes) -> Self:
        return self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def answer(self) -> Answer:
        """Read one answer."""
        reply = http.client.HTTPResponse(self.socket)
        reply.begin()
        names = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, names, reply.read())

    def closed(self) -> bool:
        """Wait until the server has closed the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ids_in_queue(folder: Path) -> list[str]:
    """Take every message out of the file queue in `folder`; return the ids of their events."""
    found: list[str] = []
    with FileBroker(folder) as queue:
        while (claim := queue.claim(10_000)) is not None:
            found += [json.loads(message)["id"] for message in claim.messages]
            queue.ack(claim)
    return found
