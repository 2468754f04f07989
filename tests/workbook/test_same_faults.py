"""The table of faults: ours keeps every claim, and each claim can be broken."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest

from arion_lib.workbook.tables import same_faults as faults


@pytest.mark.parametrize("claim", faults.CLAIMS)
def test_ours_keeps_the_claim(claim: str) -> None:
    assert faults.CLAIMS[claim](faults.with_arion)


def test_the_other_tools_log_is_heard_again_afterwards() -> None:
    pytest.importorskip("svcs")
    log, seen = logging.getLogger("svcs"), []
    before = log.propagate, list(log.handlers)
    night = faults.Night(frozenset())
    night.body = lambda: seen.append(log.propagate)  # type: ignore[method-assign]
    faults.with_svcs(night)
    assert seen == [False]  # the control: meanwhile it is not
    assert (log.propagate, log.handlers) == before


@pytest.mark.parametrize("claim", faults.CLAIMS)
def test_a_program_that_forgets_its_resources_breaks_the_claim(claim: str) -> None:
    made: list[Iterator[str]] = []

    def forgetful(night: faults.Night) -> None:
        opened = [night.probe(name) for name in faults.NAMES]
        made.extend(opened)
        for generator in opened:
            next(generator)
        try:
            night.body()
        finally:
            for generator in opened[::-1]:
                next(generator, None)

    assert not faults.CLAIMS[claim](forgetful)
    for generator in made:
        with contextlib.suppress(Exception):
            generator.close()  # type: ignore[attr-defined]
