"""Exercises of notebook 3: a step of the judge, a plugin, a contract, a choice of tools, five classes to repair.

Idea        An answer is a function that is handed the base class and returns what it made of it, so that every check
            works with a contract and a registry of its own.
Invariant   A contract is judged by the classes it must refuse and those it must let through.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/3_contracts_and_plugins.ipynb · tests/workbook/test_exercises.py
"""

# ruff: noqa: ARG002 - classes to judge do little with their arguments

import inspect
from abc import ABC, abstractmethod  # noqa: F401 - a wrong answer uses ABC
from typing import Any, Literal, TypeAlias

from arion_lib.contracts.contract import Contract, check
from arion_lib.contracts.registry import Registry
from arion_lib.workbook.checking.exercise import Answer, Case, Exercise, Wrong

# --- 3.1 same_names(promised, offered) ----------------------------------------------------------------------------


def same_names(promised: Any, offered: Any) -> bool:
    asked = list(inspect.signature(promised).parameters)
    given = list(inspect.signature(offered).parameters)
    return given[: len(asked)] == asked


def _function(parameters: str) -> Any:
    space: dict[str, Any] = {}
    exec(f"def f({parameters}): ...", space)  # noqa: S102 - the text is ours
    return space["f"]


def _comparing(promised: str, offered: str) -> Case:
    show = f"same_names(f({promised}), f({offered}))"
    return Case(show, lambda answer: answer(_function(promised), _function(offered)))


SAME_NAMES = Exercise(
    id="3.1",
    name="same_names",
    stars=1,
    minutes=8,
    solution=same_names,
    cases=[
        _comparing("rows", "rows"),
        _comparing("rows", "lines"),
        _comparing("rows", "rows, log=None"),
        _comparing("rows, scale=1", "rows"),
        _comparing("rows, scale=1", "rows, scale=2"),
        _comparing("row", "rows"),
        _comparing("rows, *, log", "rows, *, level"),
        _comparing("rows, scale=1", "scale, rows"),
        _comparing("rows, scale=1", "rows, factor=1"),
    ],
    wrong=[
        Wrong("a class may take more: compare only as many names as were promised", {"given[: len(asked)]": "given"}),
        Wrong(
            "callers write the names: compare them, not how many there are",
            {"given[: len(asked)] == asked": "len(given) >= len(asked)"},
        ),
        Wrong(
            "callers pass by position too: the order counts, and a set has none",
            {"given[: len(asked)] == asked": "set(asked) <= set(given)"},
        ),
        Wrong(
            "`zip` stops at the shorter one: a promised name may be missing at the end",
            {"given[: len(asked)] == asked": "all(a == b for a, b in zip(asked, given, strict=False))"},
        ),
        Wrong(
            "callers know the promise alone: its names come first in what is offered",
            {"given[: len(asked)] == asked": "asked[: len(given)] == given"},
        ),
        Wrong(
            "only the names are asked for: another default breaks no promise",
            {
                "given[: len(asked)] == asked": "str(inspect.signature(offered)).startswith("
                "str(inspect.signature(promised))[:-1])"
            },
        ),
        Wrong(
            "compare names, not texts: `row` begins as `rows` does, and is another name",
            {"given[: len(asked)] == asked": '",".join(given).startswith(",".join(asked))'},
        ),
        Wrong(
            "parameters behind a lone * have names, too",
            {
                "list(inspect.signature(promised).parameters)": "promised.__code__.co_varnames["
                ": promised.__code__.co_argcount]",
                "list(inspect.signature(offered).parameters)": "offered.__code__.co_varnames["
                ": offered.__code__.co_argcount]",
            },
        ),
    ],
)

# --- 3.2 shouting(Validator) --------------------------------------------------------------------------------------

Row: TypeAlias = dict[str, Any]


def _validator() -> tuple[Registry, Any]:
    shelf = Registry()

    class Validator(Contract, kind="validators", registry=shelf):
        @abstractmethod
        def validate(self, row: Row) -> list[str]: ...

    return shelf, Validator


def shouting(base: Any) -> Any:
    class Shouting(base, name="shouting", version="1.0"):  # type: ignore[misc, call-arg]
        def validate(self, row: Row) -> list[str]:
            return [field for field, value in row.items() if isinstance(value, str) and value.isupper()]

    return Shouting


