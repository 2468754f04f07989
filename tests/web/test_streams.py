"""The rules of streams: queries, ages, what is kept beside a row, and refusals that stay short."""

from __future__ import annotations

import json
import math

import pytest

from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.web.problems import Problem
from arion_lib.web.streams import IdIn, Rules, Streams


@pytest.mark.parametrize(
    ("rules", "queries", "refused"),
    [(Rules(), True, False), (Rules(), False, True), (Rules(Recipe()), True, True), (Rules(Recipe()), False, True)],
)
def test_a_query_is_refused_where_the_owner_has_decided(rules: Rules, queries: bool, refused: bool) -> None:
    streams = Streams({"orders": rules}, queries=queries)
    streams.check_query(rules, b"")  # the control: no query is fine everywhere
    if not refused:
        streams.check_query(rules, b"fields=id")
        return
    with pytest.raises(Problem, match="the query must be empty for this stream, got 'fields=id'") as caught:
        streams.check_query(rules, b"fields=id")
    assert caught.value.status == 400


def test_an_age_of_its_own_may_be_zero_and_none_is_no_age() -> None:
    streams = Streams({"a": Rules(keep=0.0), "b": Rules(keep=math.inf), "c": Rules()})
    assert streams.ages == {"a": 0.0, "b": math.inf}


def test_a_header_without_a_value_is_kept_and_one_that_did_not_come_is_not() -> None:
    said = Rules(keep_headers=("x-build", "x-empty", "x-away")).beside("d1", {b"x-build": b"7", b"x-empty": b""})
    assert said is not None
    assert json.loads(said)["headers"] == {"x-build": "7", "x-empty": ""}
    assert Rules().beside("d1", {b"x-build": b"7"}) is None


def test_a_refusal_is_short_however_long_what_came_is() -> None:
    with pytest.raises(Problem) as caught:
        Streams(others=None).of("s" * 100_000)
    assert (caught.value.status, len(caught.value.got)) == (404, 82)
    with pytest.raises(Problem) as caught:
        Streams(queries=False).check_query(Rules(), b"q" * 100_000)
    assert len(caught.value.got) == 82


@pytest.mark.parametrize("body", [b"", b"{", b"7", b"[]", b"{}", b'{"id": []}', b'{"id": "\xff"}', b'{"id": 1.5}'])
def test_a_body_without_its_deliverys_id_is_refused_with_the_fields_name(body: bytes) -> None:
    assert IdIn("id")(b'{"id": "e1"}') == "e1"
    with pytest.raises(Problem, match="the body must be one JSON object with id, its delivery's id") as caught:
        IdIn("id")(body)
    assert caught.value.status == 422


def test_the_reason_why_an_id_cannot_be_read_is_cut() -> None:
    """It names the place in the body, which is as deep as the field's name says."""
    names, found = ["a" * 100] * 5, b"[]"
    for name in names:
        found = b'{"%b": %b}' % (name.encode(), found)
    with pytest.raises(Problem) as caught:
        IdIn(".".join(names))(found)
    assert len(caught.value.got) == 200
