"""`python -m arion_lib letters`: dead letters listed, taken in after all, or deleted.

Idea        A dead letter is a record that waits for a person: with another recipe, or a newer library, it may be fit.
Invariant   A letter goes in the transaction that stores its record: never lost, never counted twice, though two replay
            at once or the process is killed.
When wrong  A letter that is still no fit record, or a piece of a body that cannot be read, stays where it is; one that
            somebody else settled is left alone.
See         tests/pipeline/test_letters.py
"""

from __future__ import annotations

import argparse
import codecs
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.decoder import MAX_RECORD, Decoder
from arion_lib.pipeline.formats.documents import ObjectDecoder
from arion_lib.pipeline.ingest import Cut, Intake, Receipt, batches_of
from arion_lib.pipeline.queues.durable import nobody_elses
from arion_lib.pipeline.shapes.recipe import Recipe, read_recipe
from arion_lib.pipeline.store import Store, StoredLetter, StoreError, open_store
from arion_lib.pipeline.stores.addresses import local_url

PAGE = 100
"""Letters that are read at once."""

_WHOLE = Cut(bytes=1 << 62)  # a letter is one record: nothing of it is cut off


def between(store: Store, stream: str, after: int = 0, upto: int | None = None) -> Iterator[StoredLetter]:
    """Yield the dead letters of a stream with numbers past `after`, to `upto`; cost: a page in memory."""
    while page := store.dead_letters(stream, after, PAGE):
        for stored in page:
            if upto is not None and stored.seq > upto:
                return
            yield stored
        after = page[-1].seq


def replay(
    store: Store,
    stream: str,
    recipe: Recipe,
    *,
    after: int = 0,
    upto: int | None = None,
    max_record: int = MAX_RECORD,
) -> Receipt:
    """Take dead letters in by `recipe`; return what became of them. `dead` counts those that stay what they are.

    Raises the store's errors; what was taken in before is, and the rest waits.
    """
    receipt = Receipt()

    def one_object(kind: Any, skip: int) -> Decoder:
        return ObjectDecoder(kind, max_record=max_record, skip=skip)

    for stored in between(store, stream, after, upto):
        if stored.letter.piece:
            receipt.dead += 1
            continue
        intake = Intake(stream, recipe, one_object, cut=_WHOLE)
        batches = list(batches_of([stored.letter.raw], intake))
        if intake.first_dead or not batches:
            receipt.dead += 1
            continue
        [batch] = batches
        outcome = store.commit_all([replace(batch, settled=[stored.seq])]).get(0, 0)
        if isinstance(outcome, int):
            receipt.accepted += 1 - outcome
            receipt.duplicates += outcome
        else:  # it could not be stored, or is somebody else's by now
            receipt.dead += stored in store.dead_letters(stream, stored.seq - 1, 1)
    return receipt


def delete(store: Store, stream: str, *, after: int = 0, upto: int | None = None) -> int:
    """Delete dead letters; return how many. Raises the store's errors."""
    gone, letters = 0, between(store, stream, after, upto)
    while seqs := [stored.seq for stored in islice(letters, PAGE)]:
        alone = [Batch(stream, settled=[seq]) for seq in seqs]  # what somebody else settles meanwhile spares the others
        gone += len(seqs) - len(store.commit_all(alone))
    return gone


def run(args: list[str]) -> int:
    """List, replay or delete; return the exit code."""
    chosen = _parser().parse_args(args)
    try:
        with nobody_elses(), open_store(chosen.store or _url_in(chosen.data)) as store:
            _act(chosen, store)
    except (StoreError, ValueError, OSError) as error:
        sys.stderr.write(f"python -m arion_lib letters: {error}\n")
        return 2
    return 0


def _url_in(data: Path) -> str:
    if not (data / "arion.db").exists():  # a store that is made here and now has no letters
        raise ValueError(
            f"--data must be the folder of a service, got {data} without arion.db: name it, or the store with --store"
        )
    return local_url("sqlite", data / "arion.db")


def _act(chosen: argparse.Namespace, store: Store) -> None:
    if chosen.replay:
        receipt = replay(store, chosen.stream, _recipe(chosen), after=chosen.after, upto=chosen.upto)
        sys.stdout.write(
            f"{receipt.accepted} accepted, {receipt.duplicates} known, {receipt.dead} still dead letters\n"
        )
    elif chosen.delete:
        sys.stdout.write(f"{delete(store, chosen.stream, after=chosen.after, upto=chosen.upto)} deleted\n")
    else:
        for stored in between(store, chosen.stream, chosen.after, chosen.upto):
            letter = stored.letter
            shown: dict[str, object] = {"number": stored.seq, "record": letter.record, "offset": letter.offset}
            shown |= {"reason": letter.reason, "raw": letter.raw.decode(errors="backslashreplace")}
            shown["piece"] = letter.piece
            # Elsewhere Python's own escapes would stand for what the terminal lacks, and they are no JSON.
            escaped = codecs.lookup(sys.stdout.encoding).name != "utf-8"
            sys.stdout.write(json.dumps(shown, ensure_ascii=escaped) + "\n")


def _recipe(chosen: argparse.Namespace) -> Recipe:
    named = {name: getattr(chosen, name) for name in ("fields", "group_by", "sum_field", "dedupe")}
    return read_recipe({name: wish for name, wish in named.items() if wish is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib letters",
        description="List the dead letters of a stream, a line of JSON each; take them in after all; or delete them.",
        epilog="example: python -m arion_lib letters payments --replay --upto 120",
    )
    add = parser.add_argument
    add("stream", help="the stream's name")
    add("--store", help="store's URL (default: the one in --data)")
    add("--data", type=Path, default=Path("arion-data"), help="folder of the service (default: ./%(default)s)")
    add("--after", type=int, default=0, help="leave out the letters up to this number")
    add("--upto", type=int, help="and those past this one")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--replay", action="store_true", help="store what is fit now; the rest stays")
    what.add_argument("--delete", action="store_true", help="delete them")
    add("--fields", help="with --replay: fields that a row keeps, with commas (default: all)")
    add("--group-by", help="with --replay: fields whose values name a group")
    add("--sum-field", help="with --replay: field that is summed")
    add("--dedupe", help="with --replay: field that makes an event unique in its stream")
    return parser
