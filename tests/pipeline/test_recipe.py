"""Recipes: what may be asked, and what excludes what."""

from __future__ import annotations

from typing import Any

import pytest

from arion_lib.pipeline.shapes.recipe import Recipe, read_recipe


@pytest.mark.parametrize(
    ("wishes", "recipe"),
    [
        ({}, Recipe()),
        ({"fields": ["id, customer.country", "amount"]}, Recipe(fields=("id", "customer.country", "amount"))),
        ({"group_by": ["type", "day"], "sum_field": "amount"}, Recipe(group_by=("type", "day"), sum_field="amount")),
        ({"path": "events.item", "dedupe": ["id"]}, Recipe(path="events.item", dedupe="id")),
    ],
)
def test_text_and_lists_are_read(wishes: dict[str, object], recipe: Recipe) -> None:
    assert read_recipe(wishes) == recipe  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"group_by": "type"}, r"group_by must be a tuple of names, got 'type': write \('type',\)"),
        ({"fields": ["id"]}, "fields must be a tuple of names"),
        ({"group_by": (5,)}, "group_by must be a tuple of names"),
        ({"sum_field": ("amount",)}, "sum_field must be a name or None"),
    ],
)
def test_a_value_of_another_type_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Recipe(**wrong)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"colour": "red"}, "parameters must be of"),
        ({"fields": ""}, "must not be empty"),
        ({"fields": "a,,b"}, "must not be empty"),
        ({"fields": "a,a"}, "each field once"),
        ({"sum_field": "a,b"}, "must be one name"),
        ({"fields": 5}, "must be text"),
        ({"fields": [5]}, "must be text"),
        ({"fields": "a..b"}, "names joined by dots"),
        ({"group_by": "type", "fields": "id"}, "fields must be left out"),
        ({"sum_field": "amount", "dedupe": "id"}, "dedupe must be left out"),
    ],
)
def test_what_makes_no_sense_is_refused(wishes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_recipe(wishes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"window": "created"}, "window must be FIELD:SECONDS"),
        ({"window": "created:0"}, "window must be FIELD:SECONDS"),
        ({"window": "created:hour"}, "window must be FIELD:SECONDS"),
        ({"window": "created:ms"}, "window must be FIELD:SECONDS"),
        ({"window": "created:60:us"}, "window must be FIELD:SECONDS"),
        ({"window": "created:60", "fields": "id"}, "fields must be left out where groups are summed"),
        ({"window": "created:60", "group_by": "created"}, "not in group_by"),
        ({"figures": "min"}, "figures must be min or max of a sum_field"),
        ({"figures": "median", "sum_field": "n"}, "figures must be min or max of a sum_field"),
        ({"fields": "a,a.b"}, "must not name an object whole and a part of it"),
    ],
)
def test_a_window_or_figure_that_makes_no_sense_is_refused(wishes: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_recipe(wishes)
