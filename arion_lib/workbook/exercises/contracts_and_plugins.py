"""Exercises of notebook 3: a step of the judge, a plugin, a contract, a choice of tools, five classes to repair.

Idea        An answer is a function that is handed the base class and returns what it made of it, so that every check
            works with a contract and a registry of its own.
Invariant   A contract is judged by the classes it must refuse and those it must let through.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/3_contracts_and_plugins.ipynb · tests/workbook/test_exercises.py
"""

# ruff: noqa: ARG001, ARG002 - wrong answers and classes to judge do little with their arguments

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from arion_lib.contracts.contract import Contract, check
from arion_lib.contracts.registry import Registry
from arion_lib.workbook.exercise import Answer, Case, Exercise, Wrong

# --- 3.1 same_names(promised, offered) ----------------------------------------------------------------------------


def same_names(promised: Any, offered: Any) -> bool:
    asked = list(inspect.signature(promised).parameters)
    given = list(inspect.signature(offered).parameters)
    return given[: len(asked)] == asked


def _all_equal(promised: Any, offered: Any) -> bool:
    return list(inspect.signature(promised).parameters) == list(inspect.signature(offered).parameters)


def _as_many(promised: Any, offered: Any) -> bool:
    return len(inspect.signature(offered).parameters) >= len(inspect.signature(promised).parameters)


def _in_any_order(promised: Any, offered: Any) -> bool:
    return set(inspect.signature(promised).parameters) <= set(inspect.signature(offered).parameters)


def _the_shorter(promised: Any, offered: Any) -> bool:
    pairs = zip(inspect.signature(promised).parameters, inspect.signature(offered).parameters, strict=False)
    return all(a == b for a, b in pairs)


