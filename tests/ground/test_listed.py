"""A deque is listed while others append to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from arion_lib.listed import listed
from tests.together import together


class Growing(deque[Any]):
    """A deque that cannot be looked through, as in a free-threaded Python, and grows while single items are taken."""

    looks = 0
    every = 2

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("deque mutated during iteration")

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        if self.looks % self.every == 0:
            self.append(f"new {self.looks}")
        return super().__getitem__(place)


NAMES = [f"old {number}" for number in range(100)]


def test_what_was_there_is_listed_once_and_in_order_though_the_deque_grows() -> None:
    assert listed(Growing(NAMES)) == NAMES


def test_a_full_deque_loses_its_oldest_items_alone() -> None:
    found = listed(Growing(NAMES, len(NAMES)))
    assert found == NAMES[-len(found) :]
    assert len(found) >= len(NAMES) // 2


def test_it_ends_though_others_append_as_fast_as_it_looks() -> None:
    queue = Growing(NAMES)
    queue.every = 1
    found = listed(queue)
    assert found == ["new 1"]


def test_threads_that_append_and_list_at_once_disturb_each_other_in_nothing() -> None:
    queue: deque[tuple[int, int]] = deque(maxlen=50)

    def use(number: int) -> bool:
        good = True
        for at in range(500):
            queue.append((number, at))
            mine = [there for who, there in listed(queue) if who == number]
            good &= mine == sorted(mine)
        return good

    assert together(4, use) == [True] * 4
