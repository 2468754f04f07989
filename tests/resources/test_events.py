"""The log: fields, levels, secrets, and nothing at import."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from arion_lib.resources import Resources, Retry, resource
from arion_lib.resources.monitoring.events import Event, Journal, Step
from tests.resources.probes import MODES, Log, fail, manager, pass_time, run
from tests.together import together


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    seen: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    logger, handler = logging.getLogger("arion_lib.resources"), Keep()
    logger.addHandler(handler)
    before, logger.level = logger.level, logging.DEBUG
    logger.manager._clear_cache()
    yield seen
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.mark.parametrize("mode", MODES)
def test_each_step_is_one_record_with_its_fields(mode: str, records: list[logging.LogRecord]) -> None:
    run(mode, manager(mode, db=Log().probe("db", hooks={"open": pass_time, "close": pass_time})))
    assert [(r.event, r.resource, r.scope, r.attempt) for r in records] == [  # type: ignore[attr-defined]
        ("acquiring", "db", "Resources", 1),
        ("acquired", "db", "Resources", 1),
        ("released", "db", "Resources", 1),
    ]
    began, acquired, released = (r.seconds for r in records)  # type: ignore[attr-defined]
    assert began == 0.0  # nothing has been taken yet
    assert acquired > 0 < released


@pytest.mark.parametrize("mode", MODES)
def test_a_failure_is_logged_where_it_happens_with_its_error(mode: str, records: list[logging.LogRecord]) -> None:
    probe = Log().probe("db", on_open=OSError("cannot reach postgresql://ann:s3cret@db/shop"))
    with pytest.raises(OSError, match="cannot reach"):
        run(mode, manager(mode, db=resource(probe, retry=Retry(attempts=2, backoff=0))))
    told = [(r.event, r.attempt, r.levelname) for r in records if r.event != "acquiring"]  # type: ignore[attr-defined]
    assert told == [("retrying", 1, "WARNING"), ("failed", 1, "ERROR")]
    assert "ann:***@db" in records[-1].getMessage()
    assert not any("s3cret" in record.getMessage() for record in records)


def test_a_release_that_fails_is_logged_even_when_it_is_not_raised(records: list[logging.LogRecord]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run("sync", manager("sync", db=Log().probe("db", on_close=ValueError("late"))), fail(KeyboardInterrupt()))
    assert records[-1].event == "failed"  # type: ignore[attr-defined]
    assert "ValueError: late" in records[-1].getMessage()


def test_nothing_is_configured_at_import() -> None:
    code = (
        "import logging; before = len(logging.root.handlers), logging.root.level; import arion_lib.resources;"
        "ours = logging.getLogger('arion_lib.resources');"
        "print(before == (len(logging.root.handlers), logging.root.level) and not ours.handlers and not ours.level)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_structlog_renders_the_fields_as_json() -> None:
    structlog = pytest.importorskip("structlog")
    out, logger = io.StringIO(), logging.getLogger("arion_lib.resources")
    handler = logging.StreamHandler(out)
    formatter = structlog.stdlib.ProcessorFormatter(
        processor=structlog.processors.JSONRenderer(), foreign_pre_chain=[structlog.stdlib.ExtraAdder()]
    )
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with Resources(db=Log().probe("db")):
            pass
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["resource"], line["scope"], line["attempt"]) for line in lines] == [("db", "Resources", 1)] * 2


def test_a_full_journal_forgets_the_oldest() -> None:
    journal = Journal("shop", size=3)
    for number in range(5):
        journal.note((float(number), 1, Step.ACQUIRED, "db", 1, 0.0, ""))
    assert [event.at for event in journal] == [2.0, 3.0, 4.0]
    assert next(iter(journal)) == Event(2.0, 1, Step.ACQUIRED, "db")


def test_events_are_listed_while_other_threads_write_some() -> None:
    """In a free-threaded Python, a deque that is looked through while another thread appends raises."""
    journal = Journal("shop", size=50)

    def use(number: int) -> None:
        for _ in range(500):
            journal.note((0.0, number, Step.ACQUIRED, "db", 1, 0.0, ""))
            assert len(list(journal)) > 0

    assert together(4, use) == [None] * 4
    assert len(journal) == 50
