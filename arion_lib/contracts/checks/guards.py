"""A method that checks what goes in and what comes out, written for that method alone.

Idea        Generate a function with the method's own signature whose body is the checks and the call. Generate it at
            the first call: a class of fifty methods that uses two pays for two.
Invariant   A guard takes the calls its method takes, with the same defaults, and returns the same object. It is one
            function object from the class statement on: its code is exchanged in place, so old references are fast too.
When wrong  `ContractCallError` names class.method, the parameter, the value, the expected type and the promise's line.
See         arion_lib/contracts/checks/predicates.py · tests/contracts/test_guards.py
"""

from __future__ import annotations

import builtins
import keyword
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from types import CodeType, FunctionType
from typing import Any, ParamSpec, TypeVar

from arion_lib.contracts.checks.callables import GUARD
from arion_lib.contracts.checks.hints import Hint, annotations_of, text
from arion_lib.contracts.checks.levels import SWITCH, Level, current
from arion_lib.contracts.checks.predicates import PREFIX, Source, expression, fits, same_at_all_levels
from arion_lib.contracts.checks.streams import watched
from arion_lib.contracts.messages.places import Place
from arion_lib.contracts.messages.warned import warn
from arion_lib.contracts.plugins.metrics import MetricsByClass
from arion_lib.contracts.violations import ContractCallError

P = ParamSpec("P")
R = TypeVar("R")

RETURN = "return value"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at: where it stands in the guard, what it must be, and who said so."""

    label: str  # as the message names it
    reads: str  # an expression of the guard's parameters
    hint: Hint
    promised_at: Place | None
    unless: str = ""  # an expression: true where there is nothing to look at
    default: object = Parameter.empty  # accepted as it is, whatever the hint says


@dataclass(frozen=True, slots=True)
class Plan:
    """What a guard is made from. Resolved when the guard is built, at the first call."""

    member: str  # class.method
    call: Callable[..., Any]  # what the guard calls, with the same arguments
    signature: Signature  # of `call`, `self` or `cls` included
    asynchronous: bool
    arguments: list[Check] = field(default_factory=list)
    results: list[Check] = field(default_factory=list)
    elements: list[Check] = field(default_factory=list)  # of what a generator yields, at level `all`
    level: Level = Level.FAST
    warns: bool = False  # instead of raising
    owner: type | None = None
    metrics: MetricsByClass | None = None
    metrics_key: str = ""  # an expression: the class to count for


def _waiting(*args: Any, **kwargs: Any) -> Any:
    return __g_build()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821 - a global of the guard


async def _waiting_async(*args: Any, **kwargs: Any) -> Any:
    return await __g_build()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


UNSEEN = "importlib._bootstrap"
"""Part of the file names of guards: `warnings.warn(..., stacklevel=2)` and the `stacklevel` of `logging` skip frames
that are named like the import system's, so that they find the caller, as they do without a contract."""


def unseen(function: Callable[P, R]) -> Callable[P, R]:
    """Let stack levels skip the frame of `function`."""
    made: Any = function
    made.__code__ = made.__code__.replace(co_filename=f"<contract guard, {UNSEEN}>")
    return function


_WAITING: CodeType = unseen(_waiting).__code__
_WAITING_ASYNC: CodeType = unseen(_waiting_async).__code__
_building = threading.RLock()


def guard(like: Callable[..., Any], plan: Callable[[], Plan], *, asynchronous: bool) -> FunctionType:
    """Return the guard of `like`, a function that looks like it from outside. `plan` is asked for at the first call."""
    made = _unbuilt(_Pending(compiled, plan), asynchronous=asynchronous)
    if type(like) is FunctionType:
        made.__name__, made.__qualname__, made.__module__ = like.__name__, like.__qualname__, like.__module__
        made.__doc__ = like.__doc__
        _annotate_like(made, like)
    else:
        _look_like(made, like)
        made.__dict__.update(_cache_controls(like))
    if own := getattr(like, "__dict__", None):
        made.__dict__.update(own)
        made.__dict__.pop("__isabstractmethod__", None)
    made.__dict__["__wrapped__"] = like
    return made


_GENERIC, _DEFERRED = sys.version_info >= (3, 12), sys.version_info >= (3, 14)
"""Whether functions have type parameters, and annotations that are evaluated when they are asked for."""


def _annotate_like(made: FunctionType, like: Any) -> None:
    """Give the guard the annotations of its method; since Python 3.14 without evaluating them."""
    if _DEFERRED and (annotate := getattr(like, "__annotate__", None)) is not None:
        made.__annotate__ = annotate  # type: ignore[attr-defined, unused-ignore]
    elif (found := annotations_of(like)) is not None:
        made.__annotations__ = found
    if _GENERIC and (parameters := getattr(like, "__type_params__", ())):
        made.__type_params__ = parameters  # type: ignore[attr-defined, unused-ignore]


def _look_like(made: FunctionType, like: object) -> None:
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        value = getattr(like, name, None)
        if isinstance(value, str):
            setattr(made, name, value)
    _annotate_like(made, like)