def _other_way_round(promised: Any, offered: Any) -> bool:
    return same_names(offered, promised)


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
        _comparing("rows, scale=1", "scale, rows"),
        _comparing("rows, scale=1", "rows, factor=1"),
    ],
    wrong=[
        Wrong(_all_equal, "a class may take more: compare only as many names as were promised"),
        Wrong(_as_many, "callers write the names: compare them, not how many there are"),
        Wrong(_in_any_order, "callers pass by position too: the order counts, and a set has none"),
        Wrong(_the_shorter, "`zip` stops at the shorter one: a promised name may be missing at the end"),
        Wrong(_other_way_round, "callers know the promise alone: its names come first in what is offered"),
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


def _look_alike(_base: Any) -> Any:
    class Shouting:
        def validate(self, row: Row) -> list[str]:
            return [field for field, value in row.items() if isinstance(value, str) and value.isupper()]

    return Shouting


def _unnamed(base: Any) -> Any:
    class ShoutingValidator(base):  # type: ignore[misc]
        def validate(self, row: Row) -> list[str]:
            return [field for field, value in row.items() if isinstance(value, str) and value.isupper()]

    return ShoutingValidator


def _yields(base: Any) -> Any:
    class Shouting(base, name="shouting", version="1.0"):  # type: ignore[misc, call-arg]
        def validate(self, row):  # type: ignore[no-untyped-def]
            for field, value in row.items():
                if isinstance(value, str) and value.isupper():
                    yield field

    return Shouting


def _says_yes_or_no(base: Any) -> Any:
    class Shouting(base, name="shouting", version="1.0"):  # type: ignore[misc, call-arg]
        def validate(self, row):  # type: ignore[no-untyped-def]
            return not any(isinstance(value, str) and value.isupper() for value in row.values())

    return Shouting


def _only_texts(base: Any) -> Any:
    class Shouting(base, name="shouting", version="1.0"):  # type: ignore[misc, call-arg]
        def validate(self, row: Row) -> list[str]:
            return [field for field, value in row.items() if value.isupper()]

    return Shouting


def _equal_to_its_upper(base: Any) -> Any:
    class Shouting(base, name="shouting", version="1.0"):  # type: ignore[misc, call-arg]
        def validate(self, row: Row) -> list[str]:
            return [field for field, value in row.items() if isinstance(value, str) and value == value.upper()]

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
        Wrong(_look_alike, "a class that looks like a plugin is none: derive it from the base you are handed"),
        Wrong(_unnamed, 'the class statement takes words: class Shouting(Validator, name="shouting", version="1.0")'),
        Wrong(_yields, "with `yield` the method gives a generator; the contract promises a list"),
        Wrong(_says_yes_or_no, "True or False is no list: return the fields that shout"),
        Wrong(_equal_to_its_upper, '"12" and "" equal their upper case and hold no letter: str.isupper knows'),
        Wrong(_only_texts, "a row holds numbers and None as well, and they have no isupper: ask for str first"),
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


def _with_a_value(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str = ""
        mode: Literal["r", "w"] = "r"

        @abstractmethod
        def load(self, key: str, *, retries: int = 0) -> bytes: ...

    return Storage


def _any_text(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str
        mode: str = "r"

        @abstractmethod
        def load(self, key: str, *, retries: int = 0) -> bytes: ...

    return Storage


def _mode_required(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str
        mode: Literal["r", "w"]

        @abstractmethod
        def load(self, key: str, *, retries: int = 0) -> bytes: ...

    return Storage


def _not_abstract(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str
        mode: Literal["r", "w"] = "r"

        def load(self, key: str, *, retries: int = 0) -> bytes:
            raise NotImplementedError("a storage must say how it loads")

    return Storage


def _without_annotations(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str
        mode: Literal["r", "w"] = "r"

        @abstractmethod
        def load(self, key, *, retries=0): ...  # type: ignore[no-untyped-def]

    return Storage


def _by_position_too(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str
        mode: Literal["r", "w"] = "r"

        @abstractmethod
        def load(self, key: str, retries: int = 0) -> bytes: ...

    return Storage


def _abstract_base_class(_base: Any) -> Any:
    class Storage(ABC):
        root: str
        mode: Literal["r", "w"] = "r"

        @abstractmethod
        def load(self, key: str, *, retries: int = 0) -> bytes: ...

    return Storage


def _three_retries(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str
        mode: Literal["r", "w"] = "r"

        @abstractmethod
        def load(self, key: str, *, retries: int = 3) -> bytes: ...

    return Storage


def _key_by_name_only(base: Any) -> Any:
    class Storage(base):  # type: ignore[misc]
        root: str
        mode: Literal["r", "w"] = "r"

        @abstractmethod
        def load(self, *, key: str, retries: int = 0) -> bytes: ...

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
        Wrong(_with_a_value, "a value makes an attribute optional: an annotation alone asks every class for one"),
        Wrong(_any_text, 'str lets every word through: Literal["r", "w"] names the two that count'),
        Wrong(_mode_required, "mode has a default in the text: a class need not set it"),
        Wrong(_not_abstract, "a method with a body is there to be inherited: @abstractmethod asks for one"),
        Wrong(_without_annotations, "a missing annotation fits everything: say what load takes and returns"),
        Wrong(_by_position_too, "retries is named by callers only: without the * a contract promises it by position"),
        Wrong(_three_retries, "the text says that there are no retries by default"),
        Wrong(_key_by_name_only, "the text lets callers pass the key by position: it stands before the lone *"),
        Wrong(_abstract_base_class, "abc looks at names, at the first instance: derive from the base you are handed"),
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


def _choosing(**instead: str) -> Answer:
    return lambda: {**tools(), **instead}


def _contracts_for_all() -> dict[str, str]:
    return dict.fromkeys(SITUATIONS, "contracts")


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
        Wrong(_contracts_for_all, "where a simpler tool is enough, a contract is one mechanism too many"),
        Wrong(_choosing(b="abc"), "abc asks the classes to derive from your base: you must not change them"),
        Wrong(_choosing(b="contracts"), "a contract is inherited, and you must not change these classes"),
        Wrong(_choosing(c="pluggy"), "pluggy looks at hooks of plugins, and at their argument names only"),
        Wrong(_choosing(c="Protocol"), "a Protocol describes objects, and says nothing when a function is called"),
        Wrong(_choosing(d="contracts"), "a registry gives you one plugin by its name: calling all of them is pluggy's"),
        Wrong(_choosing(e="abc"), "abc looks at names, at the first instance: a wrong signature passes"),
        Wrong(_choosing(e="beartype"), "beartype looks at calls: the night has begun by then"),
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


def _changed(**methods: Callable[..., Any]) -> Callable[[Any], list[Any]]:
    """Return an answer like the solution, but with some of the five `export` methods replaced."""

    def answer(base: Any) -> list[Any]:
        made = []
        for cls in repaired(base):
            body = {"export": methods[cls.__name__]} if cls.__name__ in methods else {}
            made.append(type(cls)(cls.__name__, (cls,), body, replace=True))
        return made

    return answer


def _export_any(self: Any, *args: Any, **kwargs: Any) -> Any:
    return str(kwargs.get("rows", args[0] if args else [])[: kwargs.get("count", 10)])


def _export_number(self: Any, rows, limit=10):  # type: ignore[no-untyped-def]
    return len(rows[:limit])


def _export_one_sep(self: Any, rows: list[Row], limit: int = 10, sep: str = "") -> str:
    return sep.join(map(str, rows[:limit]))


async def _export_later(self: Any, rows: list[Row], limit: int = 10) -> str:
    return repr(rows[:limit])


def _export_all(self: Any, rows: list[Row], limit: int = 10) -> str:
    return "\n".join(map(str, rows))


def _export_stars(self: Any, *args: Any, **kwargs: Any) -> str:
    rows, limit = [*args, kwargs.get("rows")][0], [*args, 10, 10][1]
    return "\n".join(map(str, rows[: kwargs.get("limit", limit)]))


def _all_unfinished(base: Any) -> list[Any]:
    return [type(base)(cls.__name__, (base,), {"export": cls.export}, abstract=True) for cls in repaired(base)]


def _outside(base: Any) -> list[Any]:
    del base
    return repaired(object)


def _only_the_first(base: Any) -> list[Any]:
    return repaired(base)[:4]


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
        Wrong(_changed(First=_export_any), "stars take every call, but who passes limit now? Name it as promised"),
        Wrong(_changed(Counted=_export_number), "without annotations the class is accepted; the result is checked"),
        Wrong(_changed(Joined=_export_one_sep), "sep needs a default, and the one it stood for is a comma"),
        Wrong(_changed(Fetched=_export_later), "a caller of a plain method does not await: drop the async"),
        Wrong(_changed(Lines=_export_all), "the limit is part of the promise: keep using it"),
        Wrong(_changed(Lines=_export_stars), "stars silence the check: a reader sees no parameters"),
        Wrong(_all_unfinished, "abstract=True silences the check, and the classes cannot be used any more"),
        Wrong(_outside, "classes that derive from nothing are checked by nobody: they must keep Exporter"),
        Wrong(_only_the_first, "five classes are asked for, in their order"),
    ],
)

EXERCISES = (SAME_NAMES, SHOUTING, STORAGE, TOOLS, REPAIRED)
