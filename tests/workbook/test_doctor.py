"""The doctor finds what is there, says what is not, and changes nothing."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from arion_lib.setup import environment, wheel
from arion_lib.workbook.running import doctor


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


@pytest.mark.parametrize(
    ("pip", "uv", "said"), [(1, 0, "-m pip install"), (0, 1, "uv pip install --python"), (0, 0, "-m ensurepip")]
)
def test_the_repair_is_a_command_that_works_in_this_environment(
    pip: int, uv: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment that uv made has no pip."""
    monkeypatch.setattr(sys, "base_prefix", "another")  # an environment of one's own, not the clone's .venv
    monkeypatch.setattr(environment, "inside", lambda: False)
    monkeypatch.setattr(wheel.util, "find_spec", lambda name: object() if pip else None)
    monkeypatch.setattr(wheel.shutil, "which", lambda name: "/bin/uv" if uv else None)
    command = doctor.repair(["dask"])
    assert said in command
    assert "--only-binary=:all:" in command
    assert "missing: dask" in command


def test_without_an_environment_and_in_our_own_the_repair_is_the_word_that_makes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "inside", lambda: True)
    assert doctor.repair(["dask"]).startswith("python -m arion_lib lab ")
    monkeypatch.setattr(environment, "inside", lambda: False)
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    assert doctor.repair(["dask"]).startswith("python -m arion_lib lab ")


def test_a_peer_that_its_marker_leaves_out_here_is_said_to_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pysimdjson" in environment.listed(["peers"])
    monkeypatch.setattr(doctor, "version", lambda name: "missing" if name in ("pysimdjson", "duckdb") else "1")
    assert doctor.peers_left_out() == ["pysimdjson"]  # nothing excuses duckdb: it is missing
    code, lines = doctor.verdict()
    assert (code, "left out: pysimdjson" in lines[0]) == (0, True)


@pytest.mark.parametrize(
    ("platform", "said"), [("linux", "have been run on Linux"), ("win32", "not yet tried"), ("sunos", "never tried")]
)
def test_the_doctor_says_where_the_workbook_has_been_tried(platform: str, said: str) -> None:
    assert said in doctor.tried(platform)


def test_the_doctor_says_that_this_python_is_a_free_threaded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "without_gil", lambda: False)
    assert "free-threaded" not in doctor.facts()["tried"]  # control
    monkeypatch.setattr(doctor, "without_gil", lambda: True)
    assert f"Python 3.{sys.version_info[1]} is a free-threaded one" in doctor.facts()["tried"]
    assert "an ordinary one of 3.11 to 3.15 has them all" in doctor.facts()["tried"]
