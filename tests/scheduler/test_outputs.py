"""What tasks print and log comes to where they were submitted from."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.processes.outputs import Forwarded, _portable, relay_record
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, until


@given(st.lists(st.text(alphabet="ab\n", max_size=6), max_size=10))
def test_whole_lines_are_sent_and_nothing_is_lost(writes: list[str]) -> None:
    sent: list[str] = []
    stream = Forwarded("stdout", lambda _, text: sent.append(text))
    for text in writes:
        assert stream.write(text) == len(text)
    assert all(text.endswith("\n") for text in sent)
    stream.flush()
    stream.flush()
    assert "".join(sent) == "".join(writes)


def test_prints_arrive_before_the_result_and_in_order(no_leaks: None, capsys: pytest.CaptureFixture[str]) -> None:
    with Scheduler(1) as scheduler:
        for task in [scheduler.submit(jobs.say, f"line {n}", f"error {n}") for n in range(50)]:
            task.result(PATIENCE)
        scheduler.submit(print, "without an end", end="").result(PATIENCE)
    out, err = capsys.readouterr()
    assert out == "".join(f"line {n}\n" for n in range(50)) + "without an end"
    assert err == "".join(f"error {n}\n" for n in range(50))


def test_a_record_with_anything_inside_arrives(no_leaks: None, caplog: pytest.LogCaptureFixture) -> None:
    def complain() -> None:
        log = logging.getLogger("tests.of.outputs")
        try:
            jobs.fail("inside")
        except ValueError:
            log.exception("could not %s", "resize", extra={"lock": threading.Lock(), "size": 3})

    with Scheduler(1) as scheduler:
        scheduler.submit(complain).result(PATIENCE)
        until(lambda: "could not resize" in caplog.text, "the record")
    (record,) = [one for one in caplog.records if one.name == "tests.of.outputs"]
    assert "ValueError: inside" in (record.exc_text or "")
    assert record.size == 3  # type: ignore[attr-defined]
    assert "lock" in record.lock  # type: ignore[attr-defined]


def test_a_record_below_the_level_here_is_not_handled(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.of.levels")
    records = [
        logger.makeRecord(logger.name, level, __file__, 1, "at %s", (level,), None)
        for level in (logging.DEBUG, logging.ERROR)
    ]
    with caplog.at_level(logging.INFO, logger.name):
        for record in records:
            relay_record(_portable(record))
    assert [one.getMessage() for one in caplog.records] == ["at 40"]


def test_a_stream_here_that_is_gone_harms_no_task(no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def write(self, text: str) -> int:
            raise ValueError("closed")

        def flush(self) -> None: ...

    with Scheduler(1) as scheduler, monkeypatch.context() as patched:
        patched.setattr("sys.stdout", Broken())
        scheduler.submit(jobs.say, "to nobody").result(PATIENCE)
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def test_output_in_the_middle_of_an_interruption_garbles_nothing(no_leaks: None, capsys: Any, tmp_path: Any) -> None:
    def chatter() -> None:
        while True:
            print("x" * 200)  # noqa: T201

    with Scheduler(1) as scheduler:
        for _ in range(10):
            task = scheduler.submit(chatter)
            until(task.running, "the chatter")
            task.cancel()
            assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
    assert set(capsys.readouterr().out) == {"x", "\n"}
