"""`python -m arion_lib top`: what a frame says, and what is said when there is nothing to draw."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from arion_lib.scheduler.monitoring.snapshot import LaneStatus, Snapshot, Spread, WorkerStatus
from arion_lib.web.scheduling import top
from tests.web.client import get, post
from tests.web.conftest import Served

rich_console = pytest.importorskip("rich.console")
pytestmark = pytest.mark.usefixtures("no_leaks")

WORKERS = (
    WorkerStatus(1, "processes", "running", 4711, "resize", 3, 2.5, 1_204, 0, 98.2, 31_400_000, (30.0, 120.0)),
    WorkerStatus(7, "processes", "starting", failed=2),
)


def snapshot(**changes: Any) -> dict[str, Any]:
    """A scheduler in the middle of its work, as the service tells it: through JSON, numbers as keys become texts."""
    shown = Snapshot(
        name="jobs",
        uptime=3_723.0,
        lanes=(
            LaneStatus("processes", 2, WORKERS, {0: 40_000, -5: 3, 10: 1}, running=1, restarts=6),
            LaneStatus("threads", 16, (), {}, running=0, restarts=0),
        ),
        pending=12,
        ready=40_004,
        running=1,
        succeeded=1_204,
        failed=2,
        cancelled=3,
        timed_out=4,
        quarantined=5,
        retries=6,
        window=10.0,
        throughput=120.4,
        utilisation=0.87,
        waiting=Spread(100, 0.0012, 0.25, 1.5, 75.0),
        running_time=Spread(),
    ).as_dict()
    through: dict[str, Any] = json.loads(json.dumps({**shown, **changes}))
    return through


def text(found: dict[str, Any], width: int = 100) -> str:
    page = io.StringIO()
    rich_console.Console(width=width, file=page).print(top.frame(found))
    return page.getvalue()


def row(said: str, *begins: str) -> str:
    """The one line that begins with these words."""
    (found,) = [line for line in said.splitlines() if line.split()[: len(begins)] == list(begins)]
    return " ".join(found.split())


def test_a_frame_tells_workers_queue_rates_and_percentiles() -> None:
    said = text(snapshot())
    assert row(said, "jobs") == "jobs up 1 h 2 min restarts 6"
    assert row(said, "tasks") == "tasks running 1 ready 40,004 pending 12 retries 6"
    assert row(said, "ended") == "ended succeeded 1,204 failed 2 timed out 4 cancelled 3 quarantined 5"
    assert row(said, "1", "processes") == "1 processes 4711 running 25 % resize 2.50 s 1,204 0 98 % 31 MB"
    assert row(said, "waiting").startswith("waiting 1.20 ms 250 ms 1.50 s 1 min 15 s 120.4 tasks/s")
    assert "87% busy" in row(said, "running")


def test_what_cannot_be_told_is_a_dash_and_never_zero() -> None:
    said = text(snapshot())
    assert row(said, "7", "processes") == "7 processes - starting 0 2 - -"
    assert row(said, "running").startswith("running - - - -")


def test_the_queue_is_shown_from_the_most_urgent_down() -> None:
    said = text(snapshot()).partition("queue")[2]
    assert [line.split()[1:3] for line in said.splitlines()[1:]] == [["10", "1"], ["0", "40,000"], ["-5", "3"]]


def test_in_a_narrow_terminal_the_tasks_name_gives_way_and_no_figure() -> None:
    lanes = snapshot()["lanes"]
    lanes[0]["workers"][0]["progress"] = None
    lanes[0]["workers"][0]["task"] = "resize_the_pictures_of_all_customers_of_the_year"
    found = row(text(snapshot(lanes=lanes), width=80), "1", "processes")
    assert found.endswith("2.50 s 1,204 0 98 % 31 MB")
    assert " running resize_" in found
    assert "customers" not in found


def test_a_scheduler_that_nobody_used_is_an_empty_frame() -> None:
    said = text(snapshot(lanes=[], waiting=snapshot()["running_time"]))
    assert "none runs yet" in said
    assert row(said, "empty") == "empty"


def test_a_tasks_name_cannot_steer_the_terminal() -> None:
    lanes = snapshot()["lanes"]
    lanes[0]["workers"][0]["task"] = "\x1b[2J[bold]x[/bold]\n"
    said = text(snapshot(name="\x1b]0;owned\x07", lanes=lanes))
    assert "\x1b" not in said
    assert "?[2J[bold]x[/bold]?" in said


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A service that answers everything with this."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_once_prints_one_frame_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, json.dumps(snapshot()).encode()) as url:
        assert top.run([url + "/", "--once"]) == 0
    assert capsys.readouterr().out.count("jobs") == 1


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as nobody, answering(200, json.dumps(snapshot()).encode()) as url:
        monkeypatch.setenv("http_proxy", nobody)
        monkeypatch.delenv("no_proxy", raising=False)
        assert top.fetch(url)["name"] == "jobs"


@contextmanager
def closed_port() -> Iterator[str]:
    """A port that is bound, so that nobody else takes it, and does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_where_nobody_answers_it_is_one_sentence_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with closed_port() as url:
        assert top.run([url, "--once"]) == top.run([url]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert f"must answer at {url}, got " in said[0]
    assert "refused" in said[0]
    assert "python -m arion_lib serve" in said[0]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"{}", "got status 404 for /scheduler/status"),
        (200, b"<html>", "got an answer that is not JSON"),
        (200, b"\xff", "got an answer that is not JSON"),
        (200, b"[]", "got JSON that is not a scheduler's status"),
        (200, b'{"name": "other"}', "got JSON that is not a scheduler's status"),
    ],
)
def test_somebody_else_who_answers_is_told_from_a_scheduler(
    status: int, body: bytes, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(status, body) as url:
        assert top.run([url, "--once"]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["ftp://host"], ["localhost:8000"], ["http://"], ["http://h:99999"], ["--interval", "0"], ["--interval", "nan"]],
)
def test_a_wrong_argument_is_told_with_exit_code_2(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        top.refuse_wrong(options)
    assert ended.value.code == 2
    assert ", got '" in capsys.readouterr().err


def test_ctrl_c_ends_it_with_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    frames = []

    def interrupted(seconds: float) -> None:
        frames.append(seconds)
        if len(frames) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("arion_lib.web.scheduling.top.time.sleep", interrupted)
    with answering(200, json.dumps(snapshot()).encode()) as url:
        assert top.run([url, "--interval", "0.5"]) == 0
    told = capsys.readouterr()
    assert frames == [0.5, 0.5]
    assert told.out.count("jobs") == 2  # into a pipe: one frame below the other
    assert told.err == ""


def test_it_draws_the_scheduler_of_a_real_service(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert top.run([served.url, "--once"]) == 0
    assert "none runs yet" in capsys.readouterr().out
    body = {"function": "count_primes", "arguments": {"below": 100}, "options": {"name": "primes"}}
    number = post(f"{served.url}/scheduler/tasks", json.dumps(body).encode()).json["id"]
    assert get(f"{served.url}/scheduler/tasks/{number}/result?wait=10").json["value"] == 25
    assert top.run([served.url, "--once"]) == 0
    said = capsys.readouterr().out
    assert row(said, "web").startswith("web up ")
    assert row(said, "ended").startswith("ended succeeded 1 failed 0")
    assert row(said, "1", "processes").split()[3] == "idle"


@pytest.mark.posix("needs a pseudo-terminal and SIGINT")
def test_in_a_terminal_ctrl_c_gives_the_screen_back_and_ends_with_0() -> None:
    import pty

    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal can be opened here: {error}")
    with answering(200, json.dumps(snapshot()).encode()) as url:
        command = [sys.executable, "-m", "arion_lib", "top", url, "--interval", "0.05"]
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
        with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
            os.close(theirs)
            try:
                seen = read_until(ours, b"resize")
                process.send_signal(signal.SIGINT)
                seen += read_until(ours, b"?1049l")  # the alternate screen is left
                assert process.wait(20) == 0
            finally:
                process.kill()
                os.close(ours)
    assert b"?1049h" in seen
    assert b"Traceback" not in seen


def read_until(terminal: int, words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        seen += os.read(terminal, 65_536)
    return seen
