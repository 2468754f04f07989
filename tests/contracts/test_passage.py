"""How much of the library one class statement passes through: what a reader must open to follow it."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable
from types import FrameType

import arion_lib.contracts
from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry


class Shape(Contract, registry=Registry()):
    @abstractmethod
    def area(self, scale: int = 1) -> float: ...


def widened() -> type:
    class Square(Shape):
        def area(self, scale: int = 1, more: int = 0) -> float:
            return 1.0

    return Square


def passed(run: Callable[[], object]) -> set[tuple[str, int]]:
    """Return file and first line of each function of the library's contracts that `run` calls."""
    folder = arion_lib.contracts.__path__[0]
    seen: set[tuple[str, int]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            seen.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return seen


def test_a_class_statement_with_a_widened_signature_passes_at_most_thirteen_files() -> None:
    widened()  # once before: what is kept for the contract is made then
    functions = passed(widened)
    assert len({file for file, _ in functions}) <= 13
    assert len(functions) <= 82
    assert passed(lambda: type("Plain", (), {})) == set()  # the control: nothing is counted without a contract
