"""Every kind of broken promise: the whole message, and a twin of the class that is accepted."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from arion_lib.contracts.judge import judge
from arion_lib.contracts.members import Flow, Kind
from arion_lib.contracts.messages.written import VALUE_LIMIT, shown
from arion_lib.contracts.violations import TABLE, Code, ContractError
from tests.contracts.shop import define, refused

# kind: the source (its second class is broken), what to replace in that class to mend it, and the message
CASES = {
    "missing": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self, size: int = 1) -> str: ...
        class Bad(Reader):
            pass
        """,
        "pass",
        "def read(self, size: int = 1) -> str: return ''",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [missing] Bad.read
            contract  def read(size: int = 1) -> str   (shop.py:3)
            class     nothing   (shop.py:5)
            why       a caller who calls .read finds nothing there
            fix       write def read(size: int = 1) -> str, or say `abstract=True` if the class is unfinished on purpose
        """,
    ),
    "missing (attribute)": (
        """
        class Reader(Contract, registry=registry):
            encoding: str
        class Bad(Reader):
            pass
        """,
        "pass",
        "encoding = 'utf-8'",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [missing] Bad.encoding
            contract  encoding: str   (shop.py:3)
            class     nothing   (shop.py:4)
            why       a caller who reads .encoding gets an AttributeError
            fix       write `encoding = ...` in the class, or `encoding: str` if instances set it
        """,
    ),
    "missing (property)": (
        """
        class Reader(Contract, registry=registry):
            @property
            @abstractmethod
            def name(self) -> str: ...
        class Bad(Reader):
            pass
        """,
        "pass",
        "name = 'csv'",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [missing] Bad.name
            contract  @property name: str   (shop.py:3)
            class     nothing   (shop.py:6)
            why       a caller who reads .name finds nothing there
            fix       write @property name: str, or say `abstract=True` if the class is unfinished on purpose
        """,
    ),
    "member-kind": (
        """
        class Reader(Contract, registry=registry):
            @classmethod
            @abstractmethod
            def open(cls, path: str) -> object: ...
        class Bad(Reader):
            def open(self, path: str) -> object: ...
        """,
        "    def open(self",
        "    @classmethod\n    def open(cls",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [member-kind] Bad.open
            contract  @classmethod def open(path: str) -> object   (shop.py:3)
            class     a method: def open(path: str) -> object   (shop.py:7)
            why       a caller may call it on the class, and a subclass receives itself: Bad.open(...)
            fix       make open a class method
        """,
    ),
    "final": (
        """
        class Reader(Contract, registry=registry):
            @final
            def close(self) -> None: ...
        class Bad(Reader):
            def close(self) -> None: ...
        """,
        "def close(self) -> None: ...",
        "def close_quietly(self) -> None: ...",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [final] Bad.close
            contract  def close() -> None   (shop.py:3)
            class     def close() -> None   (shop.py:6)
            why       Reader relies on its own close
            fix       remove close from the class
        """,
    ),
    "sync-async": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            async def read(self) -> str: ...
        class Bad(Reader):
            def read(self) -> str: ...
        """,
        "    def read",
        "    async def read",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [sync-async] Bad.read
            contract  async def read() -> str   (shop.py:3)
            class     a plain function: def read() -> str   (shop.py:6)
            why       a caller awaits read(...), and gets what a plain function gives
            fix       write `async def` (or annotate the awaitable that it returns)
        """,
    ),
    "parameter-missing": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self, size: int, start: int = 0) -> str: ...
        class Bad(Reader):
            def read(self, size: int) -> str: ...
        """,
        "size: int)",
        "size: int, start: int = 0)",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [parameter-missing] Bad.read
            contract  def read(size: int, start: int = 0) -> str   (shop.py:3)
            class     def read(size: int) -> str   (shop.py:6)
            why       a caller may pass start, and the class does not take it: TypeError
            fix       add the parameter start = 0
        """,
    ),
    "parameter-name": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self, size: int) -> str: ...
        class Bad(Reader):
            def read(self, count: int) -> str: ...
        """,
        "count",
        "size",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [parameter-name] Bad.read
            contract  def read(size: int) -> str   (shop.py:3)
            class     def read(count: int) -> str   (shop.py:6)
            why       a caller may write read(size=...), and the class knows it only as count: TypeError
            fix       rename count to size
        """,
    ),
    "parameter-order": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def copy(self, source, target): ...
        class Bad(Reader):
            def copy(self, target, source): ...
        """,
        "target, source",
        "source, target",
        """
        class Bad breaks Reader in 2 places; it was not registered
        1. [parameter-order] Bad.copy
            contract  def copy(source, target)   (shop.py:3)
            class     def copy(target, source)   (shop.py:6)
            why       a caller who passes source by position reaches another parameter, silently
            fix       put source where the contract has it
        2. [parameter-order] Bad.copy
            contract  def copy(source, target)   (shop.py:3)
            class     def copy(target, source)   (shop.py:6)
            why       a caller who passes target by position reaches another parameter, silently
            fix       put target where the contract has it
        """,
    ),
    "parameter-kind": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self, size: int) -> str: ...
        class Bad(Reader):
            def read(self, *, size: int) -> str: ...
        """,
        "*, ",
        "",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [parameter-kind] Bad.read
            contract  def read(size: int) -> str   (shop.py:3)
            class     def read(*, size: int) -> str   (shop.py:6)
            why       a caller may pass size in a way (by name or by position) that the class does not take
            fix       let size be passed as the contract says: mind the `/` and the `*`
        """,
    ),
    "parameter-default": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self, size: int = 8) -> str: ...
        class Bad(Reader):
            def read(self, size: int) -> str: ...
        """,
        "size: int)",
        "size: int = 9)",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [parameter-default] Bad.read
            contract  def read(size: int = 8) -> str   (shop.py:3)
            class     def read(size: int) -> str   (shop.py:6)
            why       a caller may leave size out, and the class requires it: TypeError
            fix       give size a default = 8
        """,
    ),
    "parameter-extra": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self) -> str: ...
        class Bad(Reader):
            def read(self, size: int) -> str: ...
        """,
        "size: int)",
        "size: int = 8)",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [parameter-extra] Bad.read
            contract  def read() -> str   (shop.py:3)
            class     def read(size: int) -> str   (shop.py:6)
            why       no caller knows of size, and the class requires it: TypeError
            fix       give size a default, or remove it
        """,
    ),
    "varargs": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def join(self, *parts: str) -> str: ...
        class Bad(Reader):
            def join(self, first: str = "", second: str = "") -> str: ...
        """,
        'second: str = ""',
        "*more: str",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [varargs] Bad.join
            contract  def join(*parts: str) -> str   (shop.py:3)
            class     def join(first: str = '', second: str = '') -> str   (shop.py:6)
            why       a caller may pass any number of arguments, and the class takes only so many: TypeError
            fix       add *parts
        """,
    ),
    "varkeywords": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def open(self, **options: int) -> None: ...
        class Bad(Reader):
            def open(self) -> None: ...
        """,
        "open(self)",
        "open(self, **rest: int)",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [varkeywords] Bad.open
            contract  def open(**options: int) -> None   (shop.py:3)
            class     def open() -> None   (shop.py:6)
            why       a caller may pass any named argument, and the class takes only its own: TypeError
            fix       add **options
        """,
    ),
    "parameter-type": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self, size: int | None) -> str: ...
        class Bad(Reader):
            def read(self, size: int) -> str: ...
        """,
        "size: int)",
        "size: float | None)",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [parameter-type] Bad.read
            contract  def read(size: int | None) -> str   (shop.py:3)
            class     def read(size: int) -> str   (shop.py:6)
            why       a caller may pass size as int | None, and the class takes int only
            fix       annotate size with int | None or wider
        """,
    ),
    "return-type": (
        """
        class Reader(Contract, registry=registry):
            @abstractmethod
            def read(self) -> str: ...
        class Bad(Reader):
            def read(self) -> str | None: ...
        """,
        " | None",
        "",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [return-type] Bad.read
            contract  def read() -> str   (shop.py:3)
            class     def read() -> str | None   (shop.py:6)
            why       a caller who counts on str may get str | None
            fix       return str or a subtype of it
        """,
    ),
    "property-setter": (
        """
        class Reader(Contract, registry=registry):
            @property
            def name(self) -> str: return ""
            @name.setter
            def name(self, value: str) -> None: ...
        class Bad(Reader):
            @property
            def name(self) -> str: return "x"
        """,
        'return "x"',
        'return "x"\n    @name.setter\n    def name(self, value: str) -> None: ...',
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [property-setter] Bad.name
            contract  @property name: str   (shop.py:3)
            class     @property name: str, read-only   (shop.py:8)
            why       a caller who assigns to .name gets an AttributeError
            fix       add a setter: @name.setter
        """,
    ),
    "property-deleter": (
        """
        class Reader(Contract, registry=registry):
            @property
            def name(self) -> str: return ""
            @name.deleter
            def name(self) -> None: ...
        class Bad(Reader):
            @property
            def name(self) -> str: return "x"
        """,
        'return "x"',
        'return "x"\n    @name.deleter\n    def name(self) -> None: ...',
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [property-deleter] Bad.name
            contract  @property name: str   (shop.py:3)
            class     @property name: str, not to be deleted   (shop.py:8)
            why       a caller who deletes .name gets an AttributeError
            fix       add a deleter: @name.deleter
        """,
    ),
    "attribute-type": (
        """
        class Reader(Contract, registry=registry):
            encoding: str
        class Bad(Reader):
            encoding = b"utf-8"
        """,
        'b"',
        ' "',
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [attribute-type] Bad.encoding
            contract  encoding: str   (shop.py:3)
            class     encoding = b'utf-8' (bytes)   (shop.py:5)
            why       a caller relies on .encoding being str
            fix       give encoding a value that is str
        """,
    ),
    "attribute-value": (
        """
        class Reader(Contract, registry=registry):
            mode: Literal["text", "binary"] = "text"
        class Bad(Reader):
            mode = "txt"
        """,
        "txt",
        "binary",
        """
        class Bad breaks Reader in 1 place; it was not registered
        1. [attribute-value] Bad.mode
            contract  mode: Literal['text', 'binary'] = 'text'   (shop.py:3)
            class     mode = 'txt' (str)   (shop.py:5)
            why       a caller relies on .mode being Literal['text', 'binary']
            fix       give mode a value that is Literal['text', 'binary']
        """,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_promise_is_refused_with_its_whole_diagnosis(case: str) -> None:
    source, _, _, message = CASES[case]
    error = refused(source)
    assert str(error) == textwrap.dedent(message).strip()
    assert error.violations[0].code.value == case.partition(" ")[0]


@pytest.mark.parametrize("case", CASES)
def test_the_valid_twin_of_each_broken_class_is_accepted_and_registered(case: str) -> None:
    source, broken, mended, _ = CASES[case]
    contract, mark, cls = textwrap.dedent(source).rpartition("class Bad")
    assert broken in cls
    space = define(contract + mark + cls.replace(broken, mended, 1))
    assert [plugin.cls for plugin in space["registry"].plugins()] == [space["Bad"]]


def test_there_is_a_case_for_every_code() -> None:
    assert {refused(source).violations[0].code for source, *_ in CASES.values()} == set(Code)


TWO_MISTAKES = """
class Reader(Contract, registry=registry):
    encoding: str
    @abstractmethod
    def read(self, size: int) -> str: ...
class Bad(Reader):
    def read(self, size: int, start) -> bytes: ...
"""


def test_all_violations_are_in_one_error_for_people_and_for_programs() -> None:
    error = refused(TWO_MISTAKES)
    assert [v.code for v in error.violations] == [Code.MISSING, Code.PARAMETER_EXTRA, Code.RETURN_TYPE]
    assert [str(v.where) for v in error.violations] == ["shop.py:6", "shop.py:7", "shop.py:7"]
    assert all(str(v) in str(error) for v in error.violations)
    assert {(v.cls, v.contract) for v in error.violations} == {("Bad", "Reader")}


def test_a_refused_class_is_not_registered_and_leaves_no_subclass_behind() -> None:
    import gc

    space = define(TWO_MISTAKES.partition("class Bad")[0])
    with pytest.raises(ContractError):
        exec("class Bad(Reader): ...", space)  # noqa: S102 - the text is above
    gc.collect()
    assert space["registry"].plugins() == []
    assert space["Reader"].__subclasses__() == []


def test_errors_survive_pickling() -> None:
    import pickle

    error = refused(TWO_MISTAKES)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.violations) == (str(error), error.violations)


def test_a_value_whose_repr_fails_is_named_not_raised() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown(Broken()) == "<Broken whose repr raises RuntimeError>"
    assert len(shown("x" * 10_000)) <= VALUE_LIMIT


def test_reason_and_fix_of_every_code_stand_in_one_table_and_every_row_is_used() -> None:
    assert {code for code, _ in TABLE} == set(Code)
    told_apart = {kind.value for kind in Kind} | {flow.value for flow in Flow}
    rules = Path(judge.__code__.co_filename).read_text("utf-8")
    unused = [variant for _, variant in TABLE if variant and variant not in told_apart and f'"{variant}"' not in rules]
    assert unused == []
    assert all("caller" in why or "relies" in why for why, _ in TABLE.values())
    code = rules.partition('"""\n\nfrom ')[2]
    assert code
    assert "a caller" not in code  # no reason is written where the rules are
