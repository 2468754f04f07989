"""The page on standing behind Caddy, followed: its configuration is read from there and run."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from arion_lib.pipeline.ingest import Cut
from arion_lib.web.edge.gate import Doors, Gate
from arion_lib.web.edge.server import listening_socket
from arion_lib.web.signatures import Verifier
from arion_lib.web.streams import Rules, Streams
from tests.web.client import accepts, until
from tests.web.conftest import Served, serving
from tests.web.test_nginx import PAGE, a_long_body_counts_while_it_comes, nothing_else_is_to_be_had, posts_pass
from tests.web.test_webhook import SECRET

CADDY = shutil.which("caddy")

pytestmark = pytest.mark.skipif(CADDY is None, reason="caddy is not installed here")


def configuration(service: str, port: int) -> str:
    """Return the page's configuration, without TLS and with these addresses."""
    page = PAGE.read_text(encoding="utf-8").split("## Behind Caddy\n\n```\n")[1].split("```")[0]
    assert page.startswith("hooks.example.org {")
    names = f"http://127.0.0.1:{port}, http://hooks.example.org:{port}, http://elsewhere.example:{port}"
    names += f", http://localhost:{port}"
    page = page.replace("hooks.example.org {", names + " {", 1)
    assert "127.0.0.1:8000" in page
    options = "{\n    admin off\n    auto_https off\n}\n"
    return options + page.replace("127.0.0.1:8000", service.removeprefix("http://"))


@contextlib.contextmanager
def caddy(folder: Path, configured: str, url: str) -> Iterator[None]:
    assert CADDY is not None
    (folder / "Caddyfile").write_text(configured, encoding="utf-8")
    command = [CADDY, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    where = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "caddy.log").open("w+") as log, subprocess.Popen(command, stderr=log, env=where) as process:
        try:
            until(lambda: process.poll() is not None or accepts(url))
            assert process.poll() is None, (folder / "caddy.log").read_text()
            yield
        finally:
            process.terminate()


@pytest.fixture
def behind(no_leaks: None, tmp_path: Path) -> Iterator[tuple[Served, str]]:
    """A service and Caddy's URL in front of it."""
    with listening_socket("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    streams = Streams({"signed": Rules(verifier=Verifier([SECRET]))})
    doors = Doors(Gate(["hooks.example.org", "localhost"]))
    with serving(tmp_path, streams=streams, cut=Cut(rows=100), doors=doors) as served:
        url = f"http://127.0.0.1:{port}"
        with caddy(tmp_path, configuration(served.url, port), url):
            yield served, url


def test_posts_pass_unchanged_and_refusals_are_ours(behind: tuple[Served, str]) -> None:
    posts_pass(*behind)


def test_a_long_body_counts_while_it_comes(behind: tuple[Served, str]) -> None:
    a_long_body_counts_while_it_comes(*behind)


def test_nothing_else_is_to_be_had_from_outside(behind: tuple[Served, str]) -> None:
    nothing_else_is_to_be_had(*behind)
