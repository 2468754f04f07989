"""What may follow what: deliveries, event ids and echoes, before any database is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.stores.plan import Outcomes, admit, by_stream, check, check_all, messages_are_rows

steps = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.booleans()), max_size=12)


@given(steps)
def test_whatever_is_offered_each_record_of_a_body_is_admitted_once_and_in_order(
    offered: list[tuple[int, int, bool]],
) -> None:
    batches = []
    for start, size, complete in offered:
        rows = [b"%d" % record for record in range(start, start + size)]
        batches.append(Batch("s", rows, deliveries=[Delivery("d", start + size, complete, start)]))
    refused: Outcomes = {}
    admitted = admit(check_all(batches, refused), lambda stream, name: None, lambda stream, numbers: set(), refused)
    records = [int(row) for one in admitted.values() for row in one.batch.rows]
    assert records == list(range(len(records)))
    assert len(admitted) + len(refused) == len(batches)


def test_comparing_the_end_alone_would_admit_a_record_twice() -> None:
    """The control: a batch that ends further than the last may still begin before it."""
    offered = [Delivery("d", 2, False), Delivery("d", 3, False, start=1)]
    refused: Outcomes = {}
    admit(
        check_all([Batch("s", deliveries=[one]) for one in offered], refused),
        lambda stream, name: None,
        lambda stream, numbers: set(),
        refused,
    )
    assert list(refused) == [1]
    done, by_end = 0, []
    for one in offered:
        if one.done > done:
            by_end += range(one.start, one.done)
            done = one.done
    assert by_end == [0, 1, 1, 2]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=5), st.sets(st.sampled_from("abcdef")))
def test_each_event_id_is_planned_once_and_none_that_the_store_has(groups: list[list[str]], stored: set[str]) -> None:
    rows = [[name.encode() for name in names] for names in groups]
    batches = [Batch("s", one, messages=one, ids=names) for one, names in zip(rows, groups, strict=True)]
    left_out: Outcomes = {}
    plans = by_stream(dict(enumerate(map(check, batches))), lambda stream, ids: stored & set(ids), left_out)
    fresh = list(dict.fromkeys(name for names in groups for name in names if name not in stored))
    assert (plans["s"].ids if plans else []) == fresh
    assert sum(left_out.values()) == sum(map(len, groups)) - len(fresh)
    assert all(0 < gone <= len(groups[index]) for index, gone in left_out.items())
    if plans:
        assert plans["s"].rows == plans["s"].messages == [name.encode() for name in fresh]
        assert plans["s"].echoes


def test_messages_are_the_rows_only_when_they_are_the_same_objects() -> None:
    rows = [b"%d" % number for number in range(300)]
    equal = [bytes(bytearray(row)) for row in rows]
    assert messages_are_rows(Batch("s", rows, messages=rows))
    assert messages_are_rows(Batch("s", rows, messages=tuple(rows)))
    assert not messages_are_rows(Batch("s", rows, messages=rows[:-1]))
    assert not messages_are_rows(Batch("s", rows, messages=equal)), "equal bytes are not looked for: it would cost"
