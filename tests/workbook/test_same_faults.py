"""The table of faults: ours keeps every claim, and each claim can be broken."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from arion_lib.workbook.tables import same_faults as faults


@pytest.mark.parametrize("claim", faults.CLAIMS)
def test_ours_keeps_the_claim(claim: str) -> None:
    assert faults.CLAIMS[claim](faults.with_arion)


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
