"""What a class does against its contract, as values for programs and as a message for people.

Idea        A violation is a value: a code, two places, two texts, the reason it matters and the way to mend it.
Invariant   One error carries all violations of a class, in the order of the contract's members; the text is a pure
            function of the values. Every reason and every fix stands in one table.
When wrong  `ContractError` at the class statement, `ContractCallError` at a call or an assignment: both a `TypeError`.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_violations.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from arion_lib.contracts.messages.places import Place
from arion_lib.contracts.messages.written import shown
from arion_lib.units import how_many


class Code(StrEnum):
    """The kinds of broken promise."""

    MISSING = "missing"
    KIND = "member-kind"
    FINAL = "final"
    FLOW = "sync-async"
    PARAMETER_MISSING = "parameter-missing"
    PARAMETER_NAME = "parameter-name"
    PARAMETER_ORDER = "parameter-order"
    PARAMETER_KIND = "parameter-kind"
    PARAMETER_DEFAULT = "parameter-default"
    PARAMETER_EXTRA = "parameter-extra"
    VARARGS = "varargs"
    VARKEYWORDS = "varkeywords"
    PARAMETER_TYPE = "parameter-type"
    RETURN_TYPE = "return-type"
    SETTER = "property-setter"
    DELETER = "property-deleter"
    ATTRIBUTE_TYPE = "attribute-type"
    ATTRIBUTE_VALUE = "attribute-value"


TABLE: dict[tuple[Code, str], tuple[str, str]] = {
    (Code.MISSING, ""): (
        "a caller who calls .{m} finds nothing there",
        "write {promised}, or say `abstract=True` if the class is unfinished on purpose",
    ),
    (Code.MISSING, "a property"): (
        "a caller who reads .{m} finds nothing there",
        "write {promised}, or say `abstract=True` if the class is unfinished on purpose",
    ),
    (Code.MISSING, "an attribute"): (
        "a caller who reads .{m} gets an AttributeError",
        "write `{m} = ...` in the class, or `{m}: {wanted}` if instances set it",
    ),
    (Code.FINAL, ""): ("{contract} relies on its own {m}", "remove {m} from the class"),
    (Code.KIND, "a method"): (
        "a caller may call it through the class with an instance: {c}.{m}(instance, ...)",
        "make {m} a method",
    ),
    (Code.KIND, "a class method"): (
        "a caller may call it on the class, and a subclass receives itself: {c}.{m}(...)",
        "make {m} a class method",
    ),
    (Code.KIND, "a static method"): (
        "a caller may call it on the class, without an instance: {c}.{m}(...)",
        "make {m} a static method",
    ),
    (Code.KIND, "a property"): ("a caller reads .{m} without calling it", "make {m} a property"),
    (Code.FLOW, "a plain function"): (
        "a caller uses the result of {m}(...) at once, and gets what {given} gives",
        "write a plain `def` that returns the result",
    ),
    (Code.FLOW, "a coroutine function (async def)"): (
        "a caller awaits {m}(...), and gets what {given} gives",
        "write `async def` (or annotate the awaitable that it returns)",
    ),
    (Code.FLOW, "a coroutine function, and the class has an async generator"): (
        "a caller awaits {m}(...), and gets what {given} gives",
        "write `def` without `async` in {contract}, or a `yield` in its body: else `async def` promises a coroutine",
    ),
    (Code.FLOW, "a generator function"): (
        "a caller writes `for x in {m}(...)`, and gets what {given} gives",
        "write `def` with `yield`",
    ),
    (Code.FLOW, "an async generator function"): (
        "a caller writes `async for x in {m}(...)`, and gets what {given} gives",
        "write `async def` with `yield` (or annotate the AsyncIterator that it returns)",
    ),
    (Code.PARAMETER_MISSING, ""): (
        "a caller may pass {p}, and the class does not take it: TypeError",
        "add the parameter {p}{d}",
    ),
    (Code.PARAMETER_NAME, ""): (
        "a caller may write {m}({p}=...), and the class knows it only as {o}: TypeError",
        "rename {o} to {p}",
    ),
    (Code.PARAMETER_ORDER, ""): (
        "a caller who passes {p} by position reaches another parameter, silently",
        "put {p} where the contract has it",
    ),
    (Code.PARAMETER_KIND, ""): (
        "a caller may pass {p} in a way (by name or by position) that the class does not take",
        "let {p} be passed as the contract says: mind the `/` and the `*`",
    ),
    (Code.PARAMETER_DEFAULT, ""): (
        "a caller may leave {p} out, and the class requires it: TypeError",
        "give {p} a default{d}",
    ),
    (Code.PARAMETER_EXTRA, ""): (
        "no caller knows of {p}, and the class requires it: TypeError",
        "give {p} a default, or remove it",
    ),
    (Code.VARARGS, ""): (
        "a caller may pass any number of arguments, and the class takes only so many: TypeError",
        "add *{p}",
    ),
    (Code.VARKEYWORDS, ""): (
        "a caller may pass any named argument, and the class takes only its own: TypeError",
        "add **{p}",
    ),
    (Code.PARAMETER_TYPE, ""): (
        "a caller may pass {p} as {wanted}, and the class takes {given} only",
        "annotate {o} with {wanted} or wider",
    ),
    (Code.RETURN_TYPE, ""): (
        "a caller who counts on {wanted} may get {given}",
        "return {wanted} or a subtype of it",
    ),
    (Code.SETTER, ""): (
        "a caller who assigns to .{m} gets an AttributeError",
        "add a setter: @{m}.setter",
    ),
    (Code.SETTER, "narrower"): (
        "a caller may assign {wanted} to .{m}, and the setter takes {given} only",
        "let the setter take {wanted} or wider",
    ),
    (Code.DELETER, ""): (
        "a caller who deletes .{m} gets an AttributeError",
        "add a deleter: @{m}.deleter",
    ),
    (Code.ATTRIBUTE_TYPE, ""): (
        "a caller relies on .{m} being {wanted}",
        "give {m} a value that is {wanted}",
    ),
    (Code.ATTRIBUTE_TYPE, "annotation"): (
        "a caller relies on .{m} being {wanted}",
        "annotate {m} with {wanted} or a subtype",
    ),
    (Code.ATTRIBUTE_VALUE, ""): (
        "a caller relies on .{m} being {wanted}",
        "give {m} a value that is {wanted}",
    ),
}
"""Every way to break a promise: why it matters, and the fix. The second part of a key tells apart what one code covers,
mostly what was promised ("a property").

