"""`lab` serves the notebooks quietly and is gone after Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from arion_lib.setup.environment import ROOT
from arion_lib.workbook.copying import lab
from arion_lib.workbook.running import notebooks


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The command lines that `lab` would have become, in a clone of its own."""
    became: list[list[str]] = []
    monkeypatch.setattr(lab, "become", lambda command: became.append(command) or 0)
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    return became


TOLD = "links to code and tests cannot be followed"


def page(command: list[str]) -> str:
    return next(word for word in command if "default_url" in word).partition("/lab/tree/")[2]


def test_the_number_is_ours_and_jupyterlabs_arguments_are_handed_on(commands: list[list[str]]) -> None:
    assert lab.run(["1", "--no-browser", "--port", "9000"]) == 0
    assert commands[0][-3:] == ["--no-browser", "--port", "9000"]
    assert page(commands[0]).startswith("work/1_")
    assert os.environ["JUPYTER_CONFIG_PATH"] == os.pathsep.join([str(lab.SETTINGS), "mine"])
    assert lab.run(["--port", "9000"]) == 0  # 9000 is the port's, not a notebook's number
    assert page(commands[1]) == "work/START.md"


@pytest.mark.parametrize(
    ("args", "opened", "handed_on"),
    [
        (["--no-browser", "1"], "work/1_", ["--no-browser"]),
        (["--no-browser", "-y", "1", "--debug"], "work/1_", ["--no-browser", "-y", "--debug"]),
        (["--port", "9000", "1"], "work/1_", ["--port", "9000"]),
        (["--port=9000", "1"], "work/1_", ["--port=9000"]),
        (["--no-browser", "--port", "1"], "work/START.md", ["--no-browser", "--port", "1"]),
        (["1", "--no-browser", "2"], "work/1_", ["--no-browser", "2"]),
    ],
)
def test_a_number_may_stand_behind_jupyterlabs_arguments(
    args: list[str], opened: str, handed_on: list[str], commands: list[list[str]]
) -> None:
    assert lab.run(args) == 0
    assert page(commands[0]).startswith(opened)
    assert commands[0][-len(handed_on) :] == handed_on


def test_a_wrong_number_behind_a_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for ask in (lab.run, lab.refuse_wrong):
        with pytest.raises(SystemExit):
            ask(["--no-browser", "99"])
        assert "N must be one of 1" in capsys.readouterr().err


def test_the_flags_are_those_of_jupyterlab() -> None:
    """A number behind another option may be that option's value."""
    from jupyterlab.labapp import LabApp

    known = {f"--{name}" if len(name) > 1 else f"-{name}" for name in LabApp.flags}
    assert known >= lab.FLAGS >= {"--no-browser", "--debug", "-y"}


def test_an_unknown_number_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], commands: list[list[str]], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as refused:
        lab.run(["99"])
    assert refused.value.code == 2
    assert "N must be one of 1" in capsys.readouterr().err
    assert not commands
    assert not list(tmp_path.iterdir())


def test_lab_opens_the_learners_own_copies_with_the_clone_as_root(commands: list[list[str]], tmp_path: Path) -> None:
    assert lab.run([]) == 0
    assert f"--ServerApp.root_dir={tmp_path}" in commands[0]
    assert page(commands[0]) == "work/START.md"
    names = {path.name for path in (tmp_path / "work").iterdir()}
    assert {path.name for path in notebooks.select([])} < names
    assert "START.md" in names


def test_teach_opens_the_complete_notebooks_and_writes_nothing(
    commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab, "ROOT", ROOT)
    assert lab.run(["--teach", "2"]) == 0
    assert f"--ServerApp.root_dir={ROOT}" in commands[0]
    assert page(commands[0]) == f"notebooks/{notebooks.select(['2'])[0].name}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("inside", [True, False])
def test_in_keeps_the_copies_in_a_folder_of_ones_own(
    inside: bool,
    commands: list[list[str]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "my course" if inside else tmp_path_factory.mktemp("elsewhere")
    assert lab.run(["3", "--in", str(folder), "--no-browser"]) == 0
    name = notebooks.select(["3"])[0].name
    assert (folder / name).exists()
    assert f"--ServerApp.root_dir={tmp_path if inside else folder}" in commands[0]
    assert page(commands[0]) == (f"my%20course/{name}" if inside else name)
    assert (TOLD in capsys.readouterr().out) is not inside
    assert lab.run(["--in", str(folder / "deeper")]) == 0
    assert TOLD in capsys.readouterr().out


def test_a_copy_behind_its_notebook_is_told_on_a_line_of_its_own(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lab.desk, "prepare", lambda *_: ["1 is kept", "2 has changed since", "3 has changed since"])
    assert lab.run([]) == 0
    assert capsys.readouterr().out == "2 has changed since\n3 has changed since\n"
    assert len(commands) == 1


@pytest.mark.posix("signals to a process group are POSIX")
def test_the_real_jupyterlab_serves_quietly_and_ctrl_c_ends_it_and_its_kernels(no_leaks: None, tmp_path: Path) -> None:
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path)}
    folder = tmp_path / "mine"
    command = [sys.executable, "-m", "arion_lib", "lab", "--in", str(folder), "--no-browser"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            base, token = address(server)
            until_it_listens(server, base)
            assert "<title>JupyterLab</title>" in request(f"{base}/lab?token={token}")
            notice = json.loads(
                request(f"{base}/lab/api/settings/@jupyterlab/apputils-extension:notification?token={token}")
            )
            assert notice["schema"]["properties"]["fetchNews"]["default"] == "false"
            assert notice["schema"]["properties"]["checkForUpdates"]["default"] is False
            contents = json.loads(request(f"{base}/api/contents?token={token}"))["content"]
            assert notebooks.select(["1"])[0].name in [entry["name"] for entry in contents]
            viewers = json.loads(
                request(f"{base}/lab/api/settings/@jupyterlab/docmanager-extension:plugin?token={token}")
            )
            assert viewers["schema"]["properties"]["defaultViewers"]["default"] == {"markdown": "Markdown Preview"}
            request(f"{base}/api/kernels?token={token}", b'{"name": "python3"}')
            kernels = psutil.Process(server.pid).children(recursive=True)
            assert kernels
            os.killpg(server.pid, signal.SIGINT)
            assert server.wait(timeout=30) == 0
            _, alive = psutil.wait_procs(kernels, timeout=30)
            assert not alive
        finally:
            server.kill()


def address(server: subprocess.Popen[str]) -> tuple[str, str]:
    """Read what the server says until it says where it is."""
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"(http://127\.0\.0\.1:\d+)/lab\S*\?token=(\w+)", line):
            return found.group(1), found.group(2)
    raise AssertionError("JupyterLab ended without an address")


def until_it_listens(server: subprocess.Popen[str], base: str) -> None:
    """JupyterLab says where it is a moment before it is there: ask again until it answers or has ended."""
    where = ("127.0.0.1", int(base.rpartition(":")[2]))
    for _ in range(300):
        with suppress(ConnectionRefusedError), socket.create_connection(where, timeout=30):
            return
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"JupyterLab ended with {server.wait(timeout=0.1)}")
    raise AssertionError("JupyterLab does not listen")


def request(url: str, body: bytes | None = None) -> str:
    with urllib.request.urlopen(url, data=body, timeout=30) as answer:
        text: str = answer.read().decode()
        return text
