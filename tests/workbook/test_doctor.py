"""The doctor finds what is there, says what is not, and changes nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from arion_lib.setup import environment
from arion_lib.workbook import doctor


@contextmanager
def a_server_saying(answer: bytes) -> Iterator[str]:
    """Serve one connection on loopback: read something, say `answer`, close."""

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(64)
            connection.sendall(answer)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"any://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize("server", doctor.SERVERS, ids=lambda server: server.name)
def test_a_server_is_known_by_its_first_words_not_by_an_open_port(
    no_leaks: None, server: doctor.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, expected in [(server.answers[0] + b"...", True), (b"HTTP/1.1 400 Bad Request\r\n", False)]:
        with a_server_saying(words) as url:
            monkeypatch.setenv(server.variable, url)
            assert doctor.answers(server) is expected


def test_a_closed_port_is_no_server() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    assert not doctor.answers(replace(doctor.SERVERS[0], variable="ARION_NONE", default=f"any://127.0.0.1:{port}/"))


@pytest.mark.parametrize(
    ("name", "fixture"), [("PostgreSQL", "postgres_url"), ("Redis", "redis_url"), ("RabbitMQ", "rabbitmq_url")]
)
def test_a_real_server_is_found(name: str, fixture: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(fixture)
    assert doctor.answers(next(server for server in doctor.SERVERS if server.name == name))


def test_the_exit_code_says_whether_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    assert doctor.run([], said.append) == 0
    assert "all packages are here" in said[-1]
    monkeypatch.setattr(environment, "_installed", lambda name: name != "ijson")
    assert doctor.run([], said.append) == 1
    assert "ijson" in said[-1]
    assert "install" in said[-1] or "lab" in said[-1]