def _registered(answer: Answer) -> object:
    shelf, base = _validator()
    answer(base)
    return [(plugin.name, plugin.version) for plugin in shelf.plugins()]


def _validating(row: Row) -> Case:
    return Case(f"shouting(Validator)().validate({row})", lambda answer: answer(_validator()[1])().validate(dict(row)))


SHOUTING = Exercise(
    id="3.2",
    name="shouting",
    stars=1,
    minutes=10,
    solution=shouting,
    cases=[
        Case("shouting(Validator), then what the registry holds", _registered),
        _validating({}),
        _validating({"a": "HEY"}),
        _validating({"a": "hey", "b": "HO"}),
        _validating({"a": 3, "b": "HO", "c": None}),
        _validating({"a": "12", "b": "", "c": "B2"}),
    ],
    wrong=[
        Wrong(
            "a class that looks like a plugin is none: derive it from the base you are handed",
            {'(base, name="shouting", version="1.0")': ""},
        ),
        Wrong(
            'the class statement takes words: class Shouting(Validator, name="shouting", version="1.0")',
            {
                ', name="shouting", version="1.0"': "",
                "class Shouting": "class ShoutingValidator",
                "return Shouting": "return ShoutingValidator",
            },
        ),
        Wrong(
            "with `yield` the method gives a generator; the contract promises a list",
            {
                "row: Row) -> list[str]": "row)",
                "return [field for": "yield from (field for",
                "isupper()]": "isupper())",
            },
        ),
        Wrong(
            "True or False is no list: return the fields that shout",
            {
                "row: Row) -> list[str]": "row)",
                "return [field for": "return not any(True for",
                "isupper()]": "isupper())",
            },
        ),
        Wrong(
            '"12" and "" equal their upper case and hold no letter: str.isupper knows',
            {"value.isupper()": "value == value.upper()"},
        ),
        Wrong(
            "a row holds numbers and None as well, and they have no isupper: ask for str first",
            {"isinstance(value, str) and ": ""},
        ),
        Wrong("the fields are asked for, not their texts", {"[field for": "[value for"}),
        Wrong("return the class itself, not an instance of it", {"return Shouting": "return Shouting()"}),
    ],
)

# --- 3.3 storage(Contract) ----------------------------------------------------------------------------------------


