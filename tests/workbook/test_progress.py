"""The record of a learner's checks and predictions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arion_lib.workbook import check, compare, predict
from arion_lib.workbook.record import progress

WRITE = """
import sys
from arion_lib.workbook.record import progress
for number in range(200):
    progress.note("check", f"{sys.argv[1]}.{number}", mark="ok")
"""


def test_without_a_prepared_folder_no_record_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    progress.note("check", "1.1", mark="ok")
    assert not list(tmp_path.iterdir())
    assert progress.read(tmp_path) == progress.Record()


def test_a_check_a_prediction_and_a_measurement_are_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.begin(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(progress.SESSION, "work/1_x.ipynb")
    check("1.1", lambda chunks: ["wrong"])
    predict("a record's size", 3, "MB")
    compare("a record's size", 6e6)
    record = progress.read(tmp_path)
    assert record.checks == {"1.1": progress.Checked(1, False)}
    assert record.predicted == {("1_x.ipynb", "a record's size"): "3 MB"}
    assert record.measured == {("1_x.ipynb", "a record's size"): "6 MB"}
    assert record.predictions("1_x.ipynb") == 1
    assert "you said 3 MB, measured 6 MB" in capsys.readouterr().out


def test_two_notebooks_write_at_once_and_no_line_is_lost(tmp_path: Path) -> None:
    progress.begin(tmp_path)
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(n)], cwd=tmp_path) for n in (1, 2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(progress.read(tmp_path).checks) == 400


def test_a_half_written_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / progress.FILE).write_bytes(
        b'{"kind": "check", "name": "1.1", "mark": "ok"}\n[1]\nnull\n{"kind": "check", "name": "1.2", "ma\xff'
    )
    assert progress.read(tmp_path).checks == {"1.1": progress.Checked(1, True)}


def test_a_record_that_cannot_be_written_stops_no_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / progress.FILE).mkdir()
    monkeypatch.chdir(tmp_path)
    progress.note("check", "1.1", mark="ok")
    assert progress.read(tmp_path) == progress.Record()
