"""The webhook over real sockets: what comes in, what is stored, what is answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pytest

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.deliveries import Delivery, fingerprint
from arion_lib.pipeline.ingest import Cut
from arion_lib.pipeline.store import Outcome
from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web import bodies, webhook
from arion_lib.web.bodies import inflated
from arion_lib.web.playing.load import new_loop_run
from arion_lib.web.requests import Limits
from arion_lib.web.signatures import sign
from tests.web.client import Wire, get, post, until
from tests.web.conftest import Serve, Served, only

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LINES = {"content-type": "application/x-ndjson"}


def rows(served: Served, stream: str = "orders") -> list[Any]:
    return [json.loads(row.body) for row in served.store.rows(stream, limit=100_000)]


def sums(served: Served, stream: str = "orders") -> dict[tuple[Any, ...], tuple[int, Any]]:
    return {one.key: (one.count, one.sum) for one in served.store.results(stream, limit=1_000)}


def lines(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def events(count: int) -> list[dict[str, Any]]:
    return [{"id": f"e{n}", "type": f"t{n % 5}", "amount": n, "note": "é" * (n % 7)} for n in range(count)]


# -- what may come


def test_one_event_is_stored_and_counted(served: Served) -> None:
    answer = post(served.orders, b'{"id": "e1", "amount": 7}')
    assert (answer.status, answer.json) == (200, {"accepted": 1, "duplicates": 0, "dead": 0, "groups": 0})
    assert rows(served) == [{"id": "e1", "amount": 7}]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (lines(events(3)), LINES),
        (lines(events(3)), {"content-type": "application/octet-stream"}),
        (json.dumps(events(3)).encode(), {}),
        (json.dumps(events(3), indent=2).encode(), {}),
        (b"\xef\xbb\xbf" + lines(events(3)).replace(b"\n", b"\r\n"), LINES),
        (gzip.compress(lines(events(3))), {**LINES, "content-encoding": "gzip"}),
    ],
    ids=["lines", "sniffed", "array", "printed array", "BOM and CRLF", "gzip"],
)
def test_lines_and_arrays_come_to_the_same_rows(served: Served, body: bytes, headers: dict[str, str]) -> None:
    assert post(served.orders, body, headers).json["accepted"] == 3
    assert rows(served) == events(3)


def test_one_event_printed_over_several_lines_is_one_event(served: Served) -> None:
    assert post(served.orders, json.dumps(events(2)[1], indent=4).encode()).json["accepted"] == 1
    assert rows(served) == events(2)[1:]


def test_an_array_inside_a_document_is_found_by_its_path(served: Served) -> None:
    document = json.dumps({"sent": 1, "batch": {"events": events(4)}, "more": []}).encode()
    assert post(f"{served.orders}?path=batch.events", document).json["accepted"] == 4
    assert rows(served) == events(4)


def test_only_the_wanted_fields_are_kept(served: Served) -> None:
    body = b'{"id": "e1", "customer": {"country": "DE", "name": "J"}, "amount": 7}'
    post(f"{served.orders}?fields=id,customer.country", body)
    assert rows(served) == [{"id": "e1", "customer": {"country": "DE"}}]


def test_groups_are_summed_exactly_and_no_rows_are_kept(served: Served) -> None:
    huge = [{"type": "a", "amount": 2**70}, {"type": "a", "amount": 1}, {"type": "b", "amount": 3}]
    answer = post(f"{served.orders}?group_by=type&sum_field=amount", lines(huge), LINES)
    assert answer.json == {"accepted": 3, "duplicates": 0, "dead": 0, "groups": 2}
    assert sums(served) == {("a",): (2, 2**70 + 1), ("b",): (1, 3)}
    assert rows(served) == []


def test_windows_may_be_of_milliseconds(served: Served) -> None:
    body = lines({"at": at, "amount": 1} for at in (1_772_352_000_000, 1_772_355_599_999, 1_772_355_600_000))
    assert post(f"{served.orders}?window=at:3600:ms&sum_field=amount", body, LINES).json["groups"] == 2
    assert sums(served) == {("2026-03-01T08:00:00Z",): (2, 2), ("2026-03-01T09:00:00Z",): (1, 1)}


def test_the_first_line_may_be_the_configuration(served: Served) -> None:
    body = b'{"group_by": ["type"], "sum_field": "amount"}\n' + lines(events(10))
    assert post(f"{served.orders}?config=body", body, LINES).json["groups"] == 5
    assert sums(served) == {(f"t{n}",): (2, 2 * n + 5) for n in range(5)}


def test_the_first_line_may_come_in_any_pieces(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a slow sender's gzip inflates to may end anywhere, also inside of the line that configures the body."""
    body = gzip.compress(b'{"group_by": ["type"], "sum_field": "amount"}\n' + lines(events(10)))
    monkeypatch.setattr(bodies, "FLUSH", -1.0)  # every byte is a block of its own
    pieces = iter(body)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        piece = bytes([byte]) if (byte := next(pieces, None)) is not None else b""
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-encoding", b"gzip"), (b"content-type", b"application/x-ndjson")]
    scope = {"method": "POST", "path": "/webhook/orders", "query_string": b"config=body", "headers": headers}
    new_loop_run(served.service.webhook(scope, receive, send))
    assert (sent[0]["status"], json.loads(sent[1]["body"])["groups"]) == (200, 5)
    assert sums(served) == {(f"t{n}",): (2, 2 * n + 5) for n in range(5)}


