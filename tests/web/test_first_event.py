"""The page's first event, followed: `serve --help`'s configuration, and the commands as they are printed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from arion_lib.web.startup.options import EXAMPLE
from tests.web.client import get
from tests.web.test_serve import ask_to_end, command

PAGE = Path(__file__).parents[2] / ".github" / "SERVE.md"
PROGRAMS = ("bash", "curl", "openssl", "sed")
SECRET = "0123456789abcdef"

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.posix("the page's commands are a shell's"),
    pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason="one of bash, curl, openssl and sed is not here"),
]


def test_a_signed_push_is_taken_shown_and_consumed_by_the_pages_commands(tmp_path: Path) -> None:
    configured = EXAMPLE.split("as one stream and no other:\n")[1].split("all keys of the file")[0]
    (tmp_path / "arion.toml").write_text(dedent(configured), encoding="utf-8")
    block = PAGE.read_text(encoding="utf-8").split("## A first event, signed")[1].split("```bash\n")[1].split("```")[0]
    export, serve, *lines = block.splitlines()
    assert export.startswith("export PUSHES_SECRET=")
    assert serve == "python -m arion_lib serve --config arion.toml &"
    options = ("--config", str(tmp_path / "arion.toml"), "--port", "0", "--data", str(tmp_path / "arion-data"))
    with command(*options, PUSHES_SECRET=SECRET) as (process, line):
        url = line.split()[0]
        script = "\n".join(lines).replace("http://127.0.0.1:8000", url).replace("python -m", f"{sys.executable} -m")
        sent = script.replace(f"{sys.executable} -m arion_lib consume", "exit; consume")
        environment = {
            "PATH": "/usr/bin:/bin:/usr/local/bin",
            "PUSHES_SECRET": SECRET,
            "PYTHONPATH": str(PAGE.parents[1]),
        }
        said = [
            subprocess.run(
                ["bash", "-eu", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
            ).stdout
            for text in (sent, sent, sent.replace('"$PUSHES_SECRET"', "another"))
        ]
        assert '"accepted":1,"duplicates":0' in said[0]
        assert '"accepted":0,"duplicates":1' in said[1]
        assert '"status": 401' in said[2]
        shown = get(f"{url}/").body.decode()
        assert "1 taken, 0 dead, 1 sent again; refused: 1 posts 401" in shown
        ask_to_end(process)
        assert process.wait(20) == 0
    consume = next(text for text in script.splitlines() if "consume" in text)
    done = subprocess.run(
        ["bash", "-c", consume], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert '"stream":"pushes","data":{"ref":"refs/heads/main","repository":{"full_name":"octo/hello"}}}' in done.stdout


def test_the_first_line_of_help_can_be_pasted(tmp_path: Path) -> None:
    pasted = next(line for line in EXAMPLE.splitlines() if line.strip().startswith("curl "))
    with command("--port", "0", "--data", str(tmp_path)) as (_, line):
        url = line.split()[0]
        done = subprocess.run(
            ["bash", "-c", pasted.replace("http://127.0.0.1:8000", url)], capture_output=True, text=True, check=True
        )
        assert '"accepted":1' in done.stdout
        assert get(f"{url}/rows?stream=orders").json["items"][0]["record"] == {"id": "e1", "amount": 7}
