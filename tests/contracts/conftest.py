"""A registry of its own for each test, with one contract to derive from."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import pytest

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry


@pytest.fixture
def shelf() -> tuple[Registry, Any]:
    found = Registry()

    class Source(Contract, kind="sources", registry=found, metrics=True):
        @abstractmethod
        def read(self, n: int) -> int: ...

    return found, Source
