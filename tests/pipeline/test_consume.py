"""Messages go down a pipe at least once each, with their ids; what the pipe did not take stays in the queue."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from arion_lib.pipeline.queues.consume import consume, run
from arion_lib.pipeline.queues.file_queue import FileBroker
from tests.pipeline.queues import Queue, queue

__all__ = ["queue"]  # the fixture
COMMAND = [sys.executable, "-m", "arion_lib", "consume"]


def test_every_message_is_a_line_and_leaves_the_queue(no_leaks: None, queue: Queue) -> None:
    with queue.open() as broker:
        broker.publish("orders", [b'{"n":1}', b'{"n":2}'], ["a-1.1", "a-1.2"])
        broker.publish("grün", [b'{"n":\n3}'], ["a-2.1"])
        assert consume(broker, out := io.BytesIO(), ids=True) == 3
        assert [json.loads(line) for line in out.getvalue().splitlines()] == [
            {"id": "a-1.1", "stream": "orders", "data": {"n": 1}},
            {"id": "a-1.2", "stream": "orders", "data": {"n": 2}},
            {"id": "a-2.1", "stream": "grün", "data": {"n": 3}},
        ]
        assert broker.claim() is None
        assert consume(broker, io.BytesIO()) == 0


def test_what_the_pipe_did_not_take_is_delivered_again(tmp_path: Path) -> None:
    class Closed(io.BytesIO):
        def flush(self) -> None:
            raise BrokenPipeError

    with FileBroker(tmp_path) as broker:
        broker.publish("s", [b"1"])
        with pytest.raises(BrokenPipeError):
            consume(broker, Closed())
        assert consume(broker, out := io.BytesIO()) == 1
        assert out.getvalue() == b"1\n"


NOBODY_READS = {
    "elsewhere": BrokenPipeError(errno.EPIPE, "Broken pipe"),
    "on Windows": OSError(errno.EINVAL, "Invalid argument"),
}


def code_with(error: OSError, data: Path) -> int | OSError:
    """Return what the command ends with where its output raises `error`; its output then goes nowhere."""

    class Closed(io.BytesIO):
        def flush(self) -> None:
            raise error

    with pytest.MonkeyPatch.context() as patched, (data / "to").open("wb") as to:
        patched.setattr(sys, "stdout", SimpleNamespace(buffer=Closed(), fileno=to.fileno))
        try:
            code = run(["--data", str(data)])
        except OSError as raised:
            return raised
        to.write(b"what is flushed once more at the end")
    assert (data / "to").read_bytes() == b""
    return code


@pytest.mark.parametrize("error", NOBODY_READS.values(), ids=NOBODY_READS)
def test_a_reader_that_has_read_enough_ends_the_command_without_a_traceback(error: OSError, tmp_path: Path) -> None:
    with FileBroker(tmp_path / "queue") as broker:
        broker.publish("s", [b"1"])
        assert code_with(error, tmp_path) == 1
        assert broker.claim() is not None
        broker.publish("s", [b"2"])
        disk = OSError(errno.EIO, "the disk fails")  # the control: that is told
        assert code_with(disk, tmp_path) is disk


def test_the_command_prints_pipes_and_says_what_is_wrong(tmp_path: Path) -> None:
    with FileBroker(tmp_path / "queue") as broker:
        broker.publish("s", [b'{"n":1.10}'])
        done = subprocess.run([*COMMAND, "--data", str(tmp_path)], capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, b'{"n":1.10}\n', b"")
        assert broker.claim() is None
    wrong = subprocess.run([*COMMAND, "--broker", "kafka://x"], capture_output=True, check=False, timeout=60)
    assert wrong.returncode == 2
    assert b"a queue's URL must be file:///folder" in wrong.stderr
    assert b"Traceback" not in wrong.stderr


def test_a_mistyped_folder_is_told_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--data", str(tmp_path / "data")]) == 2
    assert "--data must be the folder of a service, got " in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    assert run(["--data", str(tmp_path / "data"), "--wait", "0.01"]) == 0  # a service that comes later makes no error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max", "0"], "must be a whole number from 1, got '0'"),
        (["--max=-1"], "must be a whole number from 1, got '-1'"),
        (["--wait", "nan"], "must be seconds or the word forever"),
        (["--claim-timeout", "nan"], "must be seconds, 0.001 or more, got 'nan'"),
        (["--claim-timeout", "0"], "must be seconds, 0.001 or more, got '0'"),
    ],
)
def test_a_wrong_option_is_told(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(options)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
