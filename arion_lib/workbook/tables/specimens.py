"""Classes that break their promise, each in one way, and at which moment each tool notices.

Idea        Write a broken class once, as text; build it for every tool, then do with it what a caller does. The first
            error tells when the tool notices.
Invariant   Every tool gets the same text and the same calls; only the base class or the decorator differs.
When wrong  A specimen that no tool lets through unbroken is no specimen: the control must pass everywhere.
See         notebooks/3_contracts_and_plugins.ipynb · tests/workbook/test_specimens.py
"""

import inspect
import linecache
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import new_class
from typing import Any, Literal, Protocol, runtime_checkable

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry

Row = dict[str, int]


class Exporter(Contract, kind="exporters", registry=Registry()):
    """What every specimen is asked to keep."""

    suffix: str
    mode: Literal["text", "binary"] = "text"

    @abstractmethod
    def export(self, rows: list[Row], limit: int = 10) -> str:
        """Return the first `limit` rows as text."""


class AbstractExporter(ABC):
    """The same with `abc`."""

    suffix: str
    mode: Literal["text", "binary"] = "text"

    @abstractmethod
    def export(self, rows: list[Row], limit: int = 10) -> str: ...


@runtime_checkable
class ExporterProtocol(Protocol):
    """The same with `typing.Protocol`, which has no word for an attribute that may be left out."""

    suffix: str

    def export(self, rows: list[Row], limit: int = 10) -> str: ...


WHOLE = """class Whole(Exporter):
    suffix = ".txt"
    def export(self, rows: list[Row], limit: int = 10) -> str:
        return str(rows[:limit])
"""

_EXPORT = "    def export(self, rows: list[Row], limit: int = 10) -> str:\n        return str(rows[:limit])\n"


def _broken(old: str, new: str) -> str:
    assert old in WHOLE  # noqa: S101 - a specimen that changes nothing would be none
    return WHOLE.replace(old, new).replace("Whole", "Broken")


SPECIMENS: dict[str, str] = {
    "no method": _broken(_EXPORT, ""),
    "parameter renamed": _broken("limit: int", "count: int").replace("[:limit]", "[:count]"),
    "parameters swapped": _broken("rows: list[Row], limit: int = 10", "limit: int, rows: list[Row]"),
    "default lost": _broken("limit: int = 10", "limit: int"),
    "one more required": _broken("limit: int = 10", "limit: int = 10, *, sep: str"),
    "async instead of sync": _broken("def export", "async def export"),
    "parameter narrowed": _broken("list[Row]", "tuple[Row, ...]"),
    "returns another type": _broken("-> str", "-> list[Row]").replace("str(rows[:limit])", "rows[:limit]"),
    "returns nothing, silently": _broken(": list[Row], limit: int = 10) -> str", ", limit=10)").replace("return ", ""),
    "no attribute": _broken('    suffix = ".txt"\n', ""),
    "attribute of another type": _broken('".txt"', "7"),
    "not one of the words": _broken('".txt"', '".txt"\n    mode = "txt"'),
}
"""What is wrong -> the class."""


def define(source: str, base: Any = Exporter, decorate: Callable[[Any], Any] | None = None) -> Any:
    """Run a specimen's class statement with `base` under the name Exporter, and return the class."""
    text = source.strip() + "\n"
    file = "broken.py"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space: dict[str, Any] = {"Exporter": base, "Row": Row, "__name__": "broken"}
    exec(compile(text, file, "exec"), space)  # noqa: S102 - the text is written above
    made = next(value for name, value in space.items() if name in ("Whole", "Broken"))
    return decorate(made) if decorate is not None else made


def _ours(source: str) -> Any:
    fresh = new_class("Exporter", (Contract,), {"registry": Registry()}, lambda space: space.update(_contract_body()))
    return define(source, fresh)


