"""Tests patch classes: what they put in is checked, what stood there comes back."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar
from unittest import mock

import pytest

from arion_lib.contracts.contract import Contract, check, unlocked
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractCallError, ContractError, LockedMember

T = TypeVar("T")


class Source(Contract, registry=Registry()):
    version: str
    level: int = 1

    @staticmethod
    def twice(n: int) -> int:
        return 2 * n

    @abstractmethod
    def go(self, n: int) -> int: ...
    async def fetch(self, n: int) -> int:
        return n

    @classmethod
    def open(cls, n: int) -> int:
        return n

    @property
    def size(self) -> int:
        return 1


class Mixin:
    @staticmethod
    def twice(n: int) -> int:
        return 2 * n


class Made(Source):
    version = "1"

    def go(self, n: int) -> int:
        return n

    @classmethod
    def open(cls, n: int) -> int:
        return n + 1


class Child(Made): ...


NAMES = ["go", "fetch", "open", "size", "version", "level"]
STOOD = {cls: {name: vars(cls).get(name) for name in NAMES} for cls in (Made, Child)}


@pytest.fixture(autouse=True)
def nothing_leaks() -> Any:
    yield
    assert {cls: {name: vars(cls).get(name) for name in NAMES} for cls in (Made, Child)} == STOOD
    assert check(Made) == check(Child) == []
    for cls in (Made, Child):
        assert (cls().go(2), cls.open(2), cls.version, cls().level) == (2, 3, "1", 1)
        with pytest.raises(ContractCallError):
            cls().go("x")  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [Made, Child])
@pytest.mark.parametrize("name", NAMES)
def test_mock_patches_a_member_and_puts_back_what_stood_there(cls: type, name: str) -> None:
    with mock.patch.object(cls, name) as fake:
        assert getattr(cls, name) is fake
        with mock.patch.object(cls, name):
            pass
        assert getattr(cls, name) is fake


@pytest.mark.parametrize("cls", [Made, Child])
def test_monkeypatch_undoes_all_its_patches(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cls, "go", lambda self, n: 7)
    monkeypatch.setattr(cls, "version", "2")
    monkeypatch.setattr(cls, "open", classmethod(lambda cls, n: 8))
    assert (cls().go(1), cls.version, cls.open(1)) == (7, "2", 8)
    monkeypatch.undo()


def test_an_assigned_function_is_guarded() -> None:
    with mock.patch.object(Made, "go", lambda self, n: n if n else "none"):
        assert Made().go(3) == 3
        with pytest.raises(ContractCallError, match=r"Made\.go: parameter 'n' must be int"):
            Made().go("x")  # type: ignore[arg-type]
        with pytest.raises(ContractCallError, match="return value must be int"):
            Made().go(0)


@pytest.mark.parametrize("cls", [Made, Child])
@pytest.mark.parametrize("name", ["go", "fetch", "open", "twice", "size"])
def test_a_mock_by_autospec_is_a_mock_whatever_it_returns(cls: Any, name: str) -> None:
    with mock.patch.object(cls, name, autospec=True):
        if name == "fetch":
            assert isinstance(asyncio.run(cls().fetch(3)), mock.Mock)
        elif name != "size":
            whose = cls() if name == "go" else cls  # of a plain class, too, mocks fail at an instance's inherited ones
            assert isinstance(getattr(whose, name)(3), mock.Mock)
            with pytest.raises(TypeError, match="missing a required argument"):
                getattr(whose, name)()
    with mock.patch.object(cls, "go", autospec=True, return_value=5):
        assert cls().go(3) == 5


def test_an_assignment_that_breaks_the_contract_changes_nothing() -> None:
    with pytest.raises(ContractError, match=r"\[parameter-missing\] Made\.go"):
        Made.go = lambda self: 1  # type: ignore[method-assign, assignment, misc]
    with pytest.raises(ContractCallError):
        Made.version = 2  # type: ignore[assignment]
    with pytest.raises(ContractError):
        Made.go = 3  # type: ignore[method-assign, assignment]


def test_inside_unlocked_anything_goes_and_all_of_it_comes_back() -> None:
    with unlocked(Made):
        Made.go = lambda self: 1  # type: ignore[method-assign, assignment, misc]
        Made.version = 2  # type: ignore[assignment]
        del Made.open
        assert (Made().go(), Made.version, Made.open(2)) == (1, 2, 2)  # type: ignore[call-arg]
    with contextlib.suppress(KeyError), unlocked(Child):
        Child.go = None  # type: ignore[method-assign, assignment]
        raise KeyError
    with pytest.raises(TypeError, match="must keep a contract"), unlocked(Mixin):
        pass


def test_a_deletion_falls_back_to_what_is_inherited() -> None:
    Child.go = lambda self, n: 9  # type: ignore[method-assign]
    assert Child().go(1) == 9
    del Child.go
    Child.version = "3"
    del Child.version
    stood = vars(Made)["open"]
    del Made.open  # the contract has one
    assert Made.open(2) == 2
    Made.open = stood  # type: ignore[method-assign]
    for name in ("go", "version"):
        with pytest.raises(LockedMember, match=rf"Made\.{name} must stay"):
            delattr(Made, name)


def test_an_instance_is_patched_and_restored() -> None:
    made: Any = Made()
    with mock.patch.object(made, "version", "9"), mock.patch.object(made, "go", return_value=4):
        assert (made.version, made.go(1)) == ("9", 4)
    assert vars(made) == {}


@pytest.mark.parametrize("base", [ABC, Contract], ids=["plain", "contract"])
@pytest.mark.parametrize("name", ["go", "make", "twice"])
def test_a_patch_of_a_class_above_is_seen_below_whatever_guard_stands_between(base: Any, name: str) -> None:
    plain = base is ABC
    words: dict[str, Any] = {} if plain else {"registry": Registry()}

    class Asked(base, Generic[T], **words):
        @abstractmethod
        def go(self, n: T) -> Any: ...
        @classmethod
        @abstractmethod
        def make(cls, n: T) -> Any: ...
        @staticmethod
        @abstractmethod
        def twice(n: int) -> Any: ...

    class Outside:
        def go(self, n: Any) -> Any:
            return n

        @classmethod
        def make(cls, n: Any) -> Any:
            return n

        @staticmethod
        def twice(n: int) -> Any:
            return n

    class Above(Outside, Asked[T]): ...

    class Typed(Above[int]): ...

    class Thorough(Above[int], **({} if plain else {"checks": "all"})): ...

    for cls in (Above, Typed, Thorough):
        assert getattr(cls(), name)(1) == 1
        for patched in (Outside, Above):
            with mock.patch.object(patched, name, return_value="patched"):
                assert getattr(cls(), name)(1) == "patched"
        assert getattr(cls(), name)(1) == 1
