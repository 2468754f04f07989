"""Dead letters over HTTP: listed, taken in after all, thrown away."""

from __future__ import annotations

import json

from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.web.requests import Limits
from arion_lib.web.streams import Rules, Streams
from tests.web.client import delete, get, post
from tests.web.conftest import Serve, Served

BAD = b'{"id": "e1"}\n{"n": 1}\n{"n": 2}\n[3]\nno json\n'


def letters(served: Served) -> list[tuple[int, str]]:
    items = get(f"{served.url}/dead-letters?stream=orders").json["items"]
    return [(item["seq"], item["raw"]) for item in items]


def replay(served: Served, **asked: object) -> object:
    answer = post(f"{served.url}/dead-letters/replay", json.dumps({"stream": "orders", **asked}).encode())
    return answer.json if answer.status == 200 else answer.status


def test_letters_are_taken_in_once_they_fit_and_the_others_stay(served: Served) -> None:
    lines = {"content-type": "application/x-ndjson"}
    assert post(f"{served.orders}?dedupe=id", BAD, lines).json["dead"] == 4
    assert replay(served, recipe={"dedupe": "id"}) == {"accepted": 0, "duplicates": 0, "dead": 4, "after": None}
    assert letters(served) == [(1, '{"n": 1}'), (2, '{"n": 2}'), (3, "[3]"), (4, "no json")]
    assert replay(served, limit=1, after=2) == {"accepted": 0, "duplicates": 0, "dead": 1, "after": 3}
    assert replay(served, after=1, upto=3) == {"accepted": 1, "duplicates": 0, "dead": 1, "after": None}
    assert replay(served) == {"accepted": 1, "duplicates": 0, "dead": 2, "after": None}
    assert [row.body for row in served.store.rows("orders")] == [b'{"id": "e1"}', b'{"n": 2}', b'{"n": 1}']
    assert letters(served) == [(3, "[3]"), (4, "no json")]
    assert delete(f"{served.url}/dead-letters?stream=orders").status == 422, "which ones must be said"
    assert delete(f"{served.url}/dead-letters?stream=orders&upto=3").json == {"deleted": 1}
    assert letters(served) == [(4, "no json")]
    assert replay(served, recipe={"colour": "red"}) == 400
    assert replay(served, more=1) == 422


def test_the_owners_recipe_holds_for_letters_too(serve: Serve) -> None:
    rules = Rules(Recipe(fields=("n",)))
    with serve(streams=Streams({"orders": rules}), limits=Limits(max_record=100)) as served:
        assert post(served.orders, b'{"n": \xff}').status == 422
        assert replay(served, recipe={"fields": "id"}) == 400
        assert replay(served) == {"accepted": 0, "duplicates": 0, "dead": 1, "after": None}
