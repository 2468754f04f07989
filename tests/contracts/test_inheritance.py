"""What the method resolution order resolves to is what is judged and guarded; frameworks that make classes anew."""

from __future__ import annotations

import dataclasses
import gc
import sys
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sized
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, TypeVarTuple, runtime_checkable

import attrs
import pytest

from arion_lib.contracts.contract import Contract, check, contracts_of, explain
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractCallError, ContractError, LockedMember
from tests.contracts.shop import codes, define, refused

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
registry = Registry()


class Reader(Contract, registry=registry):
    version: str
    level: int = 1

    @abstractmethod
    def read(self, n: int) -> int: ...


class Mixin:
    def read(self, n):  # type: ignore[no-untyped-def]
        return n


class BadMixin:
    def read(self) -> int:
        return 1


def test_an_inherited_offender_is_named_with_its_class_and_line() -> None:
    error = refused("""
    class Reader(Contract, registry=registry):
        @abstractmethod
        def read(self, n: int) -> int: ...
    class Mixin:
        def read(self) -> int: ...
    class Bad(Mixin, Reader): ...
    """)
    (violation,) = error.violations
    assert violation.got == "def read() -> int, inherited from Mixin"
    assert str(violation.where) == "shop.py:6"


def test_a_mixin_behind_the_contract_is_judged_by_the_resolution_order_too() -> None:
    assert codes("""
    class Reader(Contract, registry=registry):
        def read(self, n: int) -> int: return n
    class Mixin:
        def read(self): ...
    class Fine(Reader, Mixin): ...
    class Bad(Mixin, Reader): ...
    """) == ["parameter-missing"]


def test_an_inherited_method_is_guarded_and_its_class_is_left_alone() -> None:
    class Full(Mixin, Reader):
        version = "1"

    before = dict(vars(Mixin))
    assert Full().read(3) == 3
    with pytest.raises(ContractCallError):
        Full().read("x")
    assert dict(vars(Mixin)) == before
    assert Mixin().read("x") == "x"  # type: ignore[no-untyped-call]


def test_super_in_a_diamond_still_reaches_the_sibling() -> None:
    class Base:
        def read(self, n: int) -> int:
            return n

    class Left(Base, Reader):
        version = "1"

    class Right(Base):
        def read(self, n: int) -> int:
            return 10 * super().read(n)

    class Both(Left, Right): ...

    assert Both().read(2) == 20
    assert type("Control", (type("L", (Base,), {}), Right), {})().read(2) == 20


def test_an_abstract_intermediate_is_neither_checked_nor_registered_nor_instantiated() -> None:
    space = define("""
    class Reader(Contract, registry=registry):
        version: str
        @abstractmethod
        def read(self, n: int) -> int: ...
    class Half(Reader, abstract=True):
        def read(self): ...
    """)
    assert space["registry"].plugins() == [] if "readers" in space["registry"]._plugins else True
    for unfinished in (space["Half"], space["Reader"]):
        with pytest.raises(TypeError, match="instan"):
            unfinished()
    assert codes("""
    class Reader(Contract, registry=registry):
        @abstractmethod
        def read(self, n: int) -> int: ...
    class Half(Reader, abstract=True):
        def read(self): ...
    class Whole(Half): ...
    """) == ["parameter-missing"]


@pytest.mark.parametrize("base", [Sized, dict, tuple, Exception])
def test_contracts_and_intermediates_over_any_base_are_not_instantiated_and_whole_classes_are(base: type) -> None:
    class Sizes(base, Contract, registry=Registry()):  # type: ignore[misc, valid-type]
        def size(self) -> int:
            return 1

        def __len__(self) -> int:
            return 1

    class Half(Sizes, abstract=True): ...

    class Whole(Half): ...

    for unfinished in (Sizes, Half):
        with pytest.raises(TypeError, match="make an instance of a class that keeps it"):
            unfinished()
    assert Whole().size() == 1


def test_several_contracts_all_count() -> None:
    source = """
    class Reader(Contract, registry=registry):
        @abstractmethod
        def read(self, n: int) -> int: ...
    class Closer(Contract, registry=registry):
        @abstractmethod
        def close(self) -> None: ...
    class Both(Reader, Closer):
        def read(self, n: int) -> int: return n
        def close(self) -> None: ...
    """
    space = define(source)
    assert contracts_of(space["Both"]) == [space["Reader"], space["Closer"]]
    assert [str(p) for p in space["registry"].plugins()] == ["closers:both 0", "readers:both 0"]
    neither = source.partition("class Both")[0] + "class Both(Reader, Closer): ..."
    assert {v.contract for v in refused(neither).violations} == {"Reader", "Closer"}


