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
from arion_lib.workbook import lab, notebooks


def test_the_number_is_ours_and_jupyterlabs_arguments_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(lab, "become", lambda command: commands.append(command) or 0)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    assert lab.run(["1", "--no-browser", "--port", "9000"]) == 0
    assert commands[0][-3:] == ["--no-browser", "--port", "9000"]
    assert any(word.startswith("--LabApp.default_url=/lab/tree/1_") for word in commands[0])
    assert os.environ["JUPYTER_CONFIG_PATH"] == os.pathsep.join([str(lab.SETTINGS), "mine"])
    assert lab.run(["--port", "9000"]) == 0  # 9000 is the port's, not a notebook's number
    assert not any("default_url" in word for word in commands[1])


def test_an_unknown_number_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        lab.run(["99"])
    assert refused.value.code == 2
    assert "N must be one of 1" in capsys.readouterr().err


def test_learner_opens_a_copy_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(lab, "become", lambda command: commands.append(command) or 0)
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    assert lab.run(["1", "--learner"]) == 0
    assert f"--ServerApp.root_dir={tmp_path / 'work'}" in commands[0]
    assert [path.name for path in (tmp_path / "work").iterdir()] == [notebooks.select(["1"])[0].name]


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a process group are POSIX")
def test_the_real_jupyterlab_serves_quietly_and_ctrl_c_ends_it_and_its_kernels(no_leaks: None, tmp_path: Path) -> None:
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "arion_lib", "lab", "--no-browser"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            base, token = address(server)
            until_it_listens(server, base)
            page = request(f"{base}/lab?token={token}")
            assert "<title>JupyterLab</title>" in page
            notice = json.loads(
                request(f"{base}/lab/api/settings/@jupyterlab/apputils-extension:notification?token={token}")
            )
            assert notice["schema"]["properties"]["fetchNews"]["default"] == "false"
            assert notice["schema"]["properties"]["checkForUpdates"]["default"] is False
            names = [entry["name"] for entry in json.loads(request(f"{base}/api/contents?token={token}"))["content"]]
            assert notebooks.select(["1"])[0].name in names
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
