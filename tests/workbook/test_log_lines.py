"""A log as lines of a cell, and gone with it."""

from __future__ import annotations

import logging

import pytest

from arion_lib.workbook.log_lines import log_lines

LOG = logging.getLogger("arion_lib.test_log_lines")


def test_what_is_logged_in_the_block_is_printed_in_its_form(capsys: pytest.CaptureFixture[str]) -> None:
    with log_lines(LOG.name, "%(levelname)s %(message)s"):
        LOG.info("opened")
        LOG.debug("too small")
    LOG.info("after")
    assert capsys.readouterr().out == "INFO opened\n"


def test_a_cell_that_fails_leaves_no_handler_and_no_level_behind(capsys: pytest.CaptureFixture[str]) -> None:
    before = LOG.level, list(LOG.handlers)
    inside = []

    def fail() -> None:
        inside.append((LOG.level, list(LOG.handlers)))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), log_lines(LOG.name, "%(message)s"):
        fail()
    assert (LOG.level, LOG.handlers) == before != inside[0]
    LOG.warning("in a later cell")
    assert capsys.readouterr().out == ""