def test_a_member_of_two_contracts_must_keep_both() -> None:
    assert codes("""
    class A(Contract, registry=registry):
        @abstractmethod
        def f(self, a: int): ...
    class B(Contract, registry=registry):
        @abstractmethod
        def f(self, a: str): ...
    class Both(A, B):
        def f(self, a: int): ...
    """) == ["parameter-type"]
    define("""
    class A(Contract, registry=registry):
        @abstractmethod
        def f(self, a: int): ...
    class B(Contract, registry=registry):
        @abstractmethod
        def f(self, a: str): ...
    class Both(A, B):
        def f(self, a): ...
    try: Both().f(1.5)
    except TypeError as error: assert "int | str" in str(error)
    Both().f(1), Both().f("x")
    """)


def test_a_contract_that_refines_another_is_judged_by_it() -> None:
    assert codes("""
    class A(Contract, registry=registry):
        @abstractmethod
        def f(self, a: int): ...
    class B(A, Contract, registry=registry):
        @abstractmethod
        def f(self): ...
    """) == ["parameter-missing"]


def test_generic_contracts_are_judged_with_their_variables_substituted() -> None:
    source = """
    K, V = TypeVar("K"), TypeVar("V")
    class Store(Contract, Generic[K, V], registry=registry):
        @abstractmethod
        def get(self, key: K) -> V: ...
        default: V
    class ByName(Store[str, V], Generic[V], abstract=True): ...
    class Ages(ByName[int]):
        default = 3
        def get(self, key: str) -> int: ...
    """
    define(source)
    assert codes(source.replace("-> int", "-> str").replace("= 3", "= 'x'").replace("key: str", "key: int")) == [
        "attribute-type",
        "parameter-type",
        "return-type",
    ]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters in brackets came with Python 3.12")
def test_type_parameters_in_brackets_and_type_aliases_are_understood() -> None:
    source = """
    type Pair[T] = tuple[T, T]
    class Store[K, V](Contract, registry=registry):
        size: V
        @abstractmethod
        def get(self, key: Pair[K]) -> V: ...
        @abstractmethod
        def same[T](self, x: T) -> T: ...
    class Ages(Store[str, int]):
        size = 1
        def get(self, key): return 3 if key[0] else "three"
        def same[U](self, x: U) -> U: return x
    """
    ages = define(source)["Ages"]()
    assert (ages.get(("a", "b")), ages.same("x")) == (3, "x")
    for key, wrong in (((1, 2), "'key' must be Pair"), (("", ""), "return value must be int")):
        with pytest.raises(ContractCallError, match=wrong):
            ages.get(key)
    broken = source.replace("size = 1", "size = ''").replace("def get(self, key):", "def get(self, key: Pair[int]):")
    assert codes(broken) == ["attribute-type", "parameter-type"]


def test_it_works_beside_abc_protocol_and_generic_bases() -> None:
    @runtime_checkable
    class Named(Protocol):
        def name(self) -> str: ...

    class Openable(ABC):
        @abstractmethod
        def open(self) -> int: ...

    class Files(Contract, Openable, Generic[T], registry=Registry()):
        @abstractmethod
        def read(self) -> T: ...

    class File(Files[str], Named, Sized):
        def name(self) -> str:
            return "f"

        def open(self) -> int:
            return 1

        def read(self) -> str:
            return "x"

        def __len__(self) -> int:
            return 1

    file = File()
    assert isinstance(file, Files)
    assert isinstance(file, Named)
    assert isinstance(file, Sized)
    assert issubclass(File, Openable)
    assert not isinstance(3, Files)
    with pytest.raises(ContractError, match=r"\[missing\] Closed.open"):

        class Closed(Files[str]):
            def read(self) -> str:
                return ""


def test_a_virtual_subclass_is_refused() -> None:
    with pytest.raises(TypeError, match="must be inherited from, got a virtual subclass int"):
        Reader.register(int)