`{c}` is the class, `{m}` the member, `{p}` the parameter as promised, `{o}` what stands in its place, `{d}` its
default; `{wanted}` and `{given}` are what was promised and what is there, a type or a kind of function."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise of `cls` towards `contract`.

    `where` is the offender's place (of an inherited member: where it is inherited from), `promised_at` the contract's.
    """

    code: Code
    cls: str
    contract: str
    member: str
    where: Place | None
    promised_at: Place | None
    promised: str
    got: str
    why: str
    fix: str

    def __str__(self) -> str:
        rows = (
            ("contract", f"{self.promised}   ({_at(self.promised_at)})"),
            ("class", f"{self.got}   ({_at(self.where)})"),
            ("why", self.why),
            ("fix", self.fix),
        )
        return "\n".join(
            [f"[{self.code}] {self.cls}.{self.member}", *(f"    {label:<9} {text}" for label, text in rows)]
        )


def _at(place: Place | None) -> str:
    return str(place) if place is not None else "built in"


class ContractError(TypeError):
    """A class that breaks its contract: raised by its `class` statement; `violations` holds every one of them."""

    def __init__(self, cls: str, violations: Sequence[Violation], outcome: str = "it was not registered") -> None:
        self.cls, self.outcome = cls, outcome
        self.violations = tuple(violations)
        super().__init__(_message(cls, self.violations, outcome))

    def __reduce__(self) -> tuple[type[ContractError], tuple[str, tuple[Violation, ...], str]]:
        return ContractError, (self.cls, self.violations, self.outcome)


def _message(cls: str, violations: Sequence[Violation], outcome: str) -> str:
    contracts = " and ".join(dict.fromkeys(v.contract for v in violations))
    places = how_many(len(violations), "places")
    head = f"class {cls} breaks {contracts} in {places}; {outcome}"
    return "\n".join([head, *(f"{number}. {v}" for number, v in enumerate(violations, 1))])


class ContractCallError(TypeError):
    """A value that broke a contract at run time: a parameter, a return value, a yielded element or an attribute.

    `member` is class.method; `parameter` its parameter ("return" for the result); `expected` the type as written.
    """

    def __init__(self, member: str, parameter: str, value: object, expected: str, promised_at: Place | None) -> None:
        self.member, self.parameter, self.expected, self.promised_at = member, parameter, expected, promised_at
        self.value = value
        super().__init__(
            f"{member}: {parameter} must be {expected}, got {shown(value)} ({type(value).__name__});"
            f" promised at {_at(promised_at)}"
        )

    def __reduce__(self) -> tuple[type[ContractCallError], tuple[str, str, object, str, Place | None]]:
        return ContractCallError, (self.member, self.parameter, self.value, self.expected, self.promised_at)


class LockedMember(AttributeError):
    """An attempt to replace or delete what a contract guards."""
