"""The sender: it counts what it sent, as the server does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.web.playing.load import Load, LoadGenerator, post_events
from arion_lib.web.playing.sender import complete_status
from tests.web.conftest import Served


def test_the_sender_and_the_server_count_the_same(served: Served) -> None:
    load = post_events(served.orders, 500, connections=16)
    assert load.statuses == {200: 500}
    assert (load.answered, load.broken, len(load.latencies)) == (500, 0, 500)
    assert served.service.webhook.figures.accepted == 500
    assert load.quantile(0.5) <= load.quantile(0.99) <= load.seconds
    assert max(load.latencies) > 0 <= min(load.latencies)  # of many, a coarse clock says 0.0
    ids = sorted(row.body.split(b'"')[3] for row in served.store.rows("orders", limit=1_000))
    assert ids == sorted(b"e%d" % n for n in range(500))


def test_headers_are_made_for_each_event(served: Served) -> None:
    load = post_events(served.orders, 20, connections=1, headers=lambda n, body: {"webhook-id": f"m{n // 2}"})
    assert load.answered == 20
    # Each id was sent twice: one of the two was stored, the other recognised.
    assert served.service.webhook.figures.accepted == 10


def test_requests_made_ahead_are_all_there_before_the_first_is_sent(served: Served) -> None:
    figures, made = served.service.webhook.figures, []

    def headers(n: int, body: bytes) -> dict[str, str]:
        made.append((n, figures.accepted))
        return {"webhook-id": f"m{n}-{len(body)}"}

    load = post_events(served.orders, 40, connections=4, headers=headers, ahead=True)
    assert made == [(n, 0) for n in range(40)]
    assert (load.answered, figures.accepted) == (40, 40)


def test_a_rate_can_change_while_it_runs(served: Served) -> None:
    with LoadGenerator(served.orders, connections=8) as load:
        assert load.counts()["sent"] == 0
        load.rate = 2_000
        while load.counts()["accepted"] < 100:
            pass
        load.rate = 0
        assert load.rate == 0
        with pytest.raises(ValueError, match="rate must be >= 0"):
            load.rate = -1
        settled = load.counts()
    assert settled["failed"] == settled["refused"] == 0
    assert served.service.webhook.figures.accepted >= 100


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match=r"refused|Connect"):
        post_events("http://127.0.0.1:9/webhook/orders", 1)


@pytest.mark.parametrize("arguments", [{"total": 0}, {"total": 1, "connections": 0}])
def test_nothing_to_send_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be >= 1"):
        post_events("http://127.0.0.1:9/", **arguments)


@given(st.integers(0, 120))
def test_an_answer_is_complete_with_its_last_byte_and_not_before(cut: int) -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\nX-A: b\r\nContent-Length: 11\r\n\r\nhello world"
    part = answer[: min(cut, len(answer))]
    assert complete_status(part) == (503 if len(part) == len(answer) else None)


def test_quantiles_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="latencies must not be empty"):
        Load({}, 0, 1.0, ()).quantile(0.5)
