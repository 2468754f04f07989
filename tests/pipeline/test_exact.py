"""Numbers and keys survive the way into a database and back; sums are exact."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.batch import Aggregate, Key
from arion_lib.pipeline.numbers.columns import check_numbers, total
from arion_lib.pipeline.numbers.exact import (
    DIGITS,
    add,
    check_number,
    decode_key,
    decode_number,
    encode_key,
    encode_number,
    greatest,
    least,
    merge,
)
from arion_lib.pipeline.numbers.means import mean

decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number.adjusted()) < 5_000)
numbers = st.integers() | st.floats(allow_nan=False) | decimals
keys = st.lists(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()).map(tuple)


@given(numbers)
def test_a_number_comes_back_with_its_type_and_all_digits(number: Any) -> None:
    check_number(number)
    stored = encode_number(number)
    assert stored is None or type(stored) in (int, float, str)
    assert not isinstance(stored, int) or -(2**63) <= stored < 2**63
    assert repr(decode_number(stored)) == repr(number)


@pytest.mark.parametrize(
    "number",
    [10**DIGITS - 1, -(10**DIGITS) + 1, math.inf, -math.inf],
    ids=lambda n: f"{n:.0e}"[:9] if isinstance(n, float) else f"{n.bit_length()} bits",
)
def test_the_extremes_come_back(number: Any) -> None:
    check_number(number)
    assert decode_number(encode_number(number)) == number


def test_nan_comes_back_as_nan() -> None:
    again = decode_number(encode_number(math.nan))
    assert isinstance(again, float)
    assert math.isnan(again)


@given(keys)
def test_a_key_comes_back_with_its_types(key: Key) -> None:
    normal = tuple(0.0 if isinstance(part, float) and part == 0 else part for part in key)
    assert repr(decode_key(encode_key(key))) == repr(normal)
    assert encode_key(key).isascii()
    assert "\0" not in encode_key(key)


@given(keys, keys)
def test_two_keys_have_one_text_only_when_they_are_one(one: Key, other: Key) -> None:
    def typed(key: Key) -> list[tuple[type, Any]]:
        return [(type(part), part) for part in key]

    assert (encode_key(one) == encode_key(other)) == (typed(one) == typed(other))


def test_a_naive_text_of_the_key_confuses_what_the_json_text_keeps_apart() -> None:
    keys: list[Key] = [(1,), ("1",), (True,), ("True",), (None,), ("None",), ("a", "b"), ("a,b",)]
    assert len({encode_key(key) for key in keys}) == len(keys)
    assert len({",".join(map(str, key)) for key in keys}) < len(keys)


@given(st.lists(st.integers() | decimals, min_size=1))
def test_sums_of_ints_and_decimals_are_exact(some: list[Any]) -> None:
    assert Fraction(reduce(add, some)) == sum(map(Fraction, some))


def test_adding_with_the_usual_context_or_in_floats_is_not_exact() -> None:
    some: list[Any] = [Decimal("1e30"), Decimal("1e-10"), -Decimal("1e30")]
    assert reduce(add, some) == Decimal("1e-10")
    assert sum(some) != Decimal("1e-10")
    assert reduce(lambda a, b: a + b, map(float, some)) != 1e-10


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60), min_size=1))
def test_sums_with_a_float_are_what_python_says(some: list[Any]) -> None:
    assert repr(reduce(add, some)) == repr(reduce(lambda a, b: a + b, some))


@pytest.mark.parametrize(
    ("a", "b", "total"),
    [
        (10**400, 1.5, math.inf),
        (-(10**400), 1.5, -math.inf),
        (10**400, -math.inf, math.nan),
        (Decimal(1), math.inf, math.inf),
        (math.inf, -math.inf, math.nan),
        (Decimal("1e9999"), Decimal("1e-9999"), Decimal("1" + "0" * 9_999 + "." + "0" * 9_998 + "1")),
    ],
)
def test_sums_at_the_edges_do_not_raise(a: Any, b: Any, total: Any) -> None:
    assert repr(add(a, b)) == repr(add(b, a)) == repr(total)


def test_many_sums_of_the_largest_numbers_are_still_exact() -> None:
    huge, tiny = Decimal(f"9e{DIGITS - 1}"), Decimal(f"9e-{DIGITS}")
    total: Any = reduce(add, [huge, tiny] * 50)
    assert Fraction(total) == 50 * (Fraction(huge) + Fraction(tiny))


@given(numbers, numbers)
def test_least_and_greatest_are_min_and_max(a: Any, b: Any) -> None:
    assert (least(a, b), greatest(a, b)) == (min(a, b), max(a, b))


def test_nan_stays_whichever_side_it_is_on() -> None:
    for join in (least, greatest):
        assert math.isnan(join(math.nan, 1))
        assert math.isnan(join(1, math.nan))


parts = st.builds(Aggregate, st.integers(0, 9), *[st.none() | st.integers() | decimals] * 3)


@given(parts, parts, parts)
def test_merging_does_not_depend_on_order(a: Aggregate, b: Aggregate, c: Aggregate) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == merge(merge(c, a), b)


def test_the_mean_of_nothing_is_nothing_and_of_the_huge_is_infinite() -> None:
    assert mean(0, 0) is None
    assert mean(-(10**400), 1) == -math.inf
    assert mean(10**400, 10**399) == 10.0


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("7", "must be int, float, Decimal or None, got '7'"),
        (True, "must be int, float, Decimal or None, got True"),
        (Decimal("inf"), "must be finite, got Infinity"),
        (10**DIGITS, "at most 10000 digits, got 33220 bits"),
        (Decimal(f"1e{DIGITS}"), "at most 10000 digits before and after the point"),
        (Decimal(f"1e-{DIGITS + 1}"), "at most 10000 digits before and after the point"),
    ],
    ids=lambda value: f"{value:.20}" if isinstance(value, str) else type(value).__name__,
)
def test_what_could_not_be_kept_is_refused(number: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_number(number)


AT_THE_EDGE = [
    *("0", "-0.10", "NaN", "sNaN", "-NaN7", "Infinity", "-Infinity", "1E-99999999", "1E+99999999"),
    *(f"{sign}1E{side}{places}" for sign in "-+" for side in "-+" for places in (DIGITS - 1, DIGITS, DIGITS + 1)),
    *(f"{'9' * digits}{end}" for digits in (DIGITS, DIGITS + 1, 3 * DIGITS) for end in ("", ".5", f"E-{DIGITS}")),
]


@given(st.lists(st.sampled_from(AT_THE_EDGE).map(Decimal) | st.none() | numbers, max_size=6).map(tuple))
def test_a_column_is_refused_exactly_where_one_of_its_numbers_is(column: tuple[Any, ...]) -> None:
    one_by_one = _raises(lambda: [check_number(number) for number in column])
    assert _raises(lambda: check_numbers(column)) == one_by_one


def test_looking_at_the_sum_of_a_column_alone_would_let_a_number_pass() -> None:
    hidden = (Decimal(f"1E{DIGITS}"), Decimal(f"-1E{DIGITS}"))
    assert sum(hidden) == 0
    assert _raises(lambda: check_numbers(hidden))


@given(st.lists(st.integers() | decimals, min_size=1))
def test_a_column_is_summed_as_its_numbers_are_one_by_one(column: list[Any]) -> None:
    found, expected = total(column), reduce(add, column)
    assert (type(found), str(Decimal(found))) == (type(expected), str(Decimal(expected)))


def _raises(call: Any) -> bool:
    try:
        call()
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    "key", ["text", [1], (b"x",), (Decimal(1),), (("nested",),), (10**5_000,)], ids=lambda key: repr(type(key[0]))
)
def test_what_is_no_key_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="a key must"):
        encode_key(key)
