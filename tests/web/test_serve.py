"""`python -m arion_lib serve` as a process: its line, its options, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from arion_lib.pipeline.store import SqliteStore
from arion_lib.web import serve
from arion_lib.web.server import ServerFailed, listening_socket, running
from arion_lib.web.signatures import sign
from tests.web.client import get, post

pytestmark = pytest.mark.usefixtures("no_leaks")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
COMMAND = [sys.executable, "-m", "arion_lib", "serve"]


@contextmanager
def command(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command until it has printed its line; kill it in the end, should it still be there."""
    flags = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
    process = subprocess.Popen(
        [*COMMAND, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        creationflags=flags,
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


def ask_to_end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGTERM)


def test_it_says_where_it_listens_takes_events_and_ends_with_0(tmp_path: Path) -> None:
    with command("--port", "0", "--data", str(tmp_path)) as (process, line):
        url = line.split()[0]
        assert url.startswith("http://127.0.0.1:")
        assert post(f"{url}/webhook/orders", b'{"id": "e1"}').status == 200
        ask_to_end(process)
        assert process.wait(20) == 0
    with SqliteStore(tmp_path / "arion.db") as store:
        assert [row.body for row in store.rows("orders")] == [b'{"id": "e1"}']


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    with command("--port", "0", "--data", str(tmp_path)) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_secrets_come_from_the_environment(tmp_path: Path) -> None:
    with command("--port", "0", "--data", str(tmp_path), ARION_WEBHOOK_SECRETS=SECRET) as (_, line):
        url = line.split()[0]
        assert SECRET not in line
        assert post(f"{url}/webhook/orders", b"{}").status == 401
        import time

        head = {"webhook-id": "m1", "webhook-timestamp": str(int(time.time()))}
        head["webhook-signature"] = sign(SECRET, "m1", int(head["webhook-timestamp"]), b"{}")
        assert post(f"{url}/webhook/orders", b"{}", head).status == 200


def test_a_relay_of_its_own_sends_on_what_a_server_without_one_took(tmp_path: Path) -> None:
    with command("--port", "0", "--data", str(tmp_path), "--relay", "none") as (_, line):
        url = line.split()[0]
        post(f"{url}/webhook/orders", b'{"id": "e1"}')
        assert get(f"{url}/status").json["store"]["outbox_messages"] == 1
        with command("--data", str(tmp_path), "--relay", "only") as (relay, _):
            while get(f"{url}/status").json["store"]["outbox_messages"]:
                pass
            ask_to_end(relay)
            assert relay.wait(20) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "x"], "must be a whole number from 0 to 65535, got 'x'"),
        (["--port", "99999"], "must be a whole number from 0 to 65535, got '99999'"),
        (["--port=-1"], "from 0 to 65535"),
        (["--max-in-flight", "0"], "must be a whole number from 1"),
        (["--workers", "257"], "must be a whole number from 1 to 256, got '257'"),
        (["--idle", "nan"], "must be a number from"),
        (["--idle", "1e400"], "must be a number from"),
        (["--idle", "0"], "must be a number from"),
        (["--max-body", "9" * 5_000], "must be bytes"),
        (["--max-body", "²"], "must be bytes"),
        (["--max-body", "5x"], "must be bytes"),
        (["--relay", "maybe"], "invalid choice"),
    ],
)
def test_a_wrong_option_is_told_with_exit_code_2(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        serve.run(options)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--store", "mysql://host/db"], "must be sqlite"),
        (["--secret", "whsec_short"], "a webhook secret must"),
        (["--max-line", "5"], "max_record must be >= 64"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence_and_exit_code_2(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.run(["--port", "0", "--data", str(tmp_path), *options]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1


def test_a_port_that_is_taken_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sock = listening_socket("127.0.0.1", 0)
    with sock:
        sock.listen()
        port = sock.getsockname()[1]
        assert serve.run(["--port", str(port), "--data", str(tmp_path)]) == 2
        assert str(port) in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        serve.run(["--help"])
    assert ended.value.code == 0
    assert "example: python -m arion_lib serve" in capsys.readouterr().out


def test_an_application_that_cannot_start_is_an_error_and_leaves_no_thread() -> None:
    async def broken(scope: dict[str, str], receive: object, send: object) -> None:
        raise RuntimeError("no start")

    with pytest.raises(ServerFailed, match="must start"), running(broken):
        raise AssertionError("it started")