def storage(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str
        mode: Literal["r", "w"] = "r"

        @abstractmethod
        def load(self, key: str, *, retries: int = 0) -> bytes: ...

    return Storage


class Good:
    root = "/"

    def load(self, key: str, *, retries: int = 0) -> bytes:
        return b""


class Wider(Good):
    mode = "w"

    def load(self, key: str | None, *, retries: float = 0, log: bool = False) -> bytes:
        return b""


class NoLoad:
    root = "/"


class NoRoot:
    load = Good.load


class RootNumber(Good):
    root = 7  # type: ignore[assignment]


class OddMode(Good):
    mode = "rw"


class Text(Good):
    def load(self, key: str, *, retries: int = 0) -> str:  # type: ignore[override]
        return ""


class NoRetries(Good):
    def load(self, key: str) -> bytes:  # type: ignore[override]
        return b""


def _judging(cls: type) -> Case:
    def probe(answer: Answer) -> object:
        return sorted({str(violation.code) for violation in check(cls, answer(Contract))})

    return Case(f"check({cls.__name__}, storage(Contract))   -> the codes", probe)


def _load_of(answer: Answer) -> object:
    parameters = list(inspect.signature(answer(Contract).load).parameters.values())[1:]
    return [(p.name, p.kind.description, p.default is not p.empty and p.default) for p in parameters]


STORAGE = Exercise(
    id="3.3",
    name="storage",
    stars=2,
    minutes=15,
    solution=storage,
    cases=[_judging(cls) for cls in (Good, Wider, NoLoad, NoRoot, RootNumber, OddMode, Text, NoRetries)]
    + [Case("inspect.signature(storage(Contract).load)   -> names, kinds, defaults", _load_of)],
    wrong=[
        Wrong(
            "a value makes an attribute optional: an annotation alone asks every class for one",
            {"root: str": 'root: str = ""'},
        ),
        Wrong('str lets every word through: Literal["r", "w"] names the two that count', {'Literal["r", "w"]': "str"}),
        Wrong("mode has a default in the text: a class need not set it", {' = "r"': ""}),
        Wrong(
            "a method with a body is there to be inherited: @abstractmethod asks for one",
            {"        @abstractmethod\n": "", "bytes: ...": 'bytes:\n            raise NotImplementedError("load")'},
        ),
        Wrong(
            "a missing annotation fits everything: say what load takes and returns",
            {"key: str": "key", "retries: int = 0": "retries=0", " -> bytes": ""},
        ),
        Wrong("retries is named by callers only: without the * a contract promises it by position", {"*, ": ""}),
        Wrong("the text says that there are no retries by default", {"retries: int = 0": "retries: int = 3"}),
        Wrong("callers may leave retries out: give it the default of the text", {"retries: int = 0": "retries: int"}),
        Wrong("the first parameter of a method is self", {"load(self, key": "load(key"}),
        Wrong("the key has no default in the text", {"key: str": 'key: str = ""'}),
        Wrong(
            "the text lets callers pass the key by position: it stands before the lone *",
            {"key: str, *, ": "*, key: str, "},
        ),
        Wrong(
            "abc looks at names, at the first instance: derive from the base you are handed",
            {"Storage(base)": "Storage(ABC)"},
        ),
    ],
)

# --- 3.4 tools() ---------------------------------------------------------------------------------------------------

SITUATIONS = {
    "a": "one package, a base class of its own; that a method is there is all that matters",
    "b": "readers from other packages, which you must not change; a type checker runs",
    "c": "plain functions without any class, with annotations of every kind",
    "d": "many installed plugins, and one call that all of them answer",
    "e": "plugins of other teams, found by name; a wrong signature must be refused before the night",
}


def tools() -> dict[str, str]:
    return {"a": "abc", "b": "Protocol", "c": "beartype", "d": "pluggy", "e": "contracts"}


def _chosen(letter: str) -> Case:
    return Case(f"tools()[{letter!r}]   ({SITUATIONS[letter]})", lambda answer: answer()[letter])


TOOLS = Exercise(
    id="3.4",
    name="tools",
    stars=1,
    minutes=4,
    solution=tools,
    cases=[_chosen(letter) for letter in SITUATIONS],
    wrong=[
        Wrong(
            "where a simpler tool is enough, a contract is one mechanism too many",
            answer=lambda: dict.fromkeys(SITUATIONS, "contracts"),
        ),
        Wrong("the base class is yours: the simplest that asks for a method is abc", {'"a": "abc"': '"a": "Protocol"'}),
        Wrong("abc asks the classes to derive from your base: you must not change them", {'"Protocol"': '"abc"'}),
        Wrong("a contract is inherited, and you must not change these classes", {'"Protocol"': '"contracts"'}),
        Wrong("pluggy looks at hooks of plugins, and at their argument names only", {'"beartype"': '"pluggy"'}),
        Wrong(
            "a Protocol describes objects, and says nothing when a function is called",
            {'"beartype"': '"Protocol"'},
        ),
        Wrong(
            "a registry gives you one plugin by its name: calling all of them is pluggy's",
            {'"pluggy"': '"contracts"'},
        ),
        Wrong("abc looks at names, at the first instance: a wrong signature passes", {'"contracts"': '"abc"'}),
        Wrong("beartype looks at calls: the night has begun by then", {'"contracts"': '"beartype"'}),
        Wrong("pluggy looks at argument names alone: another type passes", {'"contracts"': '"pluggy"'}),
        Wrong(
            "a type checker sees the code that it is run on: other teams' plugins come later",
            {'"contracts"': '"Protocol"'},
        ),
    ],
)

# --- 3.5 repaired(Exporter) ---------------------------------------------------------------------------------------


def _exporter() -> Any:
    class Exporter(Contract, kind="exporters", registry=Registry()):
        suffix: str

        @abstractmethod
        def export(self, rows: list[Row], limit: int = 10) -> str: ...

    return Exporter


def repaired(base: Any) -> list[Any]:
    class First(base):  # type: ignore[misc]
        suffix = ".txt"

        def export(self, rows: list[Row], limit: int = 10) -> str:
            return str(rows[:limit])

    class Counted(First):
        def export(self, rows: list[Row], limit: int = 10) -> str:
            return str(len(rows[:limit]))

    class Joined(First):
        def export(self, rows: list[Row], limit: int = 10, sep: str = ",") -> str:
            return sep.join(map(str, rows[:limit]))

    class Fetched(First):
        def export(self, rows: list[Row], limit: int = 10) -> str:
            return repr(rows[:limit])

    class Lines(First):
        def export(self, rows: list[Row], limit: int = 10) -> str:
            return "\n".join(map(str, rows[:limit]))

    return [First, Counted, Joined, Fetched, Lines]


_EXPORT = """
        def export(self, rows: list[Row], limit: int = 10) -> str:"""


def _all_unfinished(base: Any) -> list[Any]:
    return [type(base)(cls.__name__, (base,), {"export": cls.export}, abstract=True) for cls in repaired(base)]


ROWS: list[Row] = [{"a": 1}, {"a": 2}, {"a": 3}]


def _how_many(answer: Answer) -> object:
    base = _exporter()
    return [(issubclass(cls, base), cls.suffix) for cls in answer(base)]


def _parameters(answer: Answer) -> object:
    return [list(inspect.signature(cls.export).parameters)[1:3] for cls in answer(_exporter())]


def _exporting(place: int, name: str, **words: Any) -> Case:
    shown = ", ".join(["rows", *(f"{word}={value!r}" for word, value in words.items())])

    def probe(answer: Answer) -> object:
        return answer(_exporter())[place]().export([dict(row) for row in ROWS], **words)

    return Case(f"{name}().export({shown}), rows = {ROWS}", probe)


REPAIRED = Exercise(
    id="3.5",
    name="repaired",
    stars=3,
    minutes=20,
    solution=repaired,
    cases=[
        Case("repaired(Exporter)   -> which derive from it, and their suffixes", _how_many),
        _exporting(0, "First"),
        _exporting(0, "First", limit=2),
        _exporting(1, "Counted", limit=2),
        _exporting(2, "Joined", limit=2),
        _exporting(2, "Joined", limit=2, sep="; "),
        _exporting(3, "Fetched", limit=1),
        _exporting(4, "Lines", limit=2),
        Case("the first two parameters of each export", _parameters),
    ],
    wrong=[
        Wrong(
            "stars take every call, but who passes limit now? Name it as promised",
            {
                '".txt"\n'
                + _EXPORT: '".txt"\n\n        def export(self, *args: Any, count: int = 10, **kwargs: Any) -> str:\n'
                '            rows, limit = kwargs.get("rows", args[0] if args else []), count',
            },
        ),
        Wrong(
            "without annotations the class is accepted; the result is checked",
            {
                f"Counted(First):{_EXPORT}": "Counted(First):\n        def export(self, rows, limit=10):",
                "str(len(rows[:limit]))": "len(rows[:limit])",
            },
        ),
        Wrong("sep needs a default, and the one it stood for is a comma", {'sep: str = ","': 'sep: str = ""'}),
        Wrong(
            "a caller of a plain method does not await: drop the async",
            {f"Fetched(First):{_EXPORT}": f"Fetched(First):{_EXPORT.replace('def', 'async def')}"},
        ),
        Wrong(
            "the limit is part of the promise: keep using it",
            {'"\\n".join(map(str, rows[:limit]))': '"\\n".join(map(str, rows))'},
        ),
        Wrong(
            "stars silence the check: a reader sees no parameters",
            {
                f"Lines(First):{_EXPORT}": "Lines(First):\n"
                "        def export(self, *args: Any, **kwargs: Any) -> str:\n"
                '            rows, limit = [*args, kwargs.get("rows")][0], kwargs.get("limit", [*args, 10, 10][1])',
            },
        ),
        Wrong("abstract=True silences the check, and the classes cannot be used any more", answer=_all_unfinished),
        Wrong(
            "classes that derive from nothing are checked by nobody: they must keep Exporter", {"First(base)": "First"}
        ),
        Wrong("five classes are asked for, in their order", {", Lines]": "]"}),
    ],
)

EXERCISES = (SAME_NAMES, SHOUTING, STORAGE, TOOLS, REPAIRED)
