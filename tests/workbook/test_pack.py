"""The offline kit: what each system needs of the lock, fetched with its hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment

from arion_lib.setup import environment, installer
from arion_lib.workbook import pack
from arion_lib.workbook.pack import SYSTEMS, Target

LOCK = environment.LOCK.read_text("utf-8")


@pytest.mark.parametrize("python", ["3.11", "3.15"])
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
