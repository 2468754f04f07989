"""What a cell of a notebook would define: each callable returns the number after its argument.

Idea        A pool that pickles functions by name gets these; the others get the same text, run in `__main__`.
Invariant   Nothing here is used but by `callables.py`.
When wrong  A contender that returns another number fails its row.
See         arion_lib/bench/scheduler/callables.py
"""

from collections.abc import Callable

TABLE = {number: number + 1 for number in range(1_000)}
NUMBERS = list(range(1, 200_001))
LASTING = tuple(NUMBERS)


class Shop:
    """An object of some size."""

    def __init__(self) -> None:
        self.stock = list(range(100))

    def next(self, number: int) -> int:
        return number + 1


def add(step: int, number: int) -> int:
    return step + number


def by_table(number: int) -> int:
    return TABLE[number]


def by_list(number: int) -> int:
    return NUMBERS[number]


def by_tuple(number: int) -> int:
    return LASTING[number]


def made(step: int) -> Callable[[int], int]:
    """Return a closure."""

    def closure(number: int) -> int:
        return number + step

    return closure