def _cache_controls(like: object) -> dict[str, object]:
    """Return what `lru_cache` and `singledispatchmethod` offer beside the call, so that the guard offers it too."""
    names = ("cache_info", "cache_clear", "cache_parameters", "register", "dispatch")
    return {name: getattr(like, name) for name in names if hasattr(like, name)}


def lazy_function(name: str, build: Callable[[], FunctionType]) -> FunctionType:
    """Return a function that becomes, at its first call, what `build` returns (a function without closure)."""
    made = _unbuilt(_Pending(build, None), asynchronous=False)
    made.__name__ = name
    return made


class _Pending:
    """What a function calls that is not built yet: build, exchange the code in place, return the function."""

    __slots__ = ("_build", "_plan", "function", "waiting")

    def __init__(self, build: Callable[..., FunctionType], plan: Callable[[], Plan] | None) -> None:
        self._build, self._plan = build, plan
        self.function: FunctionType
        self.waiting: CodeType

    def __call__(self) -> FunctionType:
        # A call that began earlier (a coroutine not awaited yet, another thread) comes here after the exchange.
        made = self.function
        with _building:
            if made.__code__ is self.waiting:
                real = self._build() if self._plan is None else self._build(self._plan())
                made.__globals__.update(real.__globals__)
                made.__defaults__, made.__kwdefaults__ = real.__defaults__, real.__kwdefaults__
                made.__code__ = real.__code__  # last: until here, another thread runs the code that waits
        return made


def _unbuilt(pending: _Pending, *, asynchronous: bool) -> FunctionType:
    pending.waiting = _WAITING_ASYNC if asynchronous else _WAITING
    made = FunctionType(pending.waiting, {"__builtins__": builtins, GUARD: pending})
    pending.function = made
    return made


def compiled(plan: Plan, *, switched: bool = True) -> FunctionType:
    """Write and compile the guard of `plan`; `switched` guards obey `checking` blocks."""
    source = Source(plan.level, plan.owner)
    lines = _body(plan, source, switched=switched)
    name = plan.member.rpartition(".")[2]
    name = name if name.isidentifier() and not keyword.iskeyword(name) else "guard"
    head = f"{'async ' if plan.asynchronous else ''}def {name}({_parameters(plan.signature)}):"
    names = {**source.names, "__builtins__": builtins}
    code = "\n    ".join([head, *lines])
    exec(compile(code, f"<contract of {plan.member}, {UNSEEN}>", "exec"), names)  # noqa: S102 - the text is written here
    made = names.pop(name)
    assert isinstance(made, FunctionType)  # noqa: S101 - for the type checker
    made.__defaults__, made.__kwdefaults__ = _defaults(plan.signature)
    made.__qualname__ = plan.member
    return made


def _parameters(signature: Signature) -> str:
    """Write the parameters without annotations; defaults are set on the function afterwards."""
    plain = [
        p.replace(annotation=Parameter.empty, default=p.default if p.default is Parameter.empty else None)
        for p in signature.parameters.values()
    ]
    return str(Signature(plain))[1:-1]


def _defaults(signature: Signature) -> tuple[tuple[Any, ...] | None, dict[str, Any] | None]:
    given = [p for p in signature.parameters.values() if p.default is not Parameter.empty]
    by_keyword = {p.name: p.default for p in given if p.kind is Parameter.KEYWORD_ONLY}
    return tuple(p.default for p in given if p.kind is not Parameter.KEYWORD_ONLY) or None, by_keyword or None


def _body(plan: Plan, source: Source, *, switched: bool) -> list[str]:
    arguments = _arguments(plan.signature)
    lines = []
    if plan.level is Level.DEFINE:  # guarded for its metrics alone
        source.level = Level.OFF
    if switched and _levels_differ(plan):
        at_level = source.constant(_by_level(plan))
        call = f"{at_level}({source.constant(current)}({source.constant(plan.level)}))({arguments})"
        lines = [f"if {source.constant(SWITCH)}[0]: return {'await ' if plan.asynchronous else ''}{call}"]
    inner = [*_tests(plan, plan.arguments, source), *_call(plan, arguments, source)]
    return lines + (_timed(plan, inner, source) if plan.metrics is not None else inner)


def _levels_differ(plan: Plan) -> bool:
    """Tell whether another level would check otherwise; if not, asking for it when a value fails is enough."""
    if plan.level is not Level.FAST or plan.elements:
        return True
    checks = [check.hint for check in (*plan.arguments, *plan.results)]
    return any(same_at_all_levels(hint, plan.owner) is False for hint in checks)


def _arguments(signature: Signature) -> str:
    """Write how the guard hands its parameters on: as it got them."""
    form: dict[Any, str] = {
        Parameter.VAR_POSITIONAL: "*{0}",
        Parameter.VAR_KEYWORD: "**{0}",
        Parameter.KEYWORD_ONLY: "{0}={0}",
    }
    return ", ".join(form.get(p.kind, "{0}").format(p.name) for p in signature.parameters.values())


