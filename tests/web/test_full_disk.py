"""A disk without room, a real one: what was acknowledged stays, and with room again everything goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.web import serve as serve_command
from tests.chaos.nursery import Child, Nursery
from tests.web.client import get, ids_in_queue, post, until

pytestmark = pytest.mark.posix("only root on Linux can mount a small disk")
ROOM = 4 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mount = shutil.which("mount")
    if sys.platform != "linux" or mount is None or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def nursery(no_leaks: None, small_disk: Path) -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


def start(nursery: Nursery, data: Path) -> tuple[Child, str]:
    child = nursery.start(serve_command.run, ["--port", "0", "--data", str(data), "--log", "error"])
    return child, child.said.split()[0]


class Sender:
    """Posts events of 20 KB with ids of their own, and notes which were acknowledged."""

    def __init__(self, url: str) -> None:
        self.url, self.sent, self.acknowledged = url, 0, list[str]()

    def send(self) -> int:
        name = f"e{self.sent}"
        self.sent += 1
        body = b'{"id": "%s", "note": "%s"}' % (name.encode(), b"x" * 20_000)
        status = post(f"{self.url}/webhook/orders", body, {"webhook-id": f"msg_{name}"}).status
        if status == 200:
            self.acknowledged.append(name)
        return status


def compare(disk: Path, acknowledged: list[str]) -> None:
    with SqliteStore(disk / "data" / "arion.db") as store:
        assert [json.loads(row.body)["id"] for row in store.rows("orders", limit=10_000)] == acknowledged
        assert store.status().outbox_entries == 0
    assert set(ids_in_queue(disk / "data" / "queue")) == set(acknowledged)


def test_a_full_disk_refuses_posts_loses_none_and_takes_them_again_when_there_is_room(
    nursery: Nursery, small_disk: Path
) -> None:
    child, url = start(nursery, small_disk / "data")
    sender = Sender(url)
    assert sender.send() == 200
    filler = fill(small_disk)
    statuses = [sender.send() for _ in range(30)]
    assert {503} <= set(statuses) <= {200, 503}
    assert statuses[-5:] == [503] * 5
    assert get(f"{url}/health").status in (200, 503)  # it lives, and says how
    filler.unlink()
    until(lambda: sender.send() == 200)
    assert [sender.send() for _ in range(5)] == [200] * 5
    child.terminate()  # drains the outbox
    compare(small_disk, sender.acknowledged)


def test_a_server_killed_on_a_full_disk_comes_back_with_all_it_acknowledged(nursery: Nursery, small_disk: Path) -> None:
    child, url = start(nursery, small_disk / "data")
    sender = Sender(url)
    assert [sender.send() for _ in range(10)] == [200] * 10
    filler = fill(small_disk)
    until(lambda: sender.send() == 503)
    child.kill()
    filler.unlink()
    child, sender.url = start(nursery, small_disk / "data")
    assert sender.send() == 200
    child.terminate()
    compare(small_disk, sender.acknowledged)


def test_a_server_that_starts_on_a_full_disk_says_so_in_a_sentence(no_leaks: None, small_disk: Path) -> None:
    fill(small_disk)
    command = [sys.executable, "-m", "arion_lib", "serve", "--port", "0", "--data", str(small_disk / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert str(small_disk / "data") in done.stderr
