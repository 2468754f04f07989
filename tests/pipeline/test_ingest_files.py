"""Files at rest: the same groups however many processes read them; a file taken in twice counts once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from arion_lib.pipeline.files.ingest_files import aggregate_files, run
from arion_lib.pipeline.files.sample import write_sample
from arion_lib.pipeline.stores.addresses import local_url
from arion_lib.pipeline.stores.sqlite import SqliteStore


def test_two_workers_find_what_one_finds_and_what_is_there(no_leaks: None, tmp_path: Path) -> None:
    paths = [tmp_path / "a.ndjson", tmp_path / "b.ndjson"]
    expected = [write_sample(path, 600_000, seed=seed) for seed, path in enumerate(paths)]
    one = aggregate_files(paths, ["type"], "amount", figures=("sum", "max"))
    two = aggregate_files(paths, ["type"], "amount", figures=("sum", "max"), workers=2, size=200_000)
    assert (two.groups, two.records, two.malformed) == (one.groups, one.records, one.malformed)
    assert one.records == sum(answer.records for answer in expected)
    for (name,), cell in one.groups.items():
        assert cell.count == sum(answer.totals[str(name)][0] for answer in expected)
        assert cell.sum == sum(answer.totals[str(name)][1] for answer in expected)


def test_groups_are_printed_with_exact_sums_windows_and_figures(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "e.ndjson"
    event = b'{"t":"a","at":"2026-03-01T10:59:59Z","n":0.10}\n'
    path.write_bytes(event * 10 + b"nonsense\n")
    asked = ["--group-by", "t", "--sum-field", "n", "--window", "at:3600", "--figures", "min,mean"]
    assert run([str(path), *asked]) == 0
    out, err = capsysbinary.readouterr()
    assert out == (b'{"group":{"t":"a","at":"2026-03-01T10:00:00Z"},"count":10,"sum":1.00,"min":0.10,"mean":0.10}\n')
    assert b"bad, and counted nowhere: 1 of 11 records" in err
    assert b"record at byte 470: " in err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_sum_is_printed_that_was_asked_for_without_other_figures(
    no_leaks: None, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], workers: str
) -> None:
    paths = [tmp_path / "a.ndjson", tmp_path / "b.ndjson"]
    for path in paths:
        path.write_bytes(b'{"t":"a","n":0.1}\n{"t":"a","n":2}\n')
    assert run([*map(str, paths), "--group-by", "t", "--sum-field", "n", "--workers", workers]) == 0
    assert capsysbinary.readouterr().out == b'{"group":{"t":"a"},"count":4,"sum":4.2}\n'


def test_a_file_in_which_nothing_can_be_read_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, good, store = tmp_path / "e.ndjson.gz", tmp_path / "e.ndjson", local_url("sqlite", tmp_path / "s.db")
    path.write_bytes(gzip.compress(b'{"t":"a"}\n', mtime=0))
    good.write_bytes(b'{"t":"a"}\n')
    assert run([str(path), "--group-by", "t"]) == 2
    assert "looks like gzip" in capsys.readouterr().err
    assert run([str(path), str(good), "--store", store]) == 2
    out, err = capsys.readouterr()
    assert f"{path}: 0 accepted, 0 known, " in out
    assert "1 accepted, 0 known, 0 dead letters\n" in out
    assert f"nothing in {path} was fit" in err
    assert run([str(good), "--group-by", "t"]) == run([str(good), "--store", store]) == 0


def test_a_file_that_has_grown_is_refused_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, store = tmp_path / "e.ndjson", local_url("sqlite", tmp_path / "s.db")
    path.write_bytes(b'{"n":1}\n')
    assert run([str(path), "--store", store]) == 0
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    assert run([str(path), "--store", store]) == 2
    assert "give what is new a file, or a --stream, of its own" in capsys.readouterr().err


def test_a_file_that_is_taken_into_a_store_twice_counts_once(
    no_leaks: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, url = tmp_path / "e.json", local_url("sqlite", tmp_path / "s.db")
    path.write_text(json.dumps({"events": [{"id": 1}, {"id": 2}]}))
    for said in ("2 accepted, 0 known", "0 accepted, 2 known"):
        assert run([str(path), "--store", url, "--stream", "s", "--path", "events"]) == 0
        assert said in capsys.readouterr().out
    with SqliteStore(tmp_path / "s.db") as store:
        assert [row.body for row in store.rows("s")] == [b'{"id": 1}', b'{"id": 2}']


@pytest.mark.parametrize("workers", ["1", "2"])
def test_windows_and_figures_are_kept_in_a_store_as_they_are_printed(
    no_leaks: None, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], workers: str
) -> None:
    path, url = tmp_path / "e.ndjson", local_url("sqlite", tmp_path / "s.db")
    events = [{"t": f"t{n % 3}", "at": 1772352000 + 600 * n, "n": n} for n in range(50)]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    asked = ["--group-by", "t", "--sum-field", "n", "--window", "at:3600", "--figures", "min,max,mean"]
    assert run([str(path), *asked]) == 0
    printed = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert run([str(path), *asked, "--store", url, "--stream", "s", "--workers", workers]) == 0
    with SqliteStore(tmp_path / "s.db") as store:
        kept = [
            {
                "group": dict(zip(("t", "at"), one.key, strict=True)),
                "count": one.count,
                "sum": one.sum,
                "min": one.min,
                "max": one.max,
                "mean": one.mean,
            }
            for one in store.results("s")
        ]
    assert kept == printed
    assert len(kept) == 26


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["missing.ndjson", "--group-by", "t"], "missing.ndjson"),
        (["x.ndjson"], "--group-by, --window or --sum-field"),
        (["x.ndjson", "--group-by", "a,a"], "must name each field once"),
        (["x.ndjson", "--group-by", "t", "--figures", "mean"], "--figures must be of a --sum-field, got mean alone"),
        (["x.ndjson", "--store", "sqlite:///x.db", "--figures", "min"], "--figures must be of a --sum-field"),
        (["x.ndjson", "--window", "t:60", "--group-by", "t"], "window must be of a field that is not in group_by"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(args) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