def _call(plan: Plan, arguments: str, source: Source) -> list[str]:
    call = f"{'await ' if plan.asynchronous else ''}{source.constant(plan.call)}({arguments})"
    result = f"{PREFIX}result"
    tests = _tests(plan, plan.results, source)
    if plan.elements and source.level is Level.ALL:
        line = f"{source.constant(watched)}({result}, {source.constant(_element_check(plan))})"
        return [f"{result} = {call}", *tests, f"return {line}"]
    return [f"{result} = {call}", *tests, f"return {result}"] if tests else [f"return {call}"]


def _tests(plan: Plan, checks: list[Check], source: Source) -> list[str]:
    return [line for check in checks for line in _test(plan, check, source)]


def _test(plan: Plan, check: Check, source: Source) -> list[str]:
    simple = check.reads.isidentifier()
    value = check.reads if simple else source.variable()
    test = expression(check.hint, value, source)
    if test is None:
        return []
    if check.default is not Parameter.empty and not fits(check.hint, Level.ALL, plan.owner)(check.default):
        test = f"({value} is {source.constant(check.default)} or {test})"
    if not simple:
        test = f"({value} := {check.reads}, {test})[1]"
    if check.unless:
        test = f"({check.unless} or {test})"
    return [f"if not {test}: {source.constant(_refusal(plan, check))}({value})"]


def _refusal(plan: Plan, check: Check) -> Callable[[object], None]:
    """Return what a guard calls with a value that does not fit. It raises, unless checks are off just now."""

    def refuse(value: object) -> None:
        if current(plan.level) is Level.OFF:
            return
        fault = ContractCallError(plan.member, check.label, value, text(check.hint), check.promised_at)
        if not plan.warns:
            raise fault
        warn(str(fault))

    return refuse


def _by_level(plan: Plan) -> Callable[[Level], Callable[..., Any]]:
    """Return a function that gives the guard for a level, compiled when it is asked for."""
    made: dict[Level, Callable[..., Any]] = {}

    def at(level: Level) -> Callable[..., Any]:
        if level not in made:
            made[level] = compiled(_with_level(plan, level), switched=False)
        return made[level]

    return at


def _with_level(plan: Plan, level: Level) -> Plan:
    values = {name: getattr(plan, name) for name in Plan.__slots__}
    return Plan(**{**values, "level": level})


def _timed(plan: Plan, inner: list[str], source: Source) -> list[str]:
    """Wrap the body in a count, and where one is due a clock, that a call from within, recursive or by `super()`, does
    not start again."""
    start, good, recorder = (f"{PREFIX}{name}" for name in ("start", "good", "recorder"))
    clock = source.constant(time.perf_counter)
    seen, mark, leave = _task_marks() if plan.asynchronous else _thread_marks()
    sampled = f"{clock}() if {recorder}.calls >= {recorder}.next else None"
    timed = f"if {start} is not None: {recorder}.sample({clock}() - {start})"
    body = [line.replace("return ", f"{good} = ", 1) if line.startswith("return ") else line for line in inner]
    return [
        *_recorder_lines(plan, source),
        seen,
        *(f"    {line}" for line in inner),
        mark,
        f"{start} = {f'{clock}()' if plan.asynchronous else sampled}",
        "try:",
        *(f"    {line}" for line in body),
        "except BaseException:",
        f"    {recorder}.errors += 1",
        "    raise",
        "else:",
        f"    return {good}",
        "finally:",
        f"    {f'{recorder}.add({clock}() - {start})' if plan.asynchronous else timed}",
        f"    {recorder}.calls += 1",
        f"    {leave}",
    ]


def _recorder_lines(plan: Plan, source: Source) -> list[str]:
    """Find the recorder of this class and thread; for the class that the guard was made for without a look-up."""
    if plan.metrics is None or plan.owner is None:
        return []
    own, by_class = plan.metrics[plan.owner], source.constant(plan.metrics)
    whose = f"{plan.metrics_key} is {source.constant(plan.owner)}"
    if plan.asynchronous:
        found = f"{source.constant(own)} if {whose} else {by_class}[{plan.metrics_key}]"
        return [f"{PREFIX}m = {found}", f"{PREFIX}recorder = {PREFIX}m.local.recorder"]
    found = f"{source.constant(own.local)} if {whose} else {by_class}[{plan.metrics_key}].local"
    return [f"{PREFIX}recorder = ({found}).recorder"]


def _thread_marks() -> tuple[str, str, str]:
    busy = f"{PREFIX}recorder.busy"
    return f"if {busy}:", f"{busy} = True", f"{busy} = False"


def _task_marks() -> tuple[str, str, str]:
    """A task may be left and re-entered on one thread, so it carries the mark in its context."""
    inside = f"{PREFIX}m.inside"
    return f"if {inside}.get():", f"{PREFIX}token = {inside}.set(True)", f"{inside}.reset({PREFIX}token)"


def _element_check(plan: Plan) -> Callable[[object], None]:
    tests = [(fits(check.hint, Level.ALL, plan.owner), _refusal(plan, check)) for check in plan.elements]

    def look(value: object) -> None:
        for test, refuse in tests:
            if not test(value):
                refuse(value)

    return look
