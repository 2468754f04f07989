"""A file that many workers decode is in the store as if one process had taken it in."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.decoder import MAX_BAD
from arion_lib.pipeline.deliveries import OtherBody
from arion_lib.pipeline.files.ingest_files import run
from arion_lib.pipeline.files.ingest_ranges import ingest_file
from arion_lib.pipeline.files.sample import write_sample
from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.stores.addresses import local_url
from arion_lib.pipeline.stores.sqlite import SqliteStore
from tests.pipeline.bodies import line_bodies
from tests.selection import examples

RECIPES = [
    Recipe(),
    Recipe(fields=("type", "amount")),
    Recipe(dedupe="type"),
    Recipe(group_by=("type",), sum_field="amount"),
]


def contents(store: SqliteStore) -> dict[str, Any]:
    """Return all that a store holds but for how it came there: the number of batches, and so of a group's messages."""
    rows = [(row.seq, row.body) for row in store.rows("s", limit=10_000)]
    dead = [(one.seq, one.letter) for one in store.dead_letters("s", limit=10_000)]
    return {"rows": rows, "dead": dead, "groups": store.results("s", limit=10_000), "done": store.done("s", "file")}


@pytest.fixture(scope="module")
def pool() -> Any:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.mark.parametrize("recipe", RECIPES, ids=["rows", "fields", "dedupe", "groups"])
@given(body=line_bodies(), size=st.integers(1, 200))
@settings(
    deadline=None,
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_ranges_of_any_size_leave_what_one_process_leaves(
    tmp_path_factory: pytest.TempPathFactory, pool: Executor, recipe: Recipe, body: bytes, size: int
) -> None:
    folder = tmp_path_factory.mktemp("ranges")
    (folder / "f").write_bytes(b'{"type":"a","amount":1}\n' + body)  # a line tells the format
    found = []
    for name, some in (("one", None), ("many", pool)):
        with SqliteStore(folder / name) as store:
            receipt = ingest_file(folder / "f", store, "s", recipe, "file", pool=some, workers=2, size=size)
            receipt.groups = 0  # counted once a batch
            again = ingest_file(folder / "f", store, "s", recipe, "file", pool=some, workers=2, size=size)
            assert again.accepted == 0
            found.append((receipt, contents(store)))
    assert found[1] == found[0]


def test_a_file_that_broke_off_goes_on_and_another_one_under_its_name_is_refused(
    tmp_path: Path, pool: Executor
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"".join(b'{"n":%d}\n' % n for n in range(1_000)))
    with SqliteStore(tmp_path / "s.db") as store:
        with pytest.raises(ZeroDivisionError):
            ingest_file(path, store, "s", Recipe(), "file", pool=_Breaking(pool, after=3), workers=1, size=1_000)
        half = store.done("s", "file")
        assert half is not None
        assert 0 < half.done < 1_000
        assert not half.complete
        receipt = ingest_file(path, store, "s", Recipe(), "file", pool=pool, workers=2, size=1_000)
        assert (receipt.accepted, receipt.duplicates) == (1_000 - half.done, half.done)
        assert [row.body for row in store.rows("s", limit=2_000)] == path.read_bytes().splitlines()
        path.write_bytes(path.read_bytes().replace(b'"n":5}', b'"n":6}', 1))
        with pytest.raises(OtherBody):
            ingest_file(path, store, "s", Recipe(), "file", pool=pool, workers=2, size=1_000)


def test_a_file_of_bad_lines_is_given_up_where_one_process_gives_it_up(tmp_path: Path, pool: Executor) -> None:
    path = tmp_path / "f"
    path.write_bytes(b'{"n":1}\n' * 50 + b"x\n" * (MAX_BAD + 500))
    found = []
    for name, some in (("one", None), ("many", pool)):
        with SqliteStore(tmp_path / name) as store:
            with pytest.raises(ValueError, match="records are bad"):
                ingest_file(path, store, "s", Recipe(), "file", pool=some, workers=2, size=5_000)
            found.append((store.status().rows, store.status().dead_letters))
    assert found[1] == found[0] == (50, MAX_BAD + 2)


def test_no_more_ranges_are_asked_for_than_are_taken(tmp_path: Path, pool: Executor) -> None:
    path = tmp_path / "f"
    path.write_bytes(b'{"n":1}\n' * 1_000)
    watched = _Watched(pool)
    with SqliteStore(tmp_path / "s.db") as store:
        ingest_file(path, store, "s", Recipe(), "file", pool=watched, workers=2, size=100)
    assert watched.submitted == 80
    assert watched.most <= 4


def test_the_command_takes_a_file_in_with_two_processes(
    no_leaks: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, url = tmp_path / "e.ndjson", local_url("sqlite", tmp_path / "s.db")
    answer = write_sample(path, 9_000_000)
    good = answer.records - answer.malformed
    for accepted, known in ((good, 0), (0, answer.records)):
        assert run([str(path), "--store", url, "--stream", "s", "--workers", "2"]) == 0
        assert f"{accepted} accepted, {known} known" in capsys.readouterr().out
    with SqliteStore(tmp_path / "s.db") as store:
        assert (store.status().rows, store.status().dead_letters) == (good, answer.malformed)


class _Watched(Executor):
    """Count the calls that were asked for and whose answer nobody has taken."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.submitted = self.waiting = self.most = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        future = self._inner.submit(fn, *args, **kwargs)
        take = future.result

        def result(timeout: float | None = None) -> Any:
            self.waiting -= 1
            return take(timeout)

        future.result = result  # type: ignore[method-assign]
        return future


class _Breaking(_Watched):
    """Break off after some ranges."""

    def __init__(self, inner: Executor, after: int) -> None:
        super().__init__(inner)
        self._after = after

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.submitted >= self._after:
            raise ZeroDivisionError
        return super().submit(fn, *args, **kwargs)
