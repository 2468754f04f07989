"""The page on standing behind nginx, followed: its configuration is read from there and run."""

from __future__ import annotations

import contextlib
import re
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
from tests.web.client import Wire, accepts, get, post, until
from tests.web.conftest import Served, serving
from tests.web.test_webhook import LINES, SECRET, events, lines, rows, signed

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
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

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed here")


def configuration(service: str, port: int) -> str:
    """Return the page's configuration, without TLS and with these addresses."""
    page = PAGE.read_text(encoding="utf-8").split("```nginx\n")[1].split("```")[0]
    page = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", page)
    page = re.sub(r"ssl_certificate.*;", "", page)
    assert "127.0.0.1:8000" in page
    return WRAPPED.format(page=page.replace("127.0.0.1:8000", service.removeprefix("http://")))


@contextlib.contextmanager
def nginx(folder: Path, configured: str, url: str) -> Iterator[None]:
    assert NGINX is not None
    (folder / "nginx.conf").write_text(configured, encoding="utf-8")
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: process.poll() is not None or accepts(url))
            assert process.poll() is None, process.communicate()[1]
            yield
        finally:
            process.terminate()


@pytest.fixture
def behind(no_leaks: None, tmp_path: Path) -> Iterator[tuple[Served, str]]:
    """A service and nginx's URL in front of it."""
    with listening_socket("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    streams = Streams({"signed": Rules(verifier=Verifier([SECRET]))})
    doors = Doors(Gate(["hooks.example.org", "localhost"]))
    with serving(tmp_path, streams=streams, cut=Cut(rows=100), doors=doors) as served:
        url = f"http://127.0.0.1:{port}"
        with nginx(tmp_path, configuration(served.url, port), url):
            yield served, url


def test_posts_pass_unchanged_and_refusals_are_ours(behind: tuple[Served, str]) -> None:
    posts_pass(*behind)


def posts_pass(served: Served, url: str) -> None:
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
    a_long_body_counts_while_it_comes(*behind)


def a_long_body_counts_while_it_comes(served: Served, url: str) -> None:
    with Wire(url) as wire:
        wire.head("/webhook/orders", transfer_encoding="chunked", content_type="application/x-ndjson")
        half = lines(events(20_000))
        wire.chunk(half)
        until(lambda: bool(served.store.rows("orders")))
        assert wire.chunk(half).send(b"0\r\n\r\n").answer().json["accepted"] == 40_000


def test_nothing_else_is_to_be_had_from_outside(behind: tuple[Served, str]) -> None:
    nothing_else_is_to_be_had(*behind)


def nothing_else_is_to_be_had(_: Served, url: str) -> None:
    for page in ("/", "/rows?stream=orders", "/docs", "/metrics", "/status", "/openapi.json", "/events"):
        assert get(url + page).status == 404
