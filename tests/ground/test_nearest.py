"""A mistyped word finds the known one; otherwise nothing is made up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from arion_lib.nearest import did_you_mean, near_or_known, nearest


@given(st.text(), st.lists(st.text()))
def test_only_a_known_word_is_suggested(word: str, known: list[str]) -> None:
    assert nearest(word, known) in (None, *known)


@given(st.text(min_size=3), st.integers(0))
def test_a_missing_letter_is_forgiven(word: str, place: int) -> None:
    at = place % len(word)
    assert nearest(word[:at] + word[at + 1 :], [word]) == word


def test_a_hint_shows_the_word_as_its_caller_writes_words() -> None:
    assert did_you_mean("labb", ["lab"], "`{}`".format) == "; did you mean `lab`?"
    assert did_you_mean("x", ["lab"]) == ""


def test_where_nothing_is_near_all_words_are_told() -> None:
    assert near_or_known("x", {"database": 1, "cache": 2}) == "; there are database, cache"
    assert near_or_known("x", {}) == "; there are none"
