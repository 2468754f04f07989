"""A class held against its contract: what is broken, or member by member what was promised and what is there.

Idea        The metaclass's own judge, asked again at any time, about any class.
Invariant   `check` and `explain` change nothing and raise nothing on account of the class.
When wrong  What is not a contract is refused with `TypeError`.
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_inheritance.py
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from arion_lib.contracts.checks.hints import EMPTY, text
from arion_lib.contracts.judge import judge
from arion_lib.contracts.members import Kind
from arion_lib.contracts.messages.written import shown
from arion_lib.contracts.resolution import Case, cases_of
from arion_lib.contracts.violations import Violation

OWN_WORD = "as the contract has it"


def check(cls: type, *contracts: type) -> list[Violation]:
    """Return how `cls` breaks its contracts, or those given: then `cls` may be any class.

    >>> from arion_lib.contracts.plugins.processors import CsvProcessor, Processor
    >>> check(CsvProcessor)
    []
    >>> class Nearly:
    ...     version = "1"
    >>> [violation.code.value for violation in check(Nearly, Processor)]
    ['missing']
    """
    return [violation for case in cases_of(cls, contracts) for violation in judge(case)]


def explain(cls: type, *contracts: type) -> Explanation:
    """Return a table of what each member promises and what `cls` has; prints as text, shows as HTML in a notebook."""
    return Explanation(cls.__name__, tuple(_line(case) for case in cases_of(cls, contracts)))


@dataclass(frozen=True, slots=True)
class Line:
    """One promise: the contract's words, the class's, and what is wrong."""

    contract: str
    promised: str
    got: str
    violations: tuple[Violation, ...]

    @property
    def verdict(self) -> str:
        return ", ".join(violation.code for violation in self.violations) or "kept"


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """A class against its contracts. `lines` for programs, `str()` for people."""

    cls: str
    lines: tuple[Line, ...]

    @property
    def kept(self) -> bool:
        return not any(line.violations for line in self.lines)

    def __str__(self) -> str:
        head = f"{self.cls} {'keeps' if self.kept else 'breaks'} {' and '.join(self._contracts()) or 'no contract'}"
        return "\n".join([head, *(text for line in self.lines for text in _as_text(line))])

    __repr__ = __str__

    def _contracts(self) -> list[str]:
        return list(dict.fromkeys(line.contract for line in self.lines))

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td style='text-align:left'>{escape(line.verdict)}</td>"
            f"<td style='text-align:left'><code>{escape(line.promised)}</code></td>"
            f"<td style='text-align:left'><code>{escape(line.got)}</code></td></tr>"
            for line in self.lines
        )
        head = "".join(f"<th style='text-align:left'>{word}</th>" for word in ("verdict", "contract", f"{self.cls}"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"


def _as_text(line: Line) -> list[str]:
    mark = "[ ok ]" if not line.violations else "[ no ]"
    lines = [f"{mark} {line.promised}", f"       {line.got}"]
    return lines + [f"       {violation.code}: {violation.why}; {violation.fix}" for violation in line.violations]


def _line(case: Case) -> Line:
    return Line(case.promise.contract.__name__, case.promise.show(case.arguments), _got(case), tuple(judge(case)))


def _got(case: Case) -> str:
    if case.offer is None:
        own = "nothing" if judge(case) else OWN_WORD
        return own if case.declared is EMPTY else f"{case.promise.name}: {text(case.declared)}"
    if case.offer.kind is Kind.ATTRIBUTE:
        return f"{case.offer.name} = {shown(case.offer.raw)}"
    return case.offer.show()
