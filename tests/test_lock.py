"""The lock can be installed from wheels alone on every Python and every machine that is promised."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from arion_lib.setup.environment import LOCK, ROOT
from arion_lib.workbook.running.doctor import peers_left_out

PROMISED = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MACHINES = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
    "x86_64-pc-windows-msvc",
    "aarch64-pc-windows-msvc",
)

UNPROMISED = {("aarch64-pc-windows-msvc", "3.11")}


def the_uv() -> str:
    """Return where uv is, which alone can look for the wheels of other machines; skip without it, or fail in CI."""
    if (uv := shutil.which("uv")) is not None:
        return uv
    if os.environ.get("ARION_REQUIRE_UV", "") not in ("", "0"):
        pytest.fail("uv is not installed (ARION_REQUIRE_UV is set)", pytrace=False)
    pytest.skip("uv is not installed")


def resolved(lock: Path, machine: str, python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let uv find the wheel of every package in `lock` for another machine, and install none."""
    uv = the_uv()
    options = ["--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--python", sys.executable]
    chosen = ["--python-platform", machine, "--python-version", python, "--target", str(folder)]
    return subprocess.run(
        [uv, "pip", "install", *options, *chosen, "-r", str(lock)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=folder.parent,
        env={key: value for key, value in os.environ.items() if key not in ("UV_OFFLINE", "UV_NO_BINARY")},
    )


def judge(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode and ("error sending request" in done.stderr or "Failed to fetch" in done.stderr):
        pytest.skip("the package index cannot be reached from here")


@pytest.mark.thorough
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PROMISED)
def test_every_package_of_the_lock_has_a_wheel(machine: str, python: str, tmp_path: Path) -> None:
    if (machine, python) in UNPROMISED:
        pytest.skip(f"PyYAML has no wheel for Python {python} on {machine}: a newer Python is needed there")
    done = resolved(LOCK, machine, python, tmp_path / "target")
    judge(done)
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough
def test_a_package_without_a_wheel_is_found(tmp_path: Path) -> None:
    text = LOCK.read_text(encoding="utf-8")
    lock = tmp_path / "without-markers.lock"
    lock.write_text(re.sub(r"(?m)^(pysimdjson==[\d.]+) ;.*\\$", r"\1 \\", text), encoding="utf-8")
    done = resolved(lock, MACHINES[0], "3.14", tmp_path / "target")
    judge(done)
    assert done.returncode != 0
    assert "pysimdjson" in done.stderr


def test_the_lock_holds_all_that_its_packages_need() -> None:
    """It is installed as it stands, without a look at what its packages need."""
    left_out = {canonicalize_name(name) for name in peers_left_out()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    seen: set[tuple[str, str]] = set()
    wanted = [
        ("", text) for texts in (project["dependencies"], *project["optional-dependencies"].values()) for text in texts
    ]
    while wanted:
        extra, text = wanted.pop()
        needed = Requirement(text)
        name = canonicalize_name(needed.name)
        if name in left_out or not (needed.marker is None or needed.marker.evaluate({"extra": extra})):
            continue
        assert needed.specifier.contains(version(name), prereleases=True), (
            f"{text} is needed, {version(name)} installed"
        )
        for asked in {"", *needed.extras}:
            if (name, asked) not in seen:
                seen.add((name, asked))
                wanted += [(asked, below) for below in requires(name) or ()]
    assert len({name for name, _ in seen}) > 100


def test_the_promised_pythons_are_named_alike_everywhere() -> None:
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    conda = (ROOT / "environment.yml").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    matrices = re.findall(r"python: \[(.*)\]", workflow)
    assert matrices
    assert all(re.findall(r"[\d.]+", matrix) == PROMISED for matrix in matrices)
    assert project["requires-python"] == f">={PROMISED[0]}"
    assert re.findall(r"- python=(.*)", conda)[0] in PROMISED
    assert f"Python {', '.join(PROMISED[:-1])} or {PROMISED[-1]}" in readme


def test_uv_is_there_where_the_workflow_looks_for_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere these tests skip without it: nobody would notice a package without a wheel."""
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    (job,) = [text for text in re.split(r"\n  (?=\w)", workflow) if "ARION_REQUIRE_UV" in text]
    assert 'ARION_REQUIRE_UV: "1"' in job
    assert "pip install uv" in job
    (tests,) = re.findall(r"arion_lib test --thorough .*", job)
    assert {"tests/test_lock.py", "tests/test_wheel.py"} <= set(tests.split())
    monkeypatch.setattr(shutil, "which", lambda _: None)
    for required, outcome in (("1", pytest.fail.Exception), ("", pytest.skip.Exception)):
        monkeypatch.setenv("ARION_REQUIRE_UV", required)
        with pytest.raises(outcome):
            the_uv()


def test_what_other_installers_write_beside_the_lock_is_no_part_of_the_project() -> None:
    """`uv sync` writes `uv.lock`, which holds the addresses of one machine's index."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"uv.lock", ".venv/", "*.egg-info/", "wheels/"} <= set(ignored)
    assert LOCK.name not in ignored
