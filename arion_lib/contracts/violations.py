"""What a class does against its contract, as values for programs and as a message for people.

Idea        A violation is a value: a code, two places, two texts, the reason it matters and the way to mend it.
Invariant   One error carries all violations of a class, in the order of the contract's members; the text is a pure
            function of the values.
When wrong  `ContractError` at the class statement, `ContractCallError` at a call or an assignment: both a `TypeError`.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_violations.py
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import FrameType

from arion_lib.contracts.messages.places import Place


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


WORDS: dict[Code, tuple[str, str]] = {
    Code.PARAMETER_MISSING: (
        "a caller may pass {p}, and the class does not take it: TypeError",
        "add the parameter {p}{d}",
    ),
    Code.PARAMETER_NAME: (
        "a caller may write {m}({p}=...), and the class knows it only as {o}: TypeError",
        "rename {o} to {p}",
    ),
    Code.PARAMETER_ORDER: (
        "a caller who passes {p} by position reaches another parameter, silently",
        "put {p} where the contract has it",
    ),
    Code.PARAMETER_KIND: (
        "a caller may pass {p} in a way (by name or by position) that the class does not take",
        "let {p} be passed as the contract says: mind the `/` and the `*`",
    ),
    Code.PARAMETER_DEFAULT: (
        "a caller may leave {p} out, and the class requires it: TypeError",
        "give {p} a default{d}",
    ),
    Code.PARAMETER_EXTRA: (
        "no caller knows of {p}, and the class requires it: TypeError",
        "give {p} a default, or remove it",
    ),
    Code.VARARGS: (
        "a caller may pass any number of arguments, and the class takes only so many: TypeError",
        "add *{p}",
    ),
    Code.VARKEYWORDS: (
        "a caller may pass any named argument, and the class takes only its own: TypeError",
        "add **{p}",
    ),
}
"""Of each way to break a signature: why it matters, and the fix. `{m}` is the member, `{p}` the parameter as promised,
`{o}` what stands in its place, `{d}` its default."""


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
    places = "1 place" if len(violations) == 1 else f"{len(violations)} places"
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


class ContractWarning(UserWarning):
    """What a class that says `checks="warn"` does against its contract."""


def warn(message: str) -> None:
    """Warn, in the name of the nearest frame outside this package: the caller, or the class statement."""
    frame = sys._getframe()
    while frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
    warnings.warn_explicit(
        message, ContractWarning, frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", "")
    )


def _is_ours(frame: FrameType) -> bool:
    return (
        frame.f_globals.get("__name__", "").startswith(("arion_lib.contracts.", "abc"))
        or "<contract" in frame.f_code.co_filename
    )


class LockedMember(AttributeError):
    """An attempt to replace or delete what a contract guards."""


VALUE_LIMIT = 80
"""Characters of a value that a message shows."""


def shown(value: object) -> str:
    """Return the repr of `value`, cut to `VALUE_LIMIT` characters; a repr that fails is named, not raised.

    >>> shown("x" * 200)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    """
    cut = value[: VALUE_LIMIT + 1] if isinstance(value, str | bytes | list | tuple) else value
    try:
        text = repr(cut)
    except Exception as error:  # noqa: BLE001 - a repr is foreign code, and a message must not fail on its account
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= VALUE_LIMIT else text[: VALUE_LIMIT - 1] + "…"