def test_a_dataclass_may_set_a_contracts_attributes_on_its_instances() -> None:
    @dataclasses.dataclass
    class Plain(Mixin, Reader):
        version: str
        level: int = 2

    @dataclasses.dataclass(frozen=True, slots=True)
    class Slotted(Reader):
        version: str
        level: int = 3
        more: list[int] = dataclasses.field(default_factory=list)

        def read(self, n):  # type: ignore[no-untyped-def]
            assert super() is not None
            return __class__  # type: ignore[name-defined]

    assert (Plain("1"), Plain("1").level) == (Plain("1", 2), 2)
    slotted = Slotted("1")
    assert (slotted.version, slotted.level, Slotted.__slots__) == ("1", 3, ("version", "level", "more"))
    for make in (Plain, Slotted):
        with pytest.raises(ContractCallError, match="attribute 'version' must be str"):
            make(1)
        assert registry.get("readers", make.__name__.lower()) is make
        assert check(make) == []
    with pytest.raises(ContractCallError, match="return value must be int"):
        slotted.read(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        slotted.level = 4


def test_the_class_made_again_for_slots_keeps_its_name_and_its_super() -> None:
    @dataclasses.dataclass(slots=True)
    class Made(Reader, name="made-of-slots", tags=["x"]):
        version: str = "1"

        def read(self, n: int) -> int:
            return 2 * n if isinstance(super(), object) and __class__ is type(self) else 0  # type: ignore[name-defined]

    assert registry.get("readers", "made-of-slots") is Made
    assert Made().read(2) == 4


def test_attrs_classes_keep_contracts() -> None:
    @attrs.define
    class AttrsSlotted(Reader):
        version: str
        level: int = 2

        def read(self, n: int) -> int:
            super().__init__()
            return n

    @attrs.define(slots=False)
    class AttrsPlain(Reader):
        version: str = attrs.field()
        level: int = attrs.field(default=5)

        def read(self, n: int) -> int:
            return n

    assert (AttrsSlotted("1").level, AttrsSlotted("1", 4).level, AttrsPlain("1").level) == (2, 4, 5)
    assert AttrsSlotted("1").read(1) == 1
    for make in (AttrsSlotted, AttrsPlain):
        with pytest.raises(ContractCallError, match="attribute 'version' must be str"):
            make(1)
        with pytest.raises(ContractCallError, match="attribute 'level' must be int"):
            make("1").level = "x"


def test_explain_shows_member_by_member() -> None:
    class Nearly:
        version = 3

        def read(self) -> int:
            return 1

    text = str(explain(Nearly, Reader))
    assert text.splitlines()[:2] == ["Nearly breaks Reader", "[ no ] version: str"]
    assert "parameter-missing: a caller may pass n" in text
    assert "[ ok ] level: int = 1" in text
    html = explain(Nearly, Reader)._repr_html_()
    assert "<code>version = 3</code>" in html
    with pytest.raises(TypeError, match="direct subclasses of Contract"):
        check(Nearly, Mixin)


def test_members_cannot_be_replaced_or_deleted_on_a_class() -> None:
    class Locked(Mixin, Reader):
        version = "1"
        other = 1

        def read(self, n: int) -> int:
            return n

    with pytest.raises(ContractError, match="nothing was changed"):
        Locked.read = None  # type: ignore[method-assign, assignment]
    with pytest.raises(LockedMember, match=r"Locked\.version must stay as it was checked, Reader promises it"):
        del Locked.version
    Locked.other = 2
    del Locked.other
    assert Locked().read(1) == 1


def test_a_contract_does_not_keep_its_refused_or_forgotten_classes_alive() -> None:
    class Bad:  # a stand-in for the name
        pass

    with pytest.raises(ContractError):

        class Bad(BadMixin, Reader):  # type: ignore[no-redef]
            version = "1"

    temporary = Registry()

    class Local(Contract, registry=temporary):
        def f(self) -> int:
            return 1

    class Gone(Local): ...

    Gone().f()
    dead: weakref.ref[Any] = weakref.ref(Gone)
    temporary.remove("locals", "gone")
    del Gone
    gc.collect()
    assert dead() is None


def test_a_contract_over_a_tuple_of_variables_asks_for_the_tuple_that_a_class_names() -> None:
    class Sink(Contract, Generic[*Ts, T], registry=Registry()):
        @abstractmethod
        def put(self, *row: *Ts) -> tuple[*Ts]: ...
        @abstractmethod
        def last(self, row: tuple[*Ts]) -> T: ...

    class Rows(Sink[int, str, bool]):
        def put(self, *row: *tuple[int, str]) -> tuple[int, str]:
            return row

        def last(self, row: Any) -> bool:
            return row == (1, "a")

    assert Rows().put(1, "a") == (1, "a")
    assert Rows().last((1, "a"))
    with pytest.raises(ContractError, match=r"contract  def last\(row: tuple\[int, str\]\) -> bool"):

        class Broken(Sink[int, str, bool]):
            def put(self, *row: Any) -> tuple[int, str]:
                return 1, "a"

            def last(self, row: tuple[int, int]) -> bool:
                return True

    any_number: Any = type(Sink)("AnyNumber", (Sink,), {"put": lambda self, *row: row, "last": lambda self, row: 0})
    assert any_number().put(1, 2, 3) == (1, 2, 3)  # nothing was named, so anything fits


class Loud:
    other = 1
    level = "loud"


def test_an_inherited_value_is_named_where_it_was_written() -> None:
    class Volume(Contract, registry=Registry()):
        level: int

    with pytest.raises(ContractError) as caught:

        class Inherits(Loud, Volume): ...

    (violation,) = caught.value.violations
    assert violation.got == "level = 'loud' (str), inherited from Loud"
    assert violation.where is not None
    assert Path(__file__).read_text("utf-8").splitlines()[violation.where.line - 1] == '    level = "loud"'
    with pytest.raises(ContractError) as own:

        class Own(Volume):
            level = "own"  # type: ignore[assignment]

    place = own.value.violations[0].where  # the control: an own value is named in the class itself
    assert place is not None
    assert place.line > violation.where.line
