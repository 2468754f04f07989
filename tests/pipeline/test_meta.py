"""What is known beside a record is stored with its row and travels with its message, whatever the database or queue."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.batch import META_LIMIT, Batch
from arion_lib.pipeline.formats.records import open_decoder
from arion_lib.pipeline.ingest import Intake, batches_of
from arion_lib.pipeline.outbox import Relay
from arion_lib.pipeline.queues.consume import consume
from arion_lib.pipeline.queues.file_queue import FileBroker
from arion_lib.pipeline.queues.messages import pack_metas, unpack_metas
from arion_lib.pipeline.shapes.meta import describe
from arion_lib.pipeline.shapes.recipe import Recipe
from tests.pipeline.databases import Database, database
from tests.pipeline.queues import Queue, queue

__all__ = ["database", "queue"]

PUSH, PING = describe(0.0, "d1", {"x-github-event": "push"}), describe(1.0, "d2", {"x-github-event": "ping"})


@given(st.dictionaries(st.text(max_size=200), st.text(max_size=2_000), max_size=20))
def test_whatever_the_headers_the_text_is_bounded_and_names_what_it_leaves_out(headers: dict[str, str]) -> None:
    text = describe(0.0, "d", headers)
    assert len(text.encode()) <= META_LIMIT
    found = json.loads(text)
    kept = found.get("headers", {})
    assert kept == {name: headers[name] for name in kept}
    if len(json.dumps(headers)) < META_LIMIT - 200:
        assert kept == headers, "what fits is kept"


@given(st.lists(st.sampled_from([None, PUSH, PING])))
def test_runs_give_back_what_stands_beside_each_message(metas: list[str | None]) -> None:
    back = unpack_metas(pack_metas(metas), len(metas))
    assert back == (metas if any(metas) else [])


def test_metas_stand_beside_their_rows_and_reach_the_consumer(database: Database, queue: Queue) -> None:
    rows = [b'{"n":%d}' % number for number in range(5)]
    with database.open() as store, queue.open() as broker:
        plain, push = (
            Batch("s", rows[:1], messages=rows[:1]),
            Batch("s", rows[1:3], messages=rows[1:3], metas=[PUSH] * 2),
        )
        ping = Batch("s", rows[3:4], messages=rows[3:4], metas=[PING])
        store.commit_all([plain, push, ping, Batch("s", rows[4:], messages=rows[4:])])
        assert [row.meta for row in store.rows("s")] == [None, PUSH, PUSH, PING, None]
        Relay(store, broker).drain()
        claim = broker.claim(timeout=20.0)
        assert claim is not None
        assert (list(claim.messages), list(claim.metas)) == (rows, [None, PUSH, PUSH, PING, None])
        broker.ack(claim)


def test_metas_stay_with_their_messages_where_rows_are_left_out_or_others_are_between(database: Database) -> None:
    rows = [b"0", b"1", b"2"]
    with database.open() as store:
        known = Batch("s", rows[:1], ids=["e0"])
        some = Batch("s", rows, messages=rows, ids=["e0", "e1", "e2"], metas=[PING, PUSH, None])
        store.commit_all([known, Batch("s", messages=[b"sum"]), some])
        assert [row.meta for row in store.rows("s")] == [None, PUSH, None]
        (entry,) = store.outbox()
        assert list(entry.messages) == [b"sum", b"1", b"2"]
        assert list(entry.metas) == [None, PUSH, None]


def test_a_consumer_in_any_language_gets_it_before_the_data(tmp_path: Path) -> None:
    out = io.BytesIO()
    with FileBroker(tmp_path) as broker:
        broker.publish("s", [b'{"n":1}', b'{"n":2}'], ["a.1", "a.2"], [PUSH, None])
        broker.publish("s", [b'{"n":3}'], ["a.3"])
        consume(broker, out, ids=True)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line.get("meta") for line in lines] == [json.loads(PUSH), None, None]
    assert [line["data"]["n"] for line in lines] == [1, 2, 3]


def test_every_row_of_a_body_has_the_meta_of_its_post() -> None:
    intake = Intake("s", Recipe(), lambda kind, skip: open_decoder(None, kind, skip=skip), meta=PUSH)
    (batch,) = batches_of([b'{"n": 1}\n{"n": 2}\n'], intake)
    assert batch.metas == [PUSH, PUSH]


@pytest.mark.parametrize("meta", ["x" * (META_LIMIT + 1), "[]", '{"a":\n1}', "nonsense", "\ud800"])
def test_what_is_no_small_object_on_one_line_is_refused(database: Database, meta: str) -> None:
    with database.open() as store:
        with pytest.raises(ValueError, match="meta must be"):
            store.commit(Batch("s", [b"1"], metas=[meta]))
        assert store.rows("s") == []
    with pytest.raises(ValueError, match="metas must be as many as rows"):
        Batch("s", [b"1"], metas=[])
