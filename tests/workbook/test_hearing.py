"""A message whose arrival was missed is found within a second, not when the caller's time is up."""

from __future__ import annotations

import asyncio
from queue import Empty
from typing import Any

import nbclient
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from arion_lib.workbook.running import hearing


class Missed:
    """A channel that shows its message only to somebody whose wait has timed out, as a socket whose edge was missed."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.asked: list[float | None] = []

    async def get_msg(self, timeout: float | None = None) -> str:
        self.asked.append(timeout)
        if len(self.asked) < self.turns:
            raise Empty
        return "here"


@pytest.mark.parametrize("timeout", [300.0, None])
def test_no_wait_for_a_message_is_longer_than_a_second(timeout: float | None) -> None:
    channel = Missed(turns=3)
    assert asyncio.run(hearing.in_turns(channel.get_msg)(timeout)) == "here"
    assert channel.asked == [hearing.LONGEST] * 3


def test_the_callers_time_is_kept() -> None:
    channel = Missed(turns=10**9)
    with pytest.raises(Empty):
        asyncio.run(hearing.in_turns(channel.get_msg)(timeout=0.0))
    assert channel.asked == [0.0]


def test_both_channels_of_a_real_kernel_are_heard_so(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []

    def counting(get_msg: Any) -> Any:
        heard.append(get_msg.__self__)
        return in_turns(get_msg)

    in_turns = hearing.in_turns
    monkeypatch.setattr(hearing, "in_turns", counting)
    book: Any = new_notebook(cells=[new_code_cell("print(6 * 7)")])  # type: ignore[no-untyped-call]
    client = hearing.hear_all(nbclient.NotebookClient(book, timeout=300))
    client.execute()
    assert book.cells[0].outputs[0].text == "42\n"
    assert len(heard) == 2
