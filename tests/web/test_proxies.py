"""The page on standing behind nginx or Caddy, followed: its configurations are read from there and run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from arion_lib.pipeline.ingest import Cut
from arion_lib.web.edge.gate import Doors, Gate
from arion_lib.web.edge.server import listening_socket
from arion_lib.web.signatures import Verifier
from arion_lib.web.streams import Rules, Streams
from tests.web.client import Wire, accepts, get, post, until
from tests.web.conftest import Served, serving
from tests.web.test_webhook import LINES, SECRET, events, lines, rows, signed

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
CADDY = shutil.which("caddy")
PAGE = Path(__file__).parents[2] / ".github" / "SERVE.md"
WRAPPED = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    {page}
}}
"""


def nginx(folder: Path, service: str, port: int) -> AbstractContextManager[None]:
    """Run nginx by the page's configuration, without TLS and with these addresses."""
    page = PAGE.read_text(encoding="utf-8").split("```nginx\n")[1].split("```")[0]
    page = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", page)
    page = re.sub(r"ssl_certificate.*;", "", page)
    file = folder / "nginx.conf"
    file.write_text(WRAPPED.format(page=in_front_of(service, page)), encoding="utf-8")
    return running([str(NGINX), "-p", str(folder), "-c", str(file), "-e", "stderr"], folder, port)


def caddy(folder: Path, service: str, port: int) -> AbstractContextManager[None]:
    """Run Caddy likewise."""
    page = PAGE.read_text(encoding="utf-8").split("## Behind Caddy\n\n```\n")[1].split("```")[0]
    assert page.startswith("hooks.example.org {")
    names = ", ".join(
        f"http://{name}:{port}" for name in ("127.0.0.1", "hooks.example.org", "elsewhere.example", "localhost")
    )
    page = page.replace("hooks.example.org {", names + " {", 1)
    file = folder / "Caddyfile"
    file.write_text("{\n    admin off\n    auto_https off\n}\n" + in_front_of(service, page), encoding="utf-8")
    return running([str(CADDY), "run", "--config", str(file), "--adapter", "caddyfile"], folder, port)


def in_front_of(service: str, page: str) -> str:
    assert "127.0.0.1:8000" in page
    return page.replace("127.0.0.1:8000", service.removeprefix("http://"))


@contextlib.contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    home = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
    log = folder / "proxy.log"
    with log.open("wb") as file, subprocess.Popen(command, stderr=file, env={**os.environ, **home}) as process:
        try:
            until(lambda: process.poll() is not None or accepts(f"http://127.0.0.1:{port}"))
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


Proxy = Callable[[Path, str, int], AbstractContextManager[None]]


@pytest.fixture(
    params=[
        pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="nginx is not installed here")),
        pytest.param(caddy, marks=pytest.mark.skipif(CADDY is None, reason="caddy is not installed here")),
    ]
)
def behind(no_leaks: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Served, str]]:
    """A service and the URL of the proxy in front of it."""
    proxy: Proxy = request.param
    with listening_socket("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    streams = Streams({"signed": Rules(verifier=Verifier([SECRET]))})
    doors = Doors(Gate(["hooks.example.org", "localhost"]))
    with (
        serving(tmp_path, streams=streams, cut=Cut(rows=100), doors=doors) as served,
        proxy(tmp_path, served.url, port),
    ):
        yield served, f"http://127.0.0.1:{port}"


def test_posts_pass_unchanged_and_refusals_are_ours(behind: tuple[Served, str]) -> None:
    served, url = behind
    name = {"host": "hooks.example.org"}
    assert post(f"{url}/webhook/orders", b'{"id": "e1"}', name).json["accepted"] == 1
    body = lines(events(30_000))
    assert len(body) > 1 << 20, "nginx's own limit"
    assert post(f"{url}/webhook/signed", body, {**LINES, **signed(body), **name}).json["accepted"] == 30_000
    refused = post(f"{url}/webhook/signed", b"{}", name)
    assert (refused.status, refused.headers["content-type"]) == (401, "application/problem+json")
    assert post(f"{url}/webhook/orders", b'{"id": "e1"}', {"host": "elsewhere.example"}).status == 421
    assert rows(served) == [{"id": "e1"}]
    assert get(f"{url.replace('127.0.0.1', 'localhost')}/health").json["status"] == "ok"


def test_a_long_body_counts_while_it_comes(behind: tuple[Served, str]) -> None:
    served, url = behind
    with Wire(url) as wire:
        wire.head("/webhook/orders", transfer_encoding="chunked", content_type="application/x-ndjson")
        half = lines(events(20_000))
        wire.chunk(half)
        until(lambda: bool(served.store.rows("orders")))
        assert wire.chunk(half).send(b"0\r\n\r\n").answer().json["accepted"] == 40_000


def test_nothing_else_is_to_be_had_from_outside(behind: tuple[Served, str]) -> None:
    for page in ("/", "/rows?stream=orders", "/docs", "/metrics", "/status", "/openapi.json", "/events"):
        assert get(behind[1] + page).status == 404
