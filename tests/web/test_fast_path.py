"""The short way answers as the long way does, in its turn, and not before the event is durable."""

from __future__ import annotations

import hmac
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.store import StoreBusy
from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web.edge.fast_path import FastPath
from arion_lib.web.edge.fast_protocol import FastProtocol
from arion_lib.web.requests import Limits
from arion_lib.web.signatures import HmacVerifier, Verifier, sign
from arion_lib.web.streams import IdIn, Rules, Streams
from tests.selection import examples
from tests.web.client import Answer, Wire, accepts, until
from tests.web.conftest import HeldStore, Serve, Served, only, serving

JSON = "content-type: application/json\r\n"
EVENT = b'{"id": "e1", "amount": 7}'


@pytest.fixture(autouse=True)
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that went the short way."""
    bodies: list[bytes] = []
    offer = FastProtocol._take

    def noting(self: FastProtocol, body: bytes) -> bool:
        took = offer(self, body)
        bodies.extend([body] if took else [])
        return took

    monkeypatch.setattr(FastProtocol, "_take", noting)
    return bodies


def request(body: bytes, further: str = JSON, line: str = "POST /webhook/orders HTTP/1.1") -> bytes:
    return f"{line}\r\nhost: localhost\r\n{further}content-length: {len(body)}\r\n\r\n".encode() + body


def ask(served: Served, *pieces: bytes) -> Answer:
    """Send a request in these pieces, each after the server has read the one before."""
    with Wire(served.url) as wire:
        for number, piece in enumerate(pieces):
            if number:
                until(lambda: served.service.webhook.figures.in_flight == 1)
            wire.send(piece)
        return wire.answer()


def without_date(answer: Answer) -> tuple[Any, ...]:
    """Return what the answer says, but for when: its date, and how old a late signature is by now."""
    body = re.sub(rb"one \d+ s old", b"one that is old", answer.body)
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
    return answer.status, headers, body


def rows(served: Served) -> list[bytes]:
    return [row.body for row in served.store.rows("orders", limit=1_000)]


def settled(served: Served) -> dict[str, object]:
    """Return the figures once nothing is in flight: a request is counted out just behind its answer."""
    figures = served.service.webhook.figures
    until(lambda: figures.as_dict()["in_flight"] == 0)
    return dict(figures.as_dict())


@pytest.mark.parametrize(
    ("short", "body", "further", "line"),
    [
        (True, EVENT, JSON, "POST /webhook/orders HTTP/1.1"),
        (True, EVENT + b"\n", "", "POST /webhook/orders?fields=id,amount HTTP/1.1"),
        (True, EVENT, JSON + "webhook-id: msg_1\r\n", "POST /webhook/orders HTTP/1.1"),
        (True, EVENT, JSON + "connection: close\r\n", "POST /webhook/orders HTTP/1.1"),
        (False, EVENT + b"\n" + EVENT, JSON, "POST /webhook/orders HTTP/1.1"),
        (False, b"[" + EVENT + b"]", JSON, "POST /webhook/orders HTTP/1.1"),
        (False, EVENT, JSON, "POST /webhook/orders?group_by=id HTTP/1.1"),
        (False, EVENT, JSON, "POST /webhook/orders HTTP/1.0"),
        (False, EVENT, JSON, "POST /webhook/%6Frders HTTP/1.1"),
        (False, b'{"id": ', JSON, "POST /webhook/orders HTTP/1.1"),
        (False, b"x", JSON, "POST /webhook/orders?colour=red HTTP/1.1"),
        (False, EVENT, "content-type: text/css\r\n", "POST /webhook/orders HTTP/1.1"),
        (False, EVENT, JSON + "content-encoding: gzip\r\n", "POST /webhook/orders HTTP/1.1"),
        (False, EVENT, JSON + "webhook-id: \xe9\r\n", "POST /webhook/orders HTTP/1.1"),
        (False, EVENT, JSON, "PUT /webhook/orders HTTP/1.1"),
        (False, EVENT, JSON, "POST /webhook/ HTTP/1.1"),
        (False, EVENT, JSON, "POST /elsewhere HTTP/1.1"),
    ],
)
def test_both_ways_answer_the_same_and_store_the_same(
    serve: Serve, tmp_path: Path, taken: list[bytes], short: bool, body: bytes, further: str, line: str
) -> None:
    whole = request(body, further, line)
    found = []
    for name, prompt in (("short", True), ("long", False)):
        with SqliteStore(tmp_path / f"{name}.db") as store, serve(store=store) as served:
            if not prompt:
                served.app.fast_path = None
            found.append((without_date(ask(served, whole)), rows(served), settled(served)))
    assert found[0] == found[1]
    assert taken == ([body] if short else [])


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PLAIN = "a-secret-of-github-s"


class Schemes(dict[str, Rules]):
    """Rules by what a stream's name begins with, so that each example has a stream of its own."""

    def get(self, name: str, other: Any = None) -> Any:
        return super().get(name.partition("-")[0], other)


