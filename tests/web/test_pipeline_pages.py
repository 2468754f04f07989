"""The pages: paged without gaps, honest about health, and documented without another machine."""

from __future__ import annotations

import gzip
import json
import re
from decimal import Decimal
from typing import Any

import pytest

from arion_lib.pipeline.batch import Aggregate, Batch, DeadLetter
from arion_lib.pipeline.store import StoreDown, StoreError
from tests.web.client import get, post
from tests.web.conftest import Serve, Served

LINES = {"content-type": "application/x-ndjson"}


def pages(served: Served, first: str) -> list[Any]:
    """Follow `next` from page to page."""
    found: list[Any] = []
    path: str | None = first
    while path:
        answer = get(served.url + path)
        assert answer.status == 200
        assert len(answer.json["items"]) <= 7
        found += answer.json["items"]
        path = answer.json["next"]
    return found


def test_following_the_pages_shows_every_entry_once(served: Served) -> None:
    rows = [b'{"id":%d}' % n for n in range(20)]
    groups = {(f"t&{n}", n, None): Aggregate(n + 1, n * 2**62) for n in range(20)}
    dead = [DeadLetter(n, 10 * n, "why", b"\xff raw") for n in range(1, 21)]
    served.store.commit(Batch("a b&c", rows, messages=rows, dead=dead, groups=groups))
    assert [one["record"]["id"] for one in pages(served, "/rows?stream=a%20b%26c&limit=7")] == list(range(20))
    assert [one["record"] for one in pages(served, "/dead-letters?stream=a%20b%26c&limit=7")] == list(range(1, 21))
    shown = pages(served, "/results?stream=a%20b%26c&limit=7")
    assert {tuple(one["group"]): (one["count"], one["sum"]) for one in shown} == {
        key: (part.count, part.sum) for key, part in groups.items()
    }


def test_messages_show_what_waits_for_the_queue_and_how_much_it_holds(serve: Serve) -> None:
    with serve() as served:
        assert served.service.relay is not None
        served.service.relay.stop()
        post(served.orders, b"".join(b'{"id": "e%d"}\n' % n for n in range(20)), LINES)
        waiting = pages(served, "/messages?limit=7")
        assert [one["message"]["id"] for one in waiting] == [f"e{n}" for n in range(20)]
        assert [one["message"]["id"] for one in pages(served, "/messages?stream=orders&limit=7")] == [
            f"e{n}" for n in range(20)
        ]
        assert pages(served, "/messages?stream=other&limit=7") == []
        served.service.relay.drain()
        after = get(f"{served.url}/messages").json
        assert (after["items"], after["queue"]["messages"]) == ([], 20)


@pytest.mark.parametrize(
    "path",
    [
        "/rows",
        "/rows?stream=s&limit=0",
        "/rows?stream=s&limit=1001",
        "/results?stream=s&after=no",
        "/rows?stream=s&after=-1",
        "/rows?stream=s&after=99999999999999999999",
        "/results?stream=s&after=5",
        '/results?stream=s&after={"a":1}',
        "/results?stream=s&after=[[1]]",
        "/results?stream=s&after=[NaN]",
        "/results?stream=s&after=" + "[" * 4_000,
        "/messages?after=1",
    ],
)
def test_a_page_that_cannot_be_is_refused(shared: Served, path: str) -> None:
    answer = get(shared.url + path)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert all(answer.json[part] for part in ("title", "detail", "must", "got", "do"))


def test_a_page_whose_store_fails_is_a_problem_document_without_the_stores_own_words(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "postgresql://me@10.0.0.1/orders: relation arion_rows"
    for error, status in ((StoreDown(secret), 503), (StoreError(secret), 503), (RuntimeError(secret), 500)):
        for name in ("rows", "results", "dead_letters", "outbox", "commit_all", "ping", "status"):
            monkeypatch.setattr(served.store, name, raising(error), raising=True)
        for page in ("/rows?stream=s", "/results?stream=s", "/dead-letters?stream=s", "/messages"):
            answer = get(served.url + page)
            assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), page
            assert b"10.0.0.1" not in answer.body
            assert b"relation" not in answer.body
        refused = post(served.orders, b'{"id": 1}')
        assert (refused.status, b"10.0.0.1" in refused.body) == (status, False)
    monkeypatch.undo()


