"""Dead letters can be listed, taken in after all, and deleted; none is lost or counted twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arion_lib.pipeline.batch import RAW_LIMIT, Batch, DeadLetter
from arion_lib.pipeline.formats.documents import PathDecoder
from arion_lib.pipeline.ingest import ingest
from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.stores.letters import between, delete, replay
from tests.pipeline.databases import Database, database

__all__ = ["database"]

BAD = b'{"amount": "many"}'


def letters(*raws: bytes) -> Batch:
    return Batch("s", dead=[DeadLetter(number, 0, "bad", raw) for number, raw in enumerate(raws, 1)])


def numbers(found: Iterable[object]) -> list[int]:
    return [stored.seq for stored in found]  # type: ignore[attr-defined]


def test_what_is_fit_by_another_recipe_is_stored_and_its_letter_gone(database: Database) -> None:
    with database.open() as store:
        store.commit(letters(BAD, b"nonsense", b'{\n "amount": 2\n}', b"[1]"))
        summed = replay(store, "s", Recipe(sum_field="amount"))
        assert (summed.accepted, summed.dead) == (1, 3)
        assert [(one.count, one.sum) for one in store.results("s")] == [(1, 2)]
        kept = replay(store, "s", Recipe(), upto=1)
        assert (kept.accepted, kept.dead) == (1, 0)
        assert [row.body for row in store.rows("s")] == [BAD]
        assert numbers(store.dead_letters("s")) == [2, 4], "an array is no event, here as there"
        assert [list(entry.messages) for entry in store.outbox()][-1] == [BAD]
        assert replay(store, "s", Recipe()).dead == 2


@pytest.mark.parametrize("behind", [b"", b"\n", b" " * 2_000])
@pytest.mark.parametrize("number", [b"1e99999999999999999999", b"[" * 300 + b"]" * 300])
def test_a_document_that_could_not_be_read_is_never_replayed_as_a_record(
    database: Database, number: bytes, behind: bytes
) -> None:
    body = b'{"x": %b, "events": [{"n": 1}]}' % number + behind
    with database.open() as store:
        with pytest.raises(ValueError, match="must be readable to its end"):
            ingest([body], store, "s", Recipe(), lambda kind, skip: PathDecoder("events.item", kind, skip=skip))
        [letter] = store.dead_letters("s")
        assert (letter.letter.raw, letter.letter.piece) == (body[:RAW_LIMIT], True), "none of its bytes is lost"
        assert (replay(store, "s", Recipe()).dead, store.rows("s")) == (1, [])
        store.commit(letters(body))  # the control: a letter that is a whole object is a record
        assert replay(store, "s", Recipe()).accepted == 1


def test_two_that_replay_at_once_store_each_record_once(no_leaks: None, database: Database) -> None:
    with database.open() as one, database.open() as other, ThreadPoolExecutor(2) as pool:
        one.commit(letters(*(b'{"n": %d}' % number for number in range(150))))
        receipts = list(pool.map(lambda store: replay(store, "s", Recipe()), (one, other)))
        assert sum(receipt.accepted for receipt in receipts) == 150
        assert sorted(json.loads(row.body)["n"] for row in one.rows("s", limit=1_000)) == list(range(150))
        assert one.dead_letters("s") == []


def test_a_letter_is_settled_with_the_batch_or_not_at_all(database: Database) -> None:
    with database.open() as store:
        store.commit(letters(BAD))
        good = Batch("s", rows=[b"1"], settled=[1])
        first, second, third = good, good, Batch("s", rows=[b"2"], settled=[7])
        outcomes = store.commit_all([first, second, third])
        assert {index: str(why) for index, why in outcomes.items()} == {
            1: "a dead letter must be there to be settled, got 1 of 's': it is gone",
            2: "a dead letter must be there to be settled, got 7 of 's': it is gone",
        }
        assert [row.body for row in store.rows("s")] == [b"1"]
        store.commit(Batch("other", dead=[DeadLetter(1, 0, "bad", b"")]))
        with pytest.raises(ValueError, match="it is gone"):
            store.commit(Batch("s", settled=[1]))  # the other stream has a letter of this number
        assert numbers(store.dead_letters("other")) == [1]


def test_letters_are_deleted_between_two_numbers(database: Database) -> None:
    with database.open() as store:
        store.commit(letters(*[BAD] * 250))
        assert numbers(between(store, "s", 99, 102)) == [100, 101, 102]
        assert delete(store, "s", after=10, upto=240) == 230
        assert numbers(store.dead_letters("s", limit=1_000)) == [*range(1, 11), *range(241, 251)]


def command(*args: object, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "arion_lib", "letters", *map(str, args)]
    variables = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(words, capture_output=True, encoding=encoding, env=variables, timeout=120, check=False)


def test_the_list_says_which_letter_is_a_piece_of_a_document(tmp_path: Path) -> None:
    store = Database(f"sqlite:///{(tmp_path / 'arion.db').as_posix()}")
    with store.open() as opened:
        opened.commit(Batch("s", dead=[DeadLetter(1, 0, "bad", b"{}", piece=True), DeadLetter(2, 0, "bad", b"{}")]))
    listed = [json.loads(line) for line in command("s", "--data", tmp_path).stdout.splitlines()]
    assert [one["piece"] for one in listed] == [True, False]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_the_list_is_json_whatever_the_terminal_can_show(encoding: str, tmp_path: Path) -> None:
    raw = "{é → 漢 😀"
    store = Database(f"sqlite:///{(tmp_path / 'arion.db').as_posix()}")
    with store.open() as opened:
        opened.commit(letters(raw.encode(), b"{\xff"))
    said = command("s", "--data", tmp_path, encoding=encoding).stdout
    assert [json.loads(line)["raw"] for line in said.splitlines()] == [raw, "{\\xff"]
    assert ("漢" in said) is (encoding == "utf-8")


def test_the_command_lists_replays_and_deletes(tmp_path: Path) -> None:
    store = Database(f"sqlite:///{(tmp_path / 'arion.db').as_posix()}")
    with store.open() as opened:
        opened.commit(letters(BAD, "{é".encode(), b"\xff"))
    listed = [json.loads(line) for line in command("s", "--data", tmp_path).stdout.splitlines()]
    assert [(one["number"], one["raw"]) for one in listed] == [(1, BAD.decode()), (2, "{é"), (3, "\\xff")]
    assert command("s", "--data", tmp_path, "--replay").stdout == "1 accepted, 0 known, 2 still dead letters\n"
    assert command("s", "--data", tmp_path, "--delete", "--upto", 2).stdout == "1 deleted\n"
    with store.open() as opened:
        assert numbers(opened.dead_letters("s")) == [3]
    nowhere = command("s", "--data", tmp_path / "nothing")
    assert (nowhere.returncode, "must be the folder of a service, got" in nowhere.stderr) == (2, True), nowhere.stderr
    assert not (tmp_path / "nothing").exists()
    refused = command("s", "--store", "mysql://x/y")
    assert (refused.returncode, "store's URL must be" in refused.stderr) == (2, True)