SCHEMES = Schemes(
    standard=Rules(verifier=Verifier([SECRET])),
    github=Rules(
        verifier=HmacVerifier([PLAIN], header="x-hub-signature-256", prefix="sha256="),
        delivery_header=b"x-github-delivery",
    ),
    named=Rules(id_in=IdIn("id")),
    fields=Rules(Recipe(fields=("a", "id")), delivery_header=b"x-github-delivery"),
    sums=Rules(Recipe(group_by=("a",))),
    kept=Rules(keep_headers=("webhook-id", "content-type")),
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Two servers, the second without the short way."""
    with (
        serving(tmp_path_factory.mktemp("short"), streams=Streams(SCHEMES)) as short,
        serving(tmp_path_factory.mktemp("long"), streams=Streams(SCHEMES)) as long,
    ):
        long.app.fast_path = None
        yield short, long


def signatures(scheme: str, body: bytes, wrong: str) -> list[str]:
    """Sign as the scheme does; `wrong` says what is not as it should be."""
    now = int(time.time()) - (9_000 if wrong == "late" else 0)
    signed = body + b" " if wrong == "body" else body
    key = PLAIN + "!" if wrong == "secret" else PLAIN
    mac = hmac.digest(key.encode(), signed, "sha256").hex()
    secret = SECRET.replace("MfKQ", "QfKM") if wrong == "secret" else SECRET
    stamp = "soon" if wrong == "stamp" else str(now)
    ways = {
        "standard": [
            "webhook-id: " + ("m2" if wrong == "id" else "m1"),
            f"webhook-timestamp: {stamp}",
            f"webhook-signature: v1,AAAA {sign(secret, 'm1', now, signed)}",
        ],
        "github": [f"x-hub-signature-256: sha256={mac}", "x-github-delivery: " + ("\u00e9" if wrong == "id" else "d1")],
        "fields": ["x-github-delivery: d1"],
    }
    found = ways.get(scheme, [])
    return found[:-1] if wrong == "missing" else found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab") | st.text(max_size=3), inner),
    max_leaves=6,
)
bodies = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b", "id"]), json_values, max_size=3).map(
        lambda event: json.dumps(event).encode()
    ),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=12),
    st.sampled_from([b"", b"{}", b"{}\n", b"{}\n{}", b"[]", b" {} ", b'{"a": NaN}', b"{}x", b'{"a":"\\ud800"}']),
)
queries = st.sampled_from(
    (
        "|||?|?fields=a|?fields=a,b.c|?fields=a,a.b|?group_by=a|?dedupe=id|?path=a|?x=1|?config=body|?fields=a&fields=b"
        "|?fields=%ff|?fields=a#b|?fields=" + ".".join(["a"] * 400)
    ).split("|")
)
header_lines = st.lists(
    st.sampled_from(
        [
            "content-type: application/json",
            "content-type: application/json; charset=utf-8;",
            "content-type: text/css",
            "content-type: application/x-ndjson",
            "Webhook-ID: one",
            "webhook-id: other  ",
            "webhook-id: \u00e9",
            "webhook-id:",
            "content-encoding: identity",
            "content-encoding: gzip",
            "connection: close",
            "connection: Upgrade\r\nupgrade: h2c",
            "origin: http://elsewhere.example",
            "host: elsewhere.example",
            "expect: 100-continue",
            "webhook-signature: v1,AAAA",
        ]
    ),
    max_size=3,
    unique=True,
)
names = itertools.count()


@given(
    body=bodies,
    query=queries,
    lines=header_lines,
    cut=st.integers(0, 400),
    times=st.integers(1, 2),
    scheme=st.sampled_from(["any", "any", *SCHEMES]),
    wrong=st.sampled_from(["", "", "", "late", "body", "secret", "id", "stamp", "missing"]),
)
@settings(deadline=None, max_examples=examples(300))
def test_whatever_is_sent_both_ways_answer_and_store_the_same(
    both: tuple[Served, Served],
    body: bytes,
    query: str,
    lines: list[str],
    cut: int,
    times: int,
    scheme: str,
    wrong: str,
) -> None:
    stream = f"{scheme}-{next(names)}"
    lines = lines + signatures(scheme, body, wrong)
    query = "" if SCHEMES.get(scheme, Rules()).recipe else query
    sent = "".join(f"{line}\r\n" for line in lines if not line.startswith("expect"))
    head = f"POST /webhook/{stream}{query} HTTP/1.1\r\nhost: localhost\r\n{sent}content-length: {len(body)}\r\n\r\n"
    whole = head.encode("latin-1", "replace") + body
    cut = min(cut, len(whole))
    found = []
    for served, pieces in zip(both, ([whole], [whole[:cut], whole[cut:]]), strict=True):
        for _ in range(times):
            with Wire(served.url) as wire:
                for piece in pieces:
                    wire.send(piece)
                answer = wire.answer()
        kept = [(row.body, beside(row.meta)) for row in served.store.rows(stream)], served.store.results(stream)
        dead = [one.letter for one in served.store.dead_letters(stream)]
        done = [served.store.done(stream, name) for name in ("m1", "m2", "d1", "one", "other")]
        found.append((without_date(answer), kept, dead, done))
    assert found[0] == found[1]
    assert found[0][0][0] < 500


def beside(meta: str | None) -> Any:
    """Read what stands beside a row, without its time."""
    return {name: value for name, value in json.loads(meta).items() if name != "received"} if meta else None


def test_what_the_fuzzer_signs_is_taken_the_short_way_and_what_it_signs_wrongly_refused(
    both: tuple[Served, Served], taken: list[bytes]
) -> None:
    """A control: else the test before compared two refusals."""
    for scheme in ("standard", "github"):
        for wrong in ("", "body", "secret", "missing"):
            lines = "".join(f"{line}\r\n" for line in signatures(scheme, EVENT, wrong))
            answer = ask(both[0], request(EVENT, JSON + lines, f"POST /webhook/{scheme}-x{wrong} HTTP/1.1"))
            assert answer.status == (401 if wrong and (scheme, wrong) != ("github", "missing") else 200)
    assert taken == [EVENT] * 3


def test_what_raises_on_the_short_way_goes_the_long_one(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of the short way")

    monkeypatch.setattr(FastPath, "offer", fail)
    assert ask(served, request(EVENT)).json["accepted"] == 1
    assert len(rows(served)) == 1


def test_a_body_that_comes_later_goes_the_long_way(served: Served, taken: list[bytes]) -> None:
    whole = request(EVENT)
    assert ask(served, whole[:-5], whole[-5:]).json["accepted"] == 1
    assert ask(served, whole[: -len(EVENT)], whole[-len(EVENT) :]).json["accepted"] == 1
    assert taken == []
    assert ask(served, whole).json["accepted"] == 1
    assert taken == [EVENT]


def test_nothing_is_answered_before_the_event_is_durable(serve: Serve, held: HeldStore, taken: list[bytes]) -> None:
    with serve(store=held) as served, Wire(served.url) as wire:
        wire.send(request(EVENT))
        assert held.entered.wait(20)
        wire.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)
        wire.socket.settimeout(20)
        held.gate.set()
        assert wire.answer().json["accepted"] == 1
        assert (rows(served), len(taken)) == ([EVENT], 1)


def test_pipelined_requests_are_answered_in_their_order(serve: Serve, held: HeldStore, taken: list[bytes]) -> None:
    events = [b'{"id": "e%d"}' % number for number in range(4)]
    with serve(store=held) as served, Wire(served.url) as wire:
        bad = request(b"", line="POST /webhook/orders?colour=red HTTP/1.1")
        wire.send(request(events[0]) + bad + request(events[1]) + request(events[2]))
        assert held.entered.wait(20)
        held.gate.set()
        reader = wire.socket.makefile("rb")
        assert [status_of(reader) for _ in range(4)] == [200, 400, 200, 200]
        wire.send(request(events[3]))
        assert status_of(reader) == 200
        assert sorted(rows(served)) == events
        assert taken[0] == events[0]
        assert taken[-1] == events[3], "and the connection is as good as new"
        reader.close()


def status_of(reader: Any) -> int:
    """Read one answer of several on a connection."""
    status = int(reader.readline().split()[1])
    length = 0
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.partition(b": ")
        length = int(value) if name.lower() == b"content-length" else length
    reader.read(length)
    return status


def test_a_known_delivery_is_told_so_and_another_body_under_its_id_refused(served: Served, taken: list[bytes]) -> None:
    named = JSON + "webhook-id: msg_1\r\n"
    with Wire(served.url) as wire:
        answers = [wire.send(request(body, named)).answer() for body in (EVENT, EVENT, b'{"id": "e2"}', EVENT)]
    assert [answer.status for answer in answers] == [200, 200, 422, 200]
    assert [answers[number].json["duplicates"] for number in (0, 1, 3)] == [0, 1, 1]
    assert len(taken) == 4
    figures = served.service.webhook.figures
    assert (figures.in_flight, figures.accepted, figures.duplicates) == (0, 1, 2)
    assert figures.answers == {200: 3, 422: 1}
    assert not served.service.webhook.arriving


def test_a_second_sender_of_a_pending_delivery_is_told_to_wait(serve: Serve, held: HeldStore) -> None:
    named = JSON + "webhook-id: msg_1\r\n"
    with serve(store=held) as served, Wire(served.url) as one:
        one.send(request(EVENT, named))
        assert held.entered.wait(20)
        assert ask(served, request(EVENT, named)).status == 409
        held.gate.set()
        assert one.answer().json["accepted"] == 1


def test_a_store_that_fails_is_answered_as_on_the_long_way(serve: Serve, held: HeldStore, taken: list[bytes]) -> None:
    held.gate.set()
    with serve(store=held) as served:
        held.failure = StoreBusy("locked")
        short = without_date(ask(served, request(EVENT)))
        served.app.fast_path = None
        assert without_date(ask(served, request(EVENT))) == short
        assert (short[0], len(taken)) == (503, 1)
        held.failure = None
        assert ask(served, request(EVENT)).status == 200


@pytest.mark.parametrize("bound", ["in flight", "waiting"])
def test_past_a_bound_the_long_way_refuses(serve: Serve, held: HeldStore, bound: str, taken: list[bytes]) -> None:
    limits = Limits(max_in_flight=1) if bound == "in flight" else Limits(max_waiting=1)
    with serve(store=held, limits=limits) as served, Wire(served.url) as one, Wire(served.url) as two:
        one.send(request(EVENT))
        assert held.entered.wait(20)
        if bound == "waiting":
            two.send(request(EVENT))
            until(lambda: served.service.webhook.figures.in_flight == 2)
        refused = ask(served, request(EVENT))
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        held.gate.set()
        assert one.answer().status == 200
        assert len(taken) == 1 + (bound == "waiting")


def test_a_server_that_drains_answers_what_is_pending(serve: Serve, held: HeldStore, taken: list[bytes]) -> None:
    found: list[Answer] = []

    def send(served: Served, sent: Callable[[], object]) -> None:
        with Wire(served.url) as wire:
            wire.send(request(EVENT))
            sent()
            found.append(wire.answer())

    def commit_once_it_stops(url: str) -> None:
        until(lambda: not accepts(url))
        held.gate.set()

    with serve(store=held) as served:
        threads = [
            threading.Thread(target=send, args=(served, lambda: held.entered.wait(20))),
            threading.Thread(target=commit_once_it_stops, args=(served.url,)),
        ]
        for thread in threads:
            thread.start()
        assert held.entered.wait(20)
    for thread in threads:
        thread.join(20)
    assert found[0].json["accepted"] == 1
    assert found[0].headers["connection"] == "close"
    assert len(taken) == 1


def test_a_sender_that_is_gone_does_not_take_its_event_along(serve: Serve, held: HeldStore) -> None:
    with serve(store=held) as served:
        with Wire(served.url) as wire:
            wire.send(request(EVENT, JSON + "webhook-id: msg_1\r\n"))
            assert held.entered.wait(20)
        held.gate.set()
        until(lambda: served.service.webhook.figures.in_flight == 0)
        assert len(rows(served)) == 1
        assert ask(served, request(EVENT, JSON + "webhook-id: msg_1\r\n")).json["duplicates"] == 1


def test_signed_posts_are_verified_first(serve: Serve, taken: list[bytes]) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    with serve(streams=only("orders", secret)) as served:
        now = int(time.time())
        signed = f"webhook-id: msg_1\r\nwebhook-timestamp: {now}\r\n"
        signed += f"webhook-signature: {sign(secret, 'msg_1', now, EVENT)}\r\n"
        assert ask(served, request(EVENT)).status == 401
        assert taken == []
        assert ask(served, request(EVENT, JSON + signed)).status == 200
        assert taken == [EVENT]
        assert ask(served, request(EVENT + b" ", JSON + signed)).status == 401
        assert ask(served, request(EVENT, JSON + signed.replace("msg_1", "msg_2"))).status == 401
        assert ask(served, request(EVENT, JSON + signed.replace(str(now), str(now - 9_000)))).status == 401
        assert taken == [EVENT]
        assert ask(served, request(EVENT, JSON + signed)).json["duplicates"] == 1
