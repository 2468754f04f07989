"""The judge of signatures against an oracle that enumerates the calls a contract allows and binds every one of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.contracts.checks.glance import same_signature
from arion_lib.contracts.signatures import Mismatch, is_required, mismatches, routes
from arion_lib.contracts.violations import Code
from tests.selection import examples

NAMES = ("a", "b", "c")
ONLY_POSITION, BOTH, ONLY_KEYWORD = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    names = draw(st.permutations(NAMES))[: draw(st.integers(0, 3))]
    kinds = sorted(draw(st.sampled_from([ONLY_POSITION, BOTH, ONLY_KEYWORD])) for _ in names)
    optional = sorted(draw(st.booleans()) for kind in kinds if kind is not ONLY_KEYWORD)
    defaults = iter(optional)
    parameters = []
    for name, kind in zip(names, kinds, strict=True):
        has_default = draw(st.booleans()) if kind is ONLY_KEYWORD else next(defaults)
        parameters.append(Parameter(name, kind, default=0 if has_default else Parameter.empty))
    if draw(st.booleans()):
        place = sum(kind is not ONLY_KEYWORD for kind in kinds)
        parameters.insert(place, Parameter("star", Parameter.VAR_POSITIONAL))
    if draw(st.booleans()):
        parameters.append(Parameter("rest", Parameter.VAR_KEYWORD))
    return Signature(parameters)


def subsets(names: list[str]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


Function = Callable[..., dict[str, Any]]


def function(signature: Signature) -> Function:
    """A real function of that signature that returns its arguments (`Signature.bind` has faults before Python 3.13)."""
    space: dict[str, Any] = {}
    exec(f"def f{signature}: return locals()", space)  # noqa: S102 - the text is a signature made here
    return space["f"]  # type: ignore[no-any-return]


def allowed_calls(promised: Function) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Every way to call: by position up to five arguments, by name with each name there is and one there is not."""
    for count in range(6):
        for names in subsets([*NAMES, "unheard"]):
            args, kwargs = tuple(f"at {i}" for i in range(count)), {name: f"as {name}" for name in names}
            try:
                promised(*args, **kwargs)
            except TypeError:
                continue
            yield args, kwargs


def arrives(promised: Signature, meant: dict[str, Any], offered: Function, args: Any, kwargs: Any) -> bool:
    """Tell whether the call binds, and each argument with a promised name arrives under it or in a star."""
    try:
        got = offered(*args, **kwargs)
    except TypeError:
        return False
    named = {name: value for name, value in meant.items() if promised.parameters[name].kind in (BOTH, ONLY_KEYWORD)}
    return all(key == name for name, value in named.items() for key, found in got.items() if value and found == value)


def compatible(promised: Signature, offered: Signature) -> bool:
    asked, given = function(promised), function(offered)
    return all(arrives(promised, asked(*a, **k), given, a, k) for a, k in allowed_calls(asked))


@settings(max_examples=examples(1500), deadline=None)
@given(signatures(), signatures())
def test_no_mismatch_is_reported_exactly_when_every_allowed_call_binds_as_meant(
    promised: Signature, offered: Signature
) -> None:
    assert (not mismatches(promised, offered)) == compatible(promised, offered)


@settings(max_examples=examples(300), deadline=None)
@given(signatures())
def test_a_signature_keeps_its_own_promise(signature: Signature) -> None:
    assert mismatches(signature, signature) == []


@settings(max_examples=examples(300), deadline=None)
@given(signatures())
def test_stars_take_every_call(signature: Signature) -> None:
    def everything(*args: object, **kwargs: object) -> None: ...

    assert mismatches(signature, inspect.signature(everything)) == []


@settings(max_examples=examples(300), deadline=None)
@given(signatures(), signatures())
def test_routes_cover_every_parameter_that_an_allowed_call_fills(promised: Signature, offered: Signature) -> None:
    if mismatches(promised, offered):
        return
    known = {(want.name, target.name) for want, target in routes(promised, offered)}
    asked, given = function(promised), function(offered)
    for args, kwargs in allowed_calls(asked):
        meant, got = asked(*args, **kwargs), given(*args, **kwargs)
        for name, value in meant.items():
            if value and promised.parameters[name].kind in (BOTH, ONLY_KEYWORD, ONLY_POSITION):
                targets = {key for key, found in got.items() if _holds(found, value)}
                assert any((name, target) in known for target in targets)


def _holds(found: object, value: object) -> bool:
    inside = found.values() if isinstance(found, dict) else found if isinstance(found, tuple) else ()
    return found == value or value in inside


@settings(max_examples=examples(500), deadline=None)
@given(signatures(), signatures())
def test_the_quick_comparison_says_same_only_for_signatures_without_mismatch(
    promised: Signature, offered: Signature
) -> None:
    asked, given = _method(promised), _method(offered)
    if same_signature(asked, given):
        assert mismatches(promised, offered) == []
    assert same_signature(asked, asked)


def _method(signature: Signature) -> Any:
    me = Parameter("self", ONLY_POSITION if ONLY_POSITION in _kinds(signature) else BOTH)
    return function(signature.replace(parameters=[me, *signature.parameters.values()]))


def _kinds(signature: Signature) -> set[object]:
    return {p.kind for p in signature.parameters.values()}


@pytest.mark.parametrize(
    ("parameter", "required"),
    [
        (Parameter("a", BOTH), True),
        (Parameter("a", BOTH, default=1), False),
        (Parameter("a", Parameter.VAR_KEYWORD), False),
    ],
)
def test_only_a_named_parameter_without_default_is_required(parameter: Parameter, required: bool) -> None:
    assert is_required(parameter) is required


def test_a_required_parameter_under_another_name_is_one_mismatch_and_no_extra_parameter() -> None:
    def asked(rows: Any, scale: Any) -> None: ...

    def given(rows: Any, factor: Any) -> None: ...

    def more(rows: Any, scale: Any, factor: Any) -> None: ...

    promised = inspect.signature(asked)
    assert mismatches(promised, inspect.signature(given)) == [Mismatch(Code.PARAMETER_NAME, "scale", "factor")]
    assert mismatches(promised, inspect.signature(more)) == [Mismatch(Code.PARAMETER_EXTRA, "factor")]  # the control
