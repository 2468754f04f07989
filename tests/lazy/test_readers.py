"""Files as sources."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import pytest

from arion_lib.lazy import lazy
from arion_lib.lazy.files.readers import read_csv, read_jsonl, read_lines
from arion_lib.lazy.source import SpentError
from tests.leaks import Snapshot

pytestmark = pytest.mark.usefixtures("no_leaks")


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_a_file_can_be_read_again_and_a_file_object_cannot(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "one\ntwo\n\nlast")
    lines = read_lines(path)
    assert [lines.to_list(), lines.to_list()] == [["one", "two", "", "last"]] * 2
    assert lines.count() == 4
    with path.open() as file:  # the control
        once = lazy(file)
        assert once.count() == 4
        with pytest.raises(SpentError):
            once.count()


def test_a_pass_that_ends_early_leaves_no_file_open(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "1\n2\n3\n")
    before, lines = Snapshot.take(), read_lines(path)
    assert (lines.first(), lines.map(int).take(2).to_list(), lines.page(2, 2).to_list()) == ("1", [1, 2], ["3"])
    with pytest.raises(ZeroDivisionError):
        lines.map(lambda line: 1 // (int(line) - 2)).to_list()
    assert before.leaked() == []


def test_json_lines_name_the_line_that_is_none(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"n": 1}\n\n[2]\r\n')
    assert read_jsonl(path).to_list() == [{"n": 1}, [2]]
    written(path, '{"n": 1}\n{"n": \n')
    with pytest.raises(json.JSONDecodeError) as caught:
        read_jsonl(path).to_list()
    assert caught.value.__notes__[0] == "in stage 2 of 2, map(loads), on element '{\"n\": '"


def test_csv_rows_are_what_the_csv_module_gives(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'name;text\r\na;"two\nlines"\r\nb;\r\n')
    rows = read_csv(path, delimiter=";")
    assert rows.to_list() == [{"name": "a", "text": "two\nlines"}, {"name": "b", "text": ""}]
    assert repr(rows) == "lazy(rows of a.csv)"
    with path.open(newline="") as file:
        assert rows.to_list() == list(csv.DictReader(file, delimiter=";"))


def test_nothing_is_opened_before_the_first_element_is_asked_for(tmp_path: Path) -> None:
    missing = read_lines(tmp_path / "none.txt").map(str.upper)
    assert repr(missing) == "lazy(lines of none.txt).map(str.upper)"
    with pytest.raises(FileNotFoundError):
        missing.to_list()


def test_a_reader_can_be_pickled(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "n\n1\n")
    assert pickle.loads(pickle.dumps(read_csv(path))).to_list() == [{"n": "1"}]
    assert pickle.loads(pickle.dumps(read_lines(path))).to_list() == ["n", "1"]


def test_what_is_read_can_be_written_as_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "a\nb\n")
    with (tmp_path / "b.txt").open("w") as file:
        file.writelines(read_lines(path).map(lambda line: f"{line}{line}\n"))
    assert read_lines(tmp_path / "b.txt").to_list() == ["aa", "bb"]
