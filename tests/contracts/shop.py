"""Classes written as text and compiled under the file name `shop.py`, so that messages name lines a test can know."""

from __future__ import annotations

import linecache
import textwrap
from abc import abstractmethod
from typing import Any

import pytest

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractError

HEAD = (
    "import asyncio, contextlib, dataclasses, functools; from abc import ABC, abstractmethod; from typing import *;"
    " from collections.abc import *; from arion_lib.contracts.contract import Contract, check, explain, contracts_of\n"
)


def define(source: str) -> dict[str, Any]:
    """Run `source` with contracts at hand, each call in a registry of its own; its first line is line 2 of shop.py."""
    text = HEAD + textwrap.dedent(source).strip() + "\n"
    linecache.cache["shop.py"] = (len(text), None, text.splitlines(keepends=True), "shop.py")
    space: dict[str, Any] = {"__name__": "shop", "registry": Registry()}
    exec(compile(text, "shop.py", "exec", dont_inherit=True), space)  # noqa: S102 - the text is a test's
    return space


def refused(source: str) -> ContractError:
    """Return the error that `source` raises, and see that it registered nothing."""
    with pytest.raises(ContractError) as caught:
        define(source)
    return caught.value


def codes(source: str) -> list[str]:
    return [violation.code.value for violation in refused(source).violations]


def a_shelf() -> tuple[Registry, Any]:
    """Return a registry of its own with one contract to derive from."""
    found = Registry()

    class Source(Contract, kind="sources", registry=found, metrics=True):
        @abstractmethod
        def read(self, n: int) -> int: ...

    return found, Source
