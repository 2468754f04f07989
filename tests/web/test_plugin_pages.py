"""The plugins over HTTP: typed, judged by their contracts, measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.client import Answer, get, post
from tests.web.conftest import Served


def ask(served: Served, path: str, **asked: Any) -> Answer:
    return post(f"{served.url}/plugins/{path}", json.dumps(asked).encode())


def test_rows_go_in_and_come_out(shared: Served) -> None:
    rows = [{"shop": "a", "eur": 2}, {"shop": "b", "eur": 1}, {"shop": "a", "eur": 3}]
    summed = ask(shared, "processors/totals/process", options={"by": "shop", "field": "eur"}, rows=rows, scale=2)
    assert summed.json == {"rows": [{"shop": "a", "eur": 10}, {"shop": "b", "eur": 2}]}
    judged = ask(shared, "validators/required/validate", arguments=["id", "eur"], rows=[{"id": 1}, {"id": 1, "eur": 2}])
    assert judged.json == {"complaints": [["eur must be present"], []], "severity": "error"}
    assert ask(shared, "transformers/cents/transform", values=["12.30", "-7"]).json == {"values": [1230, -700]}
    assert ask(shared, "transformers/timestamp/transform", values=[0]).json == {"values": ["1970-01-01T00:00:00Z"]}


def test_a_broken_contract_names_parameter_and_promise(shared: Served) -> None:
    answer = ask(shared, "processors/csv/process", rows=[], scale="twice")
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert (answer.json["parameter"], answer.json["promise"]) == ("scale", "int")
    assert "CsvProcessor" in answer.json["member"]
    value = ask(shared, "transformers/cents/transform", values=[5])
    assert (value.status, value.json["parameter"], value.json["promise"]) == (422, "value", "str")


@pytest.mark.parametrize(
    ("path", "asked", "status", "word"),
    [
        ("processors/totls/process", {"rows": []}, 404, "totals"),
        ("processors/totals/process", {"rows": []}, 422, "by"),
        ("processors/totals/process", {"rows": [], "options": {"colour": 1}}, 422, "colour"),
        ("processors/csv/process", {"rows": [{"a": 1}]}, 422, "'text'"),
        ("processors/csv/process", {"rows": [], "version": ">=9"}, 404, ">=9"),
        ("processors/csv/process", {"rows": [1]}, 422, "rows.0"),
        ("processors/csv/process", {"rows": [], "colour": 1}, 422, "colour"),
        ("validators/matches/validate", {"arguments": ["a", "(a+)+$"], "rows": [{"a": "a" * 40 + "!"}]}, 422, "page"),
        ("transformers/cents/transform", {"values": ["1.234"]}, 422, "1.234"),
    ],
)
def test_what_does_not_fit_is_a_problem_document(
    shared: Served, path: str, asked: dict[str, Any], status: int, word: str
) -> None:
    answer = ask(shared, path, **asked)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert word in answer.json["detail"]


def test_the_registry_shows_what_was_measured(shared: Served) -> None:
    def calls() -> int:
        found = get(f"{shared.url}/plugins").json
        csv = next(one for one in found if (one["kind"], one["name"]) == ("processors", "csv"))
        assert csv["does"].startswith("Replace the rows' field")
        count: int = csv["metrics"].get("process", {}).get("calls", 0)
        return count

    before = calls()
    ask(shared, "processors/csv/process", rows=[{"text": "a\n1\n"}])
    assert calls() == before + 1


def test_the_docs_know_the_types(shared: Served) -> None:
    described = get(f"{shared.url}/openapi.json").json
    for path, model in (
        ("/plugins/processors/{name}/process", "Processed"),
        ("/plugins/validators/{name}/validate", "Validated"),
        ("/plugins/transformers/{name}/transform", "Transformed"),
    ):
        answer = described["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer["$ref"].endswith(model)