def raising(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def test_a_deeply_nested_event_that_was_taken_is_shown_as_it_was_stored(served: Served) -> None:
    event = b'{"a":' * 300 + b"1" + b"}" * 300
    assert post(served.orders, event).status == 200
    assert post(served.orders, b'{"id":1.50}').status == 200
    page = get(f"{served.url}/rows?stream=orders")
    assert page.status == 200
    assert event in page.body


def test_a_page_is_bounded_by_bytes_and_following_it_shows_every_row(served: Served) -> None:
    rows = [b'{"id":%d,"note":"%b"}' % (n, b"x" * 700_000) for n in range(20)]
    served.store.commit(Batch("s", rows, messages=[]))
    path: str | None = "/rows?stream=s"
    found: list[int] = []
    while path:
        answer = get(served.url + path)
        assert len(answer.body) < 6 << 20
        found += [one["record"]["id"] for one in answer.json["items"]]
        path = answer.json["next"]
    assert found == list(range(20))


def test_every_wrong_parameter_is_named(shared: Served) -> None:
    problem = get(f"{shared.url}/dead-letters?limit=0").json
    assert [one["must"] for one in problem["errors"]] == [
        "stream must be given",
        "limit must be greater than or equal to 1",
    ]
    assert problem["detail"].startswith("stream must be given, got nothing: ")


def test_no_such_page_and_another_method_are_problem_documents(shared: Served) -> None:
    for answer, status, got in (
        (get(f"{shared.url}/row"), 404, "'/row'"),
        (post(f"{shared.url}/rows", b""), 405, "POST"),
    ):
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json["got"] == got
    assert (answer.json["must"], answer.headers["allow"]) == ("the method must be GET, HEAD", "GET, HEAD")


def test_status_and_metrics_tell_what_was_taken(served: Served) -> None:
    post(served.orders, b'{"id": "e1"}\nbad\n', LINES)
    post(served.orders, b"{}", {"content-type": "text/css"})
    status = get(f"{served.url}/status").json
    assert (status["webhook"]["accepted"], status["webhook"]["dead"]) == (1, 1)
    assert status["webhook"]["answers"] == {"200": 1, "415": 1}
    assert status["store"]["rows"] == 1
    assert status["process"]["rss_bytes"] > 1_000_000
    scraped = get(f"{served.url}/metrics")
    assert scraped.headers["content-type"].startswith("text/plain")
    figures = dict(re.findall(r"^(\w+(?:\{.*\})?) ([\d.e+]+)$", scraped.body.decode(), re.MULTILINE))
    assert float(figures["arion_webhook_accepted_records_total"]) == 1
    assert float(figures['arion_webhook_answers_total{status="415"}']) == 1
    assert float(figures["arion_store_rows"]) == 1


def test_results_show_the_figures_that_were_asked_for_and_the_mean_of_what_was_there(served: Served) -> None:
    events = b'{"type": "paid", "amount": 10}\n{"type": "paid"}\n{"type": "paid", "amount": null}\n'
    post(f"{served.orders}?group_by=type&sum_field=amount", events, LINES)
    post(f"{served.url}/webhook/counts?group_by=type", events, LINES)
    summed, counted = (get(f"{served.url}/results?stream={name}").json["items"] for name in ("orders", "counts"))
    assert summed == [{"group": ["paid"], "count": 3, "sum": 10, "values": 1, "mean": 10.0}]
    assert counted == [{"group": ["paid"], "count": 3}]


def test_results_write_an_exact_sum_as_the_number_it_is_neither_text_nor_rounded(served: Served) -> None:
    post(
        f"{served.orders}?group_by=type&sum_field=amount",
        b'{"type":1,"amount":0.10}\n{"type":1,"amount":0.20}\n',
        LINES,
    )
    text = get(f"{served.url}/results?stream=orders").body.decode()
    assert re.search(r'"sum":0\.30?,', text), text
    assert isinstance(json.loads(text, parse_float=Decimal)["items"][0]["mean"], Decimal)


def test_results_doubt_names_that_no_record_has(served: Served) -> None:
    events = b'{"type": "paid", "amount": 10}\n{"type": "sent"}\n{"amount": 1}\n'
    for stream, query in (("wrong", "type,tpye&sum_field=amuont"), ("right", "type&sum_field=amount")):
        post(f"{served.url}/webhook/{stream}?group_by={query}", events, LINES)
    wrong, right = (get(f"{served.url}/results?stream={stream}").json for stream in ("wrong", "right"))
    assert wrong["hint"].startswith("no record here has field 2 of group_by or a number in sum_field: ")
    assert "hint" not in right
    assert "hint" not in get(f"{served.url}/results?stream=nothing").json


def test_the_docs_know_each_figure_of_a_group(shared: Served) -> None:
    group = get(f"{shared.url}/openapi.json").json["components"]["schemas"]["Group"]
    assert set(group["properties"]) == {"group", "count", "sum", "values", "mean", "min", "max"}


def metric(served: Served, name: str) -> float:
    found = re.search(rf"^{name} ([\d.e+]+)$", get(f"{served.url}/metrics").body.decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize(
    ("body", "rows", "dead"),
    [(b"nonsense", 0, 1), (b'[{"id": "e1"}, {"id": ', 1, 1), (b'{"id": "e1"}\nbad\n', 1, 1)],
    ids=["all bad", "broken off", "one bad"],
)
@pytest.mark.parametrize("long", [False, True], ids=["small", "long"])
def test_metrics_count_what_is_stored_whatever_the_sender_is_told(
    served: Served, body: bytes, rows: int, dead: int, long: bool
) -> None:
    post(served.orders, gzip.compress(body) if long else body, {"content-encoding": "gzip"} if long else None)
    stored = served.store.status()
    assert (stored.rows, stored.dead_letters) == (rows, dead)
    assert metric(served, "arion_webhook_dead_letters_total") == dead
    assert metric(served, "arion_webhook_accepted_records_total") == rows


def test_the_docs_describe_the_webhook_and_ask_no_other_machine(shared: Served) -> None:
    page = get(f"{shared.url}/docs").body.decode()
    assert not re.findall(r"""(?:src|href|url)\s*[=:]\s*["']https?://""", page)
    for asset in re.findall(r"""(?:src|href)=["'](/[^"']+)""", page):
        assert get(shared.url + asset).status == 200
    described = get(f"{shared.url}/openapi.json").json["paths"]
    assert {"/results", "/rows", "/messages", "/dead-letters", "/status", "/health", "/metrics"} <= set(described)
    webhook = described["/webhook/{stream}"]["post"]
    assert {"group_by", "sum_field", "webhook-id"} <= {one["name"] for one in webhook["parameters"]}
    assert "application/x-ndjson" in webhook["requestBody"]["content"]
    assert "422" in webhook["description"]
    assert "application/problem+json" in webhook["responses"]["4XX"]["content"]


def test_the_docs_explain_the_figures_and_what_a_page_is_for(shared: Served) -> None:
    described = get(f"{shared.url}/openapi.json").json
    models = described["components"]["schemas"]
    for model in ("Queue", "Taken"):
        assert all(part.get("description") for part in models[model]["properties"].values()), model
    for path in ("/results", "/rows", "/messages", "/dead-letters", "/status", "/health", "/metrics"):
        assert len(described["paths"][path]["get"]["summary"].split()) > 2


def test_a_delivery_of_bad_records_alone_is_answered_as_the_docs_say(served: Served) -> None:
    head = {"webhook-id": "msg_1"}
    assert post(served.orders, b"nonsense", head).status == 422
    again = post(served.orders, b"nonsense", head)
    assert (again.status, again.json) == (200, {"accepted": 0, "duplicates": 1, "dead": 0, "groups": 0})
    assert served.store.status().dead_letters == 1


def test_rows_that_are_no_numbers_for_a_browser_keep_their_digits(served: Served) -> None:
    post(served.orders, b'{"id": 123456789012345678901234567890}')
    assert (
        json.loads(get(f"{served.url}/rows?stream=orders").body)["items"][0]["record"]["id"]
        == 123456789012345678901234567890
    )


def test_a_body_that_broke_off_is_stored_again_without_an_id_and_the_docs_say_so(shared: Served) -> None:
    """So are a name with a slash behind it and one without two streams."""
    torn = b'{"id": 1}\n{"id": 2'
    for stream, headers, stored in (("torn", {}, 2), ("torn/", {"webhook-id": "msg_1"}, 1)):
        for _ in range(2):
            post(f"{shared.url}/webhook/{stream}", torn, {"content-type": "application/x-ndjson", **headers})
        assert len(shared.store.rows(stream)) == len(shared.store.dead_letters(stream)) == stored
    said = get(f"{shared.url}/openapi.json").json["paths"]["/webhook/{stream}"]["post"]["description"]
    said = " ".join(said.split())
    assert "without one a retry is a new body, so what was whole of one that broke off is stored again" in said
    assert "its dead letters too" in said
    assert "`orders/` is another than `orders`" in said
