"""A notebook that was saved and is opened again shows its live figures, not `model not found`.

The control switches the one setting off that keeps their state in the file, and sees the error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from arion_lib.setup.environment import ROOT
from tests.browser import Browser, browser
from tests.workbook.test_lab import address, request, until_it_listens

CELL = """\
from arion_lib.workbook.monitor import Knob, Monitor, Panel
Monitor("A figure", None, [Knob("rate", "rate", 0, 9, 1)], [Panel("asked", "events/s")])"""

READY = """
const app = window.jupyterapp, panel = app && app.shell.currentWidget, session = panel && panel.sessionContext;
return Boolean(session && session.session && session.session.kernel && session.session.kernel.status === "idle")"""
RUN = "return window.jupyterapp.commands.execute('notebook:run-all-cells')"
SAVE = "return window.jupyterapp.commands.execute('docmanager:save')"
SHOWN = """
const outputs = [...document.querySelectorAll(".jp-OutputArea-output")].map(each => each.innerText).join(" ");
if (outputs.includes("model not found")) return "model not found";
return document.querySelector(".jp-OutputArea-output .widget-slider") ? "a slider" : null"""


@pytest.mark.posix("signals to a process group are POSIX")
@pytest.mark.parametrize(("kept", "shown"), [(True, "a slider"), (False, "model not found")])
def test_a_live_figure_is_there_after_reopening(kept: bool, shown: str, no_leaks: None, tmp_path: Path) -> None:
    folder, settings = tmp_path / "mine", tmp_path / "settings" / "@jupyter-widgets" / "jupyterlab-manager"
    folder.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[new_code_cell(CELL)], metadata=kernel), folder / "figure.ipynb")
    if not kept:
        settings.mkdir(parents=True)
        (settings / "plugin.jupyterlab-settings").write_text('{"saveState": false}')
    with browser() as window, served(folder, tmp_path) as (base, token):
        page = f"{base}/lab/tree/figure.ipynb?token={token}&reset"
        window.open(page)
        until(window, READY)
        window.run(RUN)
        assert until(window, SHOWN) == "a slider"
        window.run(SAVE)
        assert ("widgets" in json.loads((folder / "figure.ipynb").read_text("utf-8"))["metadata"]) is kept
        end_kernels(base, token)
        window.open(page)
        assert until(window, SHOWN) == shown


PLAY = """\
from arion_lib.scheduler import Scheduler
from arion_lib.workbook.scheduler_monitor import SchedulerMonitor
SchedulerMonitor(Scheduler(workers=3), {"200 naps": list})"""
FIGURE = """
const outputs = [...document.querySelectorAll(".jp-OutputArea-output")];
const shown = outputs.find(each => each.querySelector(".widget-slider"));
if (!shown) return null;
const buttons = [...shown.querySelectorAll("button.jupyter-button")];
return {words: buttons.map(each => each.innerText.trim()), workers: shown.querySelector(".widget-readout").innerText,
        green: buttons[0].classList.contains("mod-success"), stops: !buttons[1].disabled,
        cut: buttons.filter(each => each.scrollWidth > each.clientWidth).length}"""
FOCUS = "document.querySelector('.jp-OutputArea-output .noUi-handle').focus()"


@pytest.mark.posix("signals to a process group are POSIX")
def test_a_key_on_the_slider_starts_the_schedulers_figure(no_leaks: None, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[new_code_cell(PLAY)], metadata=kernel), folder / "figure.ipynb")
    with browser() as window, served(folder, tmp_path) as (base, token):
        window.open(f"{base}/lab/tree/figure.ipynb?token={token}&reset")
        until(window, READY)
        window.run(RUN)
        still = until(window, FIGURE)
        words = ["start", "stop", "submit 200 naps", "cancel its task", "kill it"]
        assert still == {"words": words, "workers": "3", "green": False, "stops": False, "cut": 0}
        window.run(FOCUS)
        for kind in ("rawKeyDown", "keyUp"):
            key = {"type": kind, "key": "ArrowRight", "code": "ArrowRight", "windowsVirtualKeyCode": 39}
            window.devtools("Input.dispatchKeyEvent", key)
        runs = until(window, f"const figure = (() => {{{FIGURE}}})(); return figure && figure.stops ? figure : null")
        assert runs == {"words": ["running", *words[1:]], "workers": "4", "green": True, "stops": True, "cut": 0}


def until(window: Browser, script: str) -> object:
    """Ask the page until the script returns something true; it does not tell when it has drawn a widget."""
    end = time.monotonic() + 120
    while not (found := window.run(script)):
        assert time.monotonic() < end, f"the page never said yes to {script}"
        window.run("return new Promise(done => setTimeout(done, 100))")
    return found


def end_kernels(base: str, token: str) -> None:
    """Shut down every kernel, as an evening does."""
    for session in json.loads(request(f"{base}/api/sessions?token={token}")):
        url = f"{base}/api/sessions/{session['id']}?token={token}"
        with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30):
            pass


@contextmanager
def served(folder: Path, own: Path) -> Iterator[tuple[str, str]]:
    """Serve a folder by `lab`, with nobody's settings but its own."""
    homes = ("RUNTIME_DIR", "DATA_DIR", "CONFIG_DIR")
    environment = {**os.environ, **{f"JUPYTER_{name}": str(own / name.lower()) for name in homes}}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(own / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(own / "spaces")}
    command = [sys.executable, "-m", "arion_lib", "lab", "--in", str(folder), "--no-browser"]
    command.append("--LabApp.expose_app_in_browser=True")
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            base, token = address(server)
            until_it_listens(server, base)
            yield base, token
            end_kernels(base, token)
        finally:
            server.terminate()
            server.wait(timeout=60)
