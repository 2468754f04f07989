"""Modules that the worker does not have: `cloudpickle.register_pickle_by_value` sends what they hold along."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest

from arion_lib.scheduler import NotTransferableError, Scheduler
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE

pytestmark = pytest.mark.usefixtures("no_leaks")

TEXT = """
rate = 2
def price(n): return rate * n
class Item:
    def __init__(self, n): self.n = n
    def price(self): return price(self.n)
def made(n): return Item(n)
"""


@pytest.fixture
def module() -> Iterator[Any]:
    """Make a module that is nowhere on the disk."""
    found = types.ModuleType("only_here_of_the_tests")
    sys.modules[found.__name__] = found
    exec(TEXT, found.__dict__)  # noqa: S102
    yield found
    del sys.modules[found.__name__]


@pytest.fixture
def registered(module: Any) -> Iterator[Any]:
    cloudpickle.register_pickle_by_value(module)
    yield module
    cloudpickle.unregister_pickle_by_value(module)


def test_the_control_an_unregistered_module_is_missing_in_the_worker(module: Any) -> None:
    with Scheduler(1) as scheduler:
        assert isinstance(scheduler.submit(module.price, 2).exception(PATIENCE), NotTransferableError)


def test_functions_arguments_and_results_of_a_registered_module_travel(registered: Any) -> None:
    with Scheduler(1) as scheduler:
        assert scheduler.submit(registered.price, 2).result(PATIENCE) == 4
        assert scheduler.submit(registered.Item(3).price).result(PATIENCE) == 6
        assert scheduler.submit(jobs.identity, registered.Item(3)).result(PATIENCE).n == 3
        registered.rate = 5
        assert scheduler.submit(registered.price, 2).result(PATIENCE) == 10


def test_a_module_may_be_registered_after_its_function_was_met(module: Any) -> None:
    with Scheduler(1) as scheduler:
        assert isinstance(scheduler.submit(module.price, 2).exception(PATIENCE), NotTransferableError)
        cloudpickle.register_pickle_by_value(module)
        try:
            assert scheduler.submit(module.price, 2).result(PATIENCE) == 4
        finally:
            cloudpickle.unregister_pickle_by_value(module)
