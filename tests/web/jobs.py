"""Functions that tests register with the service: importable, so that worker processes find them."""

from __future__ import annotations

import os
import threading
from typing import Annotated, Any

from annotated_types import Ge, Le

from arion_lib.scheduler import report, task


def add(left: int, right: Annotated[int, Ge(0), Le(100)] = 1) -> int:
    """Add two numbers.

    The second is bounded.
    """
    return left + right


def pair(point: tuple[float, float], *, names: list[str] | None = None, anything=None) -> dict[str, Any]:  # type: ignore[no-untyped-def]
    return {"type": type(point).__name__, "point": point, "names": names, "anything": anything}


def fail(words: str) -> None:
    raise ValueError(words)


def die() -> None:
    os._exit(3)


def spin() -> None:
    while True:
        pass


def infinite() -> float:
    return float("inf")


def no_json() -> object:
    return threading.Thread


class Gate:
    """A job that stays in a thread of the service until the test opens the gate."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Semaphore(0), threading.Event()

    @property
    def hold(self) -> Any:
        @task(lane="threads")
        def hold() -> str:
            self.entered.release()
            assert self.open.wait(20)
            return "held"

        return hold

    @property
    def half_way(self) -> Any:
        @task(lane="threads")
        def half_way() -> str:
            report(5, 10)
            assert self.open.wait(20)
            return "all"

        return half_way