def test_events_of_one_id_are_stored_once(served: Served) -> None:
    url = f"{served.orders}?dedupe=id"
    for body, accepted, duplicates in (
        (lines(events(3)), 3, 0),
        (lines(events(5)), 2, 3),
        (lines(events(1) * 3), 0, 3),
    ):
        answer = post(url, body, LINES)
        assert (answer.status, answer.json["accepted"], answer.json["duplicates"]) == (200, accepted, duplicates)
    assert rows(served) == events(5)
    figures = served.service.webhook.figures
    assert (figures.accepted, figures.duplicates) == (5, 6)
    # The control: without it each repetition is stored again.
    post(served.orders, lines(events(3)), LINES)
    assert len(rows(served)) == 8


def test_a_long_body_tells_known_events_from_new_ones(served: Served) -> None:
    post(f"{served.orders}?dedupe=id", lines(events(4_000)), LINES)
    answer = post(f"{served.orders}?dedupe=id", lines(events(9_000)), {**LINES, "webhook-id": "msg_1"})
    assert answer.json == {"accepted": 5_000, "duplicates": 4_000, "dead": 0, "groups": 0}
    figures = served.service.webhook.figures
    assert (figures.accepted, figures.duplicates) == (9_000, 4_000)


@pytest.mark.parametrize("count", [10, 9_000], ids=["small", "long"])
def test_a_misspelt_field_is_told_in_the_answer_and_an_optional_one_counted(served: Served, count: int) -> None:
    body = lines({**event, "tip": 1} if number % 5 == 0 else event for number, event in enumerate(events(count)))
    right = post(f"{served.url}/webhook/right?group_by=type&sum_field=amount", body, LINES).json
    assert set(right) == {"accepted", "duplicates", "dead", "groups"}
    optional = post(f"{served.url}/webhook/tips?group_by=type&sum_field=tip", body, LINES).json
    assert (optional["missing"], "hint" in optional) == ({"tip": count * 4 // 5}, False)
    wrong = post(f"{served.url}/webhook/wrong?group_by=tpye&sum_field=amuont", body, LINES).json
    assert wrong["accepted"] == count
    assert wrong["missing"] == {"tpye": count, "amuont": count}
    assert wrong["hint"] == "no record has tpye or amuont: is the name right?"
    kept = post(f"{served.url}/webhook/kept?fields=id,tip,tpye", body, LINES).json
    assert (kept["missing"], kept["hint"]) == (
        {"tip": count * 4 // 5, "tpye": count},
        "no record has tpye: is the name right?",
    )


def test_an_event_without_the_id_is_a_dead_letter(served: Served) -> None:
    answer = post(f"{served.orders}?dedupe=id", b'{"id": "e1"}\n{"no": 1}\nbroken\n{"id": "e2"}\n{"id": null}\n', LINES)
    assert (answer.json["accepted"], answer.json["dead"]) == (2, 3)
    assert sorted(one.letter.record for one in served.store.dead_letters("orders")) == [2, 3, 5]


def test_the_slow_way_round_gives_the_same_answers(served: Served) -> None:
    """The framework hands the route over untouched: what the docs show is what the hot route does."""
    hot, served.app._webhook = served.app._webhook, served.app.api  # type: ignore[assignment]
    served.app.fast_path = None
    assert post(served.orders, b'{"id": "e1"}').json["accepted"] == 1
    assert post(served.orders, b"").status == 400
    served.app._webhook = hot
    assert rows(served) == [{"id": "e1"}]


# -- long bodies


def test_a_long_body_is_committed_in_parts_and_counts_exactly(serve: Serve) -> None:
    with serve(cut=Cut(bytes=100_000)) as served:
        body = lines(events(20_000))
        assert post(f"{served.orders}?group_by=type&sum_field=amount", body, LINES).json["accepted"] == 20_000
        wanted: Counter[str] = Counter()
        for event in events(20_000):
            wanted[event["type"]] += event["amount"]
        assert {key[0]: total for key, (_, total) in sums(served).items()} == wanted
        assert served.service.webhook.commits
        assert served.service.webhook.commits.figures.commits >= 3


@pytest.mark.parametrize(("budget", "parts"), [(64 << 20, 1), (1 << 18, 3)])
def test_long_bodies_share_a_budget_of_memory(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, budget: int, parts: int
) -> None:
    """A body alone has the whole budget; with a small one, as with many bodies, batches are cut early."""
    monkeypatch.setattr(webhook, "BUDGET", budget)
    with serve(cut=Cut(rows=1_000_000)) as served:
        assert post(served.orders, lines([{"id": "x" * 1_000}]) * 1_500, LINES).json["accepted"] == 1_500
        assert served.service.webhook.commits
        assert served.service.webhook.commits.figures.commits >= parts
        assert (served.service.webhook.commits.figures.commits == 1) == (parts == 1)
        assert served.service.webhook.figures.long == 0


def test_a_chunked_body_needs_no_length(served: Served) -> None:
    body = lines(events(50))
    with Wire(served.url).head("/webhook/orders", transfer_encoding="chunked") as wire:
        for start in range(0, len(body), 97):
            wire.chunk(body[start : start + 97])
        assert wire.chunk(b"").answer().json["accepted"] == 50
    assert rows(served) == events(50)


def test_two_posts_use_one_connection(served: Served) -> None:
    with Wire(served.url) as wire:
        for _ in range(2):
            wire.head("/webhook/orders", content_length="12").send(b'{"id": "e1"}')
            assert wire.answer().status == 200


class GatedStore(SqliteStore):
    """Commits only while the gate is open."""

    gate = threading.Event()

    def commit_all(self, batches: Iterable[Batch]) -> dict[int, Outcome]:
        assert self.gate.wait(20)
        return super().commit_all(batches)


def test_the_socket_is_read_no_faster_than_the_store_writes(serve: Serve, tmp_path: Any) -> None:
    """With the store held up the sender can get rid of what fits into the buffers on the way, and no more."""
    line = lines([{"id": "x" * 1_000}])
    block, blocks = line * 256, 160  # 40 MiB
    with GatedStore(tmp_path / "gated.db") as store, serve(store=store, cut=Cut(bytes=1 << 18)) as served:
        store.gate = threading.Event()
        with Wire(served.url).head("/webhook/orders", content_length=str(len(block) * blocks)) as wire:
            wire.socket.settimeout(1.0)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < len(block) * blocks:
                    sent += wire.socket.send(block[sent % len(block) :])
            assert sent < len(block) * blocks / 2
            assert served.service.webhook.figures.in_flight == 1
            store.gate.set()
            wire.socket.settimeout(20)
            while sent < len(block) * blocks:
                sent += wire.socket.send(block[sent % len(block) :])
            assert wire.answer().json["accepted"] == 256 * blocks


# -- again


def test_a_delivery_that_is_sent_again_changes_nothing(served: Served) -> None:
    head = {**LINES, "webhook-id": "msg_1"}
    assert post(served.orders, lines(events(5)), head).json["accepted"] == 5
    assert post(served.orders, lines(events(5)), head).json == {"accepted": 0, "duplicates": 5, "dead": 0, "groups": 0}
    assert rows(served) == events(5)
    # The control: without an id the server cannot know.
    post(served.orders, lines(events(5)), LINES)
    assert len(rows(served)) == 10


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_delivery_that_broke_off_goes_on_inside_the_body(served: Served, encoding: str) -> None:
    stored = lines(events(300))
    rows_stored = stored.splitlines()[:200]
    served.store.commit(Batch("orders", rows_stored, messages=rows_stored, deliveries=[Delivery("msg_1", 200, False)]))
    body = stored if encoding == "identity" else gzip.compress(stored)
    answer = post(served.orders, body, {**LINES, "webhook-id": "msg_1", "content-encoding": encoding})
    assert answer.json == {"accepted": 100, "duplicates": 200, "dead": 0, "groups": 0}
    assert rows(served) == events(300)
    assert served.store.done("orders", "msg_1") == Delivery("msg_1", 300, True, fingerprint=fingerprint(stored))
    assert post(served.orders, body, {**LINES, "webhook-id": "msg_1", "content-encoding": encoding}).status == 200


def other_bodies() -> Iterator[Any]:
    """First body, second body, and how both are sent."""
    one = b'{"id": "e1"}'
    long, longer = lines(events(9_000)), lines(events(9_001))
    for name, (first, second, query, head) in {
        "one event": (one, b'{"id": "e2"}', "", {}),
        "one more": (one, one + b"\n" + one, "", {}),
        "one as well, but an array": (one, b"[" + one + b"]", "", {}),
        "sums": (one, b'{"id": "e2"}', "?group_by=id", {}),
        "none": (b"[]", one, "", {}),
        "long": (long, longer, "", LINES),
        "long, cut short": (longer, long, "", LINES),
        "long, another first event": (long, long.replace(b"e0", b"f0", 1), "", LINES),
        "gzip": (gzip.compress(one), gzip.compress(b'{"id": "e2"}'), "", {"content-encoding": "gzip"}),
        "configured": (b'{"fields": "id"}\n' + one, b'{"fields": "id"}\n{"id": "e2"}', "?config=body", {}),
    }.items():
        yield pytest.param(first, second, query, head, id=name)


@pytest.mark.parametrize(("first", "second", "query", "head"), list(other_bodies()))
def test_another_body_under_a_known_id_is_refused_and_changes_nothing(
    served: Served, first: bytes, second: bytes, query: str, head: dict[str, str]
) -> None:
    named = {**head, "webhook-id": "msg_1"}
    answer = post(served.orders + query, first, named)
    before = served.store.status()
    refused = post(served.orders + query, second, named)
    assert (refused.status, refused.headers["content-type"]) == (422, "application/problem+json")
    assert refused.json["must"] == "a webhook-id must come with the same body each time"
    assert "under a new id" in refused.json["do"]
    after = served.store.status()
    assert (after.rows, after.dead_letters) == (before.rows, before.dead_letters)
    again = post(served.orders + query, first, named)
    assert (again.status, again.json["accepted"]) == (200, 0), "the first one may still come again"
    # The control: under an id of its own the second body is taken.
    other = post(served.orders + query, second, {**head, "webhook-id": "msg_2"})
    assert (other.status, other.json["accepted"] > 0) == (200, True) or answer.status == 400


def test_another_body_is_refused_inside_a_delivery_that_broke_off(serve: Serve) -> None:
    whole = lines(events(9_000))
    named = {**LINES, "webhook-id": "msg_1"}
    with serve(cut=Cut(bytes=1)) as served:
        with Wire(served.url).head("/webhook/orders", content_length=str(len(whole)), webhook_id="msg_1") as wire:
            wire.send(whole[: len(whole) // 2])
            until(lambda: served.store.done("orders", "msg_1") is not None)
        until(lambda: served.service.webhook.figures.in_flight == 0)
        known = served.store.done("orders", "msg_1")
        assert known is not None
        assert (known.complete, known.fingerprint is None) == (False, False)
        for other in (whole.replace(b"e7", b"f7", 1), whole[: len(whole) // 9], lines(events(2))):
            assert post(served.orders, other, named).status == 422
        assert served.store.status().rows == known.done
        assert post(served.orders, whole, named).json["duplicates"] == known.done
        assert rows(served) == events(9_000)


def test_a_sender_that_has_not_sent_its_body_does_not_hold_up_another_of_the_same_delivery(served: Served) -> None:
    with Wire(served.url).head(
        "/webhook/orders", content_length="12", webhook_id="msg_1", expect="100-continue"
    ) as one:
        assert one.socket.recv(64).startswith(b"HTTP/1.1 100")  # it is being received now
        assert post(served.orders, b'{"id": "e1"}', {"webhook-id": "msg_1"}).json["accepted"] == 1
        assert one.send(b'{"id": "e1"}').answer().json["duplicates"] == 1
    assert post(served.orders, b'{"id": "e1"}', {"webhook-id": "msg_1"}).json["duplicates"] == 1


# -- refusals


@pytest.mark.parametrize(
    ("status", "path", "body", "headers"),
    [
        (400, "", b"", {}),
        (400, "", b" \n\n", LINES),
        (400, "?group_by=", b"{}", {}),
        (400, "?colour=red", b"{}", {}),
        (400, "?group_by=type&fields=id", b"{}", {}),
        (400, "?group_by=type&dedupe=id", b"{}", {}),
        (400, "?config=body", b'{"colour": "red"}\n{}', {}),
        (400, "?config=body", b"not JSON\n{}", {}),
        (400, "?path=events", b"{}", LINES),
        (400, "", b"{}", {"webhook-id": "a" * 300}),
        (400, "", b"not gzip", {"content-encoding": "gzip"}),
        (400, "", gzip.compress(b'{"id": "e1"}', mtime=0)[:-5], {"content-encoding": "gzip"}),
        (415, "", b"id=e1", {"content-type": "application/x-www-form-urlencoded"}),
        (415, "", b"{}", {"content-type": "application/json; charset=latin-1"}),
        (415, "", b"{}", {"content-encoding": "br"}),
        (422, "", b"nonsense", {}),
        (422, "", b'[{"id": "e1"}, {"id": ', {}),
    ],
)
def test_a_refusal_says_what_must_be(
    shared: Served, status: int, path: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = post(shared.orders + path, body, headers)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert all(answer.json[part] for part in ("title", "detail", "must", "got", "do"))


@pytest.mark.parametrize(
    ("path", "body", "headers", "detail"),
    [
        ("/orders", b"not gzip", {"content-encoding": "gzip"}, "a gzip body must be intact, got Error -3"),
        ("/orders?groupby=type", b"{}", {}, "parameters must be of "),
        ("/orders?path=events", b"{}", LINES, "path must be empty for "),
        ("/", b"{}", {}, "stream must be 1 to 80 bytes of printable text, got ''"),
    ],
)
def test_a_refusal_says_each_thing_once(
    shared: Served, path: str, body: bytes, headers: dict[str, str], detail: str
) -> None:
    document = post(f"{shared.url}/webhook{path}", body, headers).json
    assert document["detail"].startswith(detail)
    assert document["detail"].count(" must be ") == document["detail"].count(", got ") == 1
    assert document["must"] in document["detail"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"amount": 01}', "invalid number"),
        (b'{"amount": NaN}', "invalid character"),
        (b"[[1], 5]", "array"),
    ],
)
def test_a_body_of_bad_records_alone_is_refused_with_the_first_ones_reason(
    served: Served, body: bytes, reason: str
) -> None:
    problem = post(served.orders, body)
    assert (problem.status, problem.json["record"]) == (422, 1)
    first = served.store.dead_letters("orders")[0].letter
    assert reason in first.reason
    assert first.reason in problem.json["got"]


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/cloudevents+json"])
def test_the_refusal_of_a_type_names_those_that_are_taken(shared: Served, kind: str) -> None:
    assert post(shared.orders, b'{"id": "e1"}', {"content-type": kind}).status == 200
    assert (
        kind.replace("application/cloudevents", "...")
        in post(shared.orders, b"{}", {"content-type": "text/css"}).json["must"]
    )


def test_another_method_and_a_stream_without_name_are_refused(shared: Served) -> None:
    assert get(shared.orders).status == 405
    assert get(shared.orders).headers["allow"] == "POST"
    assert post(f"{shared.url}/webhook/", b"{}").status == 400


def test_a_malformed_array_keeps_what_came_before_and_says_where(served: Served) -> None:
    body = b'[{"id": "e1"}, {"id": "e2"}, {"id": "e3", ] and so on'
    problem = post(served.orders, body).json
    assert (problem["accepted"], problem["record"], problem["offset"]) == (2, 3, body.index(b'{"id": "e3"'))
    assert rows(served) == [{"id": "e1"}, {"id": "e2"}]


def test_bad_lines_become_dead_letters_and_the_rest_goes_on(served: Served) -> None:
    body = b'{"id": "e1"}\nnonsense\n{"id": "e2"}\n{"id": NaN}\n[1]\n{"id": "e3"'
    assert post(served.orders, body, LINES).json == {"accepted": 2, "duplicates": 0, "dead": 4, "groups": 0}
    letters = {one.letter.record: one.letter for one in served.store.dead_letters("orders")}
    assert sorted(letters) == [2, 4, 5, 6]
    assert (letters[2].raw, letters[2].offset) == (b"nonsense", body.index(b"nonsense"))


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(serve: Serve) -> None:
    with serve(limits=Limits(max_body=1_000)) as served, Wire(served.url) as wire:
        assert wire.head("/webhook/orders", content_length="1001").answer().status == 413
        assert wire.closed()


def test_a_body_that_turns_out_too_long_is_refused_on_the_way(serve: Serve) -> None:
    with serve(limits=Limits(max_body=1_000)) as served, Wire(served.url) as wire:
        answer = wire.head("/webhook/orders", transfer_encoding="chunked").chunk(b"x" * 1_001).answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert wire.closed()


def test_an_early_refusal_does_not_read_the_rest(served: Served) -> None:
    """A gigabyte was announced; the server answers at the head, listens for a moment, and hangs up."""
    with Wire(served.url).head("/webhook/orders", content_length=str(1 << 30), content_type="text/css") as wire:
        assert wire.answer().status == 415
        assert wire.closed()
    assert served.service.webhook.figures.bytes == 0


def test_a_gzip_bomb_is_refused_before_it_has_swollen(serve: Serve) -> None:
    bomb = gzip.compress(b" " * (50 << 20))
    with serve(limits=Limits(max_inflated=1 << 20)) as served:
        answer = post(served.orders, bomb, {**LINES, "content-encoding": "gzip"})
        assert (answer.status, len(bomb) < 100_000) == (413, True)


def test_posts_past_the_limit_are_told_when_to_come_again(serve: Serve) -> None:
    with serve(limits=Limits(max_in_flight=1)) as served:
        with Wire(served.url).head("/webhook/orders", content_length="12", expect="100-continue") as first:
            assert first.socket.recv(64).startswith(b"HTTP/1.1 100")
            with Wire(served.url) as second:
                for _ in range(2):  # a short body is read all the same, so the connection goes on
                    second.head("/webhook/orders", content_length="12").send(b'{"id": "e2"}')
                    refused = second.answer()
                    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            assert first.send(b'{"id": "e1"}').answer().status == 200
        assert post(served.orders, b'{"id": "e2"}').status == 200


# -- signed


def signed(body: bytes, secret: str = SECRET, message: str = "msg_1", at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": sign(secret, message, at, body),
    }


@pytest.fixture
def guarded(serve: Serve) -> Any:
    with serve(streams=only("orders", SECRET), cut=Cut(bytes=1 << 18)) as served:
        yield served


@pytest.mark.parametrize("count", [1, 20_000], ids=["small", "spooled"])
def test_a_signed_body_counts_and_a_forged_one_does_not(guarded: Served, count: int) -> None:
    body = lines(events(count))
    forged = body[:-5] + b"9" + body[-4:]
    assert post(guarded.orders, forged, {**LINES, **signed(body)}).status == 401
    assert rows(guarded) == []
    assert post(guarded.orders, body, {**LINES, **signed(body)}).json["accepted"] == count
    assert len(rows(guarded)) == count


def test_an_unsigned_or_stale_post_is_refused_before_its_body_is_read(guarded: Served) -> None:
    unsigned = post(guarded.orders, b"{}")
    assert (unsigned.status, "www-authenticate" in unsigned.headers) == (401, True)
    assert post(guarded.orders, b"{}", signed(b"{}", at=1_000_000)).status == 401
    assert guarded.service.webhook.figures.bytes == 0


def test_a_replayed_signature_changes_nothing(guarded: Served) -> None:
    head = signed(b'{"id": "e1"}')
    assert post(guarded.orders, b'{"id": "e1"}', head).json["accepted"] == 1
    assert post(guarded.orders, b'{"id": "e1"}', head).json["duplicates"] == 1
    assert rows(guarded) == [{"id": "e1"}]


def test_the_signature_is_over_the_bytes_as_sent(guarded: Served) -> None:
    body = gzip.compress(lines(events(3)))
    assert post(guarded.orders, body, {**LINES, "content-encoding": "gzip", **signed(body)}).json["accepted"] == 3


# -- what senders in the field send


@pytest.mark.parametrize(
    ("query", "body"), [("", b"[]"), ("?path=events", b'{"destination":"x","events":[]}')], ids=["CloudEvents", "LINE"]
)
def test_an_empty_batch_is_nobodys_error(served: Served, query: str, body: bytes) -> None:
    assert post(served.orders + query, body).json["accepted"] == 0
    assert post(served.orders + "?path=evnts", body).status == 422, "but a path that leads nowhere is"
    assert post(served.orders + query, b"\n \n").status in (400, 422)


def test_a_record_over_the_limit_is_no_2xx_and_the_refusal_names_the_option(serve: Serve) -> None:
    with serve(limits=Limits(max_record=1_000)) as served:
        answer = post(served.orders, b'{"id":1}\n{"note":"%b"}\n{"id":2}\n' % (b"x" * 2_000), LINES)
        assert (answer.status, answer.json["accepted"], answer.json["dead"]) == (413, 2, 1)
        assert "--max-line" in answer.json["detail"]
        assert len(rows(served)) == 2


def test_money_is_summed_exactly_and_shown_as_numbers(served: Served) -> None:
    for amount in (b"0.10", b'"0.10"') * 5:
        post(served.orders + "?group_by=t&sum_field=amount", b'{"t":"x","amount":%b}' % amount)
    assert b'"sum":1.00,' in get(f"{served.url}/results?stream=orders").body


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8;", 200),
        ('application/json ; charset="UTF-8"', 200),
        ("application/json; profile=x; charset=iso-8859-1", 415),
        ('application/json; profile="a;b"; charset=utf-8', 200),
        ("application/json; =", 415),
        ("application/cloudevents+json; charset=us-ascii", 200),
    ],
)
def test_the_parameters_of_a_content_type_are_understood(shared: Served, content_type: str, status: int) -> None:
    assert post(shared.orders, b"{}", {"content-type": content_type}).status == status


def test_two_names_that_are_not_utf_8_do_not_become_one_stream(served: Served) -> None:
    for name in ("%ff", "%fe"):
        assert post(f"{served.url}/webhook/{name}", b"{}").status == 400
    assert post(f"{served.url}/webhook/%EF%BF%BD", b"{}").status == 200


def test_others_get_their_turn_behind_each_piece_of_what_a_small_body_inflates_to() -> None:
    """64 KiB of gzip may be 64 MiB of lines: the loop must look up between two pieces, not between two blocks."""
    turns: list[int] = []

    async def others() -> None:
        while True:
            turns.append(len(pieces))
            await asyncio.sleep(0)

    async def sent() -> AsyncIterator[bytes]:
        yield gzip.compress(b"\n" * (2 << 20))

    async def taken() -> None:
        other = asyncio.create_task(others())
        async for piece in inflated(sent(), Limits()):
            pieces.append(len(piece))  # noqa: PERF401  the others look at it meanwhile
        other.cancel()

    pieces: list[int] = []
    asyncio.run(taken())
    assert sum(pieces) == 2 << 20
    assert set(range(1, len(pieces))) <= set(turns)


def test_of_two_batches_that_are_refused_together_neither_error_is_printed(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Both find the whole delivery stored, as where another server was faster; the second nobody waits for."""
    body = b'{"id": 1}\n{"id": 2}\n'
    with serve(cut=Cut(bytes=1)) as served:
        assert post(served.orders, body, {"webhook-id": "a"}).json["accepted"] == 2
        assert post(served.orders, body, {"webhook-id": "a"}).json["duplicates"] == 2
        until(lambda: served.service.webhook.figures.in_flight == 0)
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
