"""`python -m arion_lib serve` as a process: its line, its options, its end."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web import serve
from arion_lib.web.edge.server import ServerFailed, listening_socket, running
from arion_lib.web.edge.signals import ENDING
from arion_lib.web.signatures import sign
from tests.web.client import Wire, get, post

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


@pytest.mark.posix("Windows has no SIGINT for another process")
def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    with command("--port", "0", "--data", str(tmp_path)) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_secrets_come_from_the_environment(tmp_path: Path) -> None:
    options = ("--port", "0", "--data", str(tmp_path), "--stream", "orders")
    with command(*options, ARION_WEBHOOK_SECRETS=SECRET) as (_, line):
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
        (["--keep", "7"], "must be a time such as 90s"),
        (["--remember", "0d"], "must be a time such as 90s"),
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
        (["--broker", "kafka://host"], "kafka"),
        (["--broker", "redis://host:port"], "port"),
        (["--secret", "whsec_short"], "a webhook secret must"),
        (["--secret", SECRET], "secrets must belong to one stream, got some for all"),
        (["--stream", "a", "--config", "arion.toml"], "--stream must be left out beside --config"),
        (["--stream", ""], "stream"),
        (["--max-line", "5"], "max_record must be >= 64"),
        (["--max-line", "300m"], "and <= 268435456 bytes"),
        (
            ["--stream", "a", "--secret", SECRET, "--remember", "9m"],
            "--remember must be >= 600s where",
        ),
        (["--host", ""], "--host must be an address"),
        (["--host", "0.0.0.0"], "pages and controls must not be open to everybody"),
        (["--host", "::"], "pages and controls must not be open to everybody"),
        (["--admin", "0.0.0.0:81"], "--admin must be on this machine"),
        (["--admin", "81"], "--admin must be HOST:PORT"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence_and_exit_code_2(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.run(["--port", "0", "--data", str(tmp_path), *options]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("name", ["ARION_WEBHOOK_SECRETS", "ARION_ADMIN_TOKEN"])
def test_a_blank_secret_does_not_start_an_open_service(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "  ")
    assert serve.run(["--port", "0", "--data", str(tmp_path / "data")]) == 2
    assert "must" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_pages_have_a_door_of_their_own_and_strangers_learn_only_whether_it_is_well(tmp_path: Path) -> None:
    with listening_socket("127.0.0.1", 0) as free:
        admin = free.getsockname()[1]
    with command("--port", "0", "--data", str(tmp_path), "--admin", f"127.0.0.1:{admin}") as (_, line):
        url, pages = line.split()[0], f"http://127.0.0.1:{admin}"
        assert pages in line
        assert post(f"{url}/webhook/orders", b'{"id": "e1"}').status == 200
        for page in ("/rows?stream=orders", "/docs", "/openapi.json", "/metrics", "/status", "/", "/scheduler/status"):
            assert get(url + page).status == 404, page
        assert get(f"{url}/health").json == {"status": "ok"}
        assert get(f"{pages}/rows?stream=orders").json["items"][0]["record"] == {"id": "e1"}
        assert get(f"{pages}/health").json["store"]["ok"]


def test_pages_ask_for_the_token_and_the_line_and_the_log_do_not_show_it(tmp_path: Path) -> None:
    token = "0123456789abcdef0123"
    (tmp_path / "token").write_text(token + "\n", encoding="utf-8")
    options = ("--port", "0", "--data", str(tmp_path / "data"), "--token-file", str(tmp_path / "token"))
    with command(*options, "--log", "debug") as (process, line):
        url = line.split()[0]
        assert post(f"{url}/webhook/orders", b'{"id": "e1"}').status == 200
        refused = get(f"{url}/rows?stream=orders")
        assert (refused.status, refused.headers["www-authenticate"][:5]) == (401, "Basic")
        for given, status in ((f"Bearer {token}", 200), ("Bearer wrong", 401), (basic(token), 200), ("Basic ?", 401)):
            asked = urllib.request.Request(f"{url}/rows?stream=orders", headers={"authorization": given})
            try:
                with urllib.request.urlopen(asked, timeout=20) as answer:
                    got = answer.status
            except urllib.error.HTTPError as error:
                error.close()
                got = error.code
            assert got == status
        assert get(f"{url}/health").json == {"status": "ok"}
        ask_to_end(process)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert token not in line + process.stderr.read()


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"me:{token}".encode()).decode()


@pytest.mark.posix("Windows has other rights")
def test_what_is_stored_is_nobody_elses(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with command("--port", "0", "--data", str(data)) as (_, line):
        post(f"{line.split()[0]}/webhook/orders", b'{"id": "e1"}')
        for path in (data, *data.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_slow_body_does_not_hold_the_end_up(tmp_path: Path) -> None:
    with command("--port", "0", "--data", str(tmp_path)) as (process, line):
        with Wire(line.split()[0]).head("/webhook/orders", content_length="1000") as wire:
            wire.send(b"{")
            time.sleep(0.2)
            before = time.monotonic()
            ask_to_end(process)
            answer = wire.answer()
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert process.wait(20) == 0
        assert time.monotonic() - before < 15
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_a_port_that_is_taken_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sock = listening_socket("127.0.0.1", 0)
    with sock:
        sock.listen()
        port = sock.getsockname()[1]
        assert serve.run(["--port", str(port), "--data", str(tmp_path)]) == 2
        assert str(port) in capsys.readouterr().err


@pytest.mark.parametrize("relay", ["only", "none"])
def test_who_called_the_command_has_its_signal_handlers_back_behind_it(
    relay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = signal.signal(signal.SIGTERM, lambda *_: None), signal.signal(signal.SIGINT, lambda *_: None)
    try:
        before, during = [signal.getsignal(number) for number in ENDING], []

        def say(line: str) -> None:
            during.extend(signal.getsignal(number) for number in ENDING)
            signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(serve, "_say", say)
        assert serve.run(["--port", "0", "--data", str(tmp_path), "--relay", relay]) == 0
        assert [signal.getsignal(number) for number in ENDING] == before
        assert not set(map(id, during)) & set(map(id, before))  # the control: meanwhile they were others
    finally:
        signal.signal(signal.SIGTERM, ours[0])
        signal.signal(signal.SIGINT, ours[1])


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