def _contract_body() -> dict[str, Any]:
    words = ("export", "__module__", "__doc__")
    body = {name: value for name, value in vars(Exporter).items() if name in words}
    body.update(mode="text", __annotations__=inspect.get_annotations(Exporter))
    return body


def _beartype(source: str) -> Any:
    from beartype import beartype

    return define(source, object, beartype)


def _pluggy(source: str) -> Any:
    """Register the class with a manager that has the contract as hook specification, and call it by its hook, as
    applications do: by keyword."""
    import pluggy

    spec, mark = pluggy.HookspecMarker("shop"), pluggy.HookimplMarker("shop")

    class Spec:
        @spec
        def export(self, rows: list[Row], limit: int = 10) -> str: ...  # type: ignore[empty-body]

    manager = pluggy.PluginManager("shop")
    manager.add_hookspecs(Spec)
    made = define(source, object)
    if "export" in vars(made):
        mark(vars(made)["export"])

    class Hooked:
        def __init__(self) -> None:
            self.plugin = made()
            manager.register(self.plugin)

        def export(self, rows: list[Row], limit: int = 10) -> Any:
            return manager.hook.export(rows=rows, limit=limit)[0]

        @property
        def suffix(self) -> Any:
            return self.plugin.suffix

    return Hooked


def _by_isinstance(made: Any) -> None:
    if not isinstance(made, ExporterProtocol):
        raise TypeError("isinstance says no")


TOOLS: dict[str, tuple[Callable[[str], Any], Callable[[Any], None] | None]] = {
    "ours": (_ours, None),
    "abc": (lambda source: define(source, AbstractExporter), None),
    "Protocol": (lambda source: define(source, object), _by_isinstance),
    "beartype": (_beartype, None),
    "pluggy": (_pluggy, None),
    "nothing": (lambda source: define(source, object), None),
}
"""How each tool makes the class, and what it asks of an instance."""

MOMENTS = ("class", "instance", "call", "use", "never")


def moment(tool: str, source: str) -> str:
    """Return when `tool` notices that the class is broken: one of `MOMENTS`.

    "class": when it is defined (or registered), before anything has run. "instance": when one is made, or asked
    about. "call": when it is called. "use": when the result, or an attribute, is used. "never": not at all.
    """
    make, ask = TOOLS[tool]
    made: Any = None
    steps: list[tuple[str, Callable[[], object]]] = [
        ("class", lambda: make(source)),
        ("instance", lambda: made()),  # noqa: PLW0108 - `made` is known only when this runs
        ("instance", lambda: ask(made) if ask is not None else None),
        *(("call", call) for call in (lambda: made.export(ROWS), lambda: made.export(ROWS, 1))),
        ("call", lambda: made.export(rows=ROWS, limit=1)),
        ("use", lambda: _use(made)),
    ]
    for name, step in steps:
        try:
            result = step()
        except Exception:  # noqa: BLE001 - any error is the tool's (or Python's) way of noticing
            return name
        finally:
            _close(locals().get("result"))
        made = result if name in ("class", "instance") and result is not None else made
    return "never"


ROWS: list[Row] = [{"a": 1}, {"a": 2}]


def _use(made: Any) -> None:
    text = made.export(ROWS, limit=1)
    try:
        text.upper(), made.suffix.upper()
    finally:
        _close(text)


def _close(result: object) -> None:
    """Close a coroutine that nobody awaits, as the caller of a plain method does not."""
    if inspect.iscoroutine(result):
        result.close()


MYPY: frozenset[str] = frozenset(SPECIMENS) - {"parameter renamed", "returns nothing, silently", "no attribute"}
"""What mypy reports of the specimens that derive from `AbstractExporter`, where it is run: a test runs it."""


def moments(tools: tuple[str, ...] = tuple(TOOLS)) -> dict[str, dict[str, str]]:
    """Return, for each specimen, when each tool notices."""
    return {what: {tool: moment(tool, source) for tool in tools} for what, source in SPECIMENS.items()}
