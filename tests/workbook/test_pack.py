"""The offline kit: what each system needs of the lock, fetched with its hashes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment

from arion_lib.setup import environment, installer
from arion_lib.workbook.teaching import pack
from arion_lib.workbook.teaching.pack import SYSTEMS, Target

LOCK = environment.LOCK.read_text("utf-8")


@pytest.mark.parametrize("python", ["3.12", "3.15"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_needed_package_is_wanted_on_every_system_with_its_hashes(system: str, python: str) -> None:
    text = pack.wanted(LOCK, Target(system, python))
    names = {name for name, _ in installer.blocks(text)}
    markers = {line.partition(";")[0].split("=")[0].strip() for line in LOCK.splitlines() if ";" in line}
    assert set(environment.needed()) - names <= markers
    assert all("--hash=sha256:" in block for _, block in installer.blocks(text))
    assert not re.search(r"^\S.*;", text, re.MULTILINE)


def test_a_target_answers_every_question_that_the_locks_markers_ask() -> None:
    asked = {
        word for line in LOCK.splitlines() if ";" in line for word in re.findall(r"\b[a-z_]{7,}\b", line.split(";")[1])
    }
    known = set(default_environment())
    assert asked & known <= set(Target("linux-x86_64", "3.14").marker_values())
    assert Marker("sys_platform == 'win32'").evaluate(Target("windows-x86_64", "3.14").marker_values())


def test_a_peer_without_a_wheel_is_left_out_and_a_needed_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def download(target: Target, text: str, folder: Path) -> str | None:
        asked.append(text)
        return "pysimdjson" if re.search(r"^pysimdjson==", text, re.MULTILINE) else None

    monkeypatch.setattr(pack, "_download", download)
    assert pack.fetch(Target("linux-x86_64", "3.11"), tmp_path) == ["pysimdjson"]
    assert len(asked) == 2
    monkeypatch.setattr(pack, "_download", lambda *_: "msgspec")
    with pytest.raises(installer.SetupError, match=r"msgspec must have a wheel for linux-x86_64, Python 3\.11"):
        pack.fetch(Target("linux-x86_64", "3.11"), tmp_path)


def test_a_pack_is_the_clone_without_what_is_this_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pack, "_download", lambda *_: None)
    clone = pack.pack(tmp_path / "kit", [Target("windows-x86_64", "3.14")])
    assert (clone / "requirements.lock").read_text("utf-8") == LOCK
    assert (clone / "arion_lib" / "__main__.py").exists()
    assert not [path for path in clone.iterdir() if path.name in {".git", ".venv", "work"}]


@pytest.mark.parametrize("name", ["lazy", "notebooks", "pack"])
def test_a_pack_is_whole_whatever_its_folder_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (small := tmp_path / "clone").mkdir()
    for kept in (f"{name}/a.py", "arion_lib/b.py"):
        (small / kept).parent.mkdir(parents=True, exist_ok=True)
        (small / kept).write_text("", "utf-8")
    monkeypatch.setattr(pack, "ROOT", small)
    monkeypatch.setattr(pack, "_download", lambda *_: None)
    for to in (tmp_path / name, small / "kits" / name):  # the second one lies in the clone that it copies
        clone = pack.pack(to, [])
        assert (clone / name / "a.py").exists()
        assert (clone / "arion_lib" / "b.py").exists()
        assert not (clone / "kits" / name).exists()


def test_a_wheel_for_older_machines_comes_before_one_for_newer_machines() -> None:
    """pip takes the platform that is named first; a wheel for macOS 14 is none for macOS 12."""
    for system, older, newer in (
        ("macos-arm64", "--platform=macosx_11_0_arm64", "--platform=macosx_14_0_arm64"),
        ("macos-x86_64", "--platform=macosx_10_15_x86_64", "--platform=macosx_14_0_x86_64"),
        ("linux-x86_64", "--platform=manylinux2014_x86_64", "--platform=manylinux_2_34_x86_64"),
    ):
        options = list(Target(system, "3.13").pip_options())
        assert options.index(older) < options.index(newer), system


def test_a_machine_that_the_pack_was_not_made_for_is_told_what_it_was_made_for(tmp_path: Path) -> None:
    for target in ("windows-x86_64, Python 3.13", "macos-arm64, Python 3.13", "windows-x86_64, Python 3.13"):
        installer.note_made_for(tmp_path, target)
    said = installer.no_wheel(Path(sys.executable), "msgspec", tmp_path)
    assert (
        f"in {tmp_path}, which was made for windows-x86_64, Python 3.13; macos-arm64, Python 3.13: use a Python" in said
    )
    assert "(`python3.13 -m arion_lib lab`, say), or take that folder away" in said
    assert "please file an issue" not in said
    assert "please file an issue" in installer.no_wheel(Path(sys.executable), "msgspec", tmp_path / "none")  # control


@pytest.mark.posix("the stand-in for a Python is a shell script")
def test_a_free_threaded_python_is_named_where_a_package_has_no_wheel_for_it(tmp_path: Path) -> None:
    python = tmp_path / "python3.14t"
    code = "import sys, sysconfig; sysconfig.get_config_var = lambda name: 1; exec(sys.argv[-1])"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{code}' \"$@\"\n", "utf-8")
    python.chmod(0o755)
    said = installer.no_wheel(python, "cffi", tmp_path / "none")
    assert f"cffi must have a wheel for free-threaded Python 3.{sys.version_info[1]} on " in said
    assert "use an ordinary Python, one with a GIL, 3.11 to 3.15" in said
    assert "please file an issue" not in said


@pytest.mark.parametrize("python", ["3", "3.9", "13", "3.13.1"])
def test_a_python_that_is_not_promised_is_refused_before_anything_is_fetched(
    python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        pack.run(["--python", python])
    assert caught.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_a_machine_for_which_needed_wheels_do_not_exist_is_refused_and_left_out_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    every = pack._targets(["--python", "3.11", "3.12"])
    assert len(every) == 2 * len(SYSTEMS) - len(pack.NEVER)
    with pytest.raises(SystemExit):
        pack._targets(["--system", "windows-arm64", "--python", "3.11"])
    assert "windows-arm64 must have a newer Python, got 3.11" in capsys.readouterr().err
