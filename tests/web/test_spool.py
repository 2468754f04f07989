"""Signed bodies wait on disk until they are verified: bounded, counted, and off the event loop."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from arion_lib.web.bodies import BLOCK
from arion_lib.web.edge import spool
from arion_lib.web.monitoring.metrics import exposition
from arion_lib.web.requests import Limits
from tests.web.client import Wire, get, post, until
from tests.web.conftest import Serve, Served, only
from tests.web.test_webhook import LINES, SECRET, events, lines, rows, signed

BODY = lines(events(20_000))


@pytest.fixture
def tight(serve: Serve) -> Any:
    """A service whose spool takes one such body, but not two."""
    with serve(streams=only("orders", SECRET), limits=Limits(max_spool=len(BODY) * 3 // 2)) as served:
        yield served


def begin(served: Served, message: str) -> Wire:
    """Send all of a signed body but its last bytes, and wait until its whole blocks lie in the spool."""
    wire = Wire(served.url)
    names = {name.replace("-", "_"): value for name, value in signed(BODY, message=message).items()}
    wire.head("/webhook/orders", content_length=str(len(BODY)), **names).send(BODY[:-9])
    # Less than a block is left then, and waits for its rest.
    until(lambda: served.service.webhook.figures.spooled > len(BODY) - 9 - BLOCK)
    return wire


def test_what_can_never_fit_is_refused_at_its_head(serve: Serve) -> None:
    with serve(streams=only("orders", SECRET), limits=Limits(max_spool=len(BODY) - 1)) as served:
        refused = post(served.orders, BODY, {**LINES, **signed(BODY)})
        assert (refused.status, "--max-spool" in refused.json["detail"]) == (413, True)
        chunked = post(served.orders, iter([BODY[:70_000], BODY[70_000:]]), {**LINES, **signed(BODY)})
        assert chunked.status == 413
        assert rows(served) == []
        assert served.service.webhook.figures.spooled == 0
        assert post(served.orders, lines(events(5)), {**LINES, **signed(lines(events(5)))}).json["accepted"] == 5
        assert served.service.webhook.figures.answers[413] == 2


def test_a_stranger_keeps_no_delivery_from_its_sender(serve: Serve) -> None:
    """Its id is taken by who proved who it is, not by who came first with any signature."""
    with serve(streams=only("orders", SECRET)) as served, begin(served, "m1") as stranger:
        assert post(served.orders, BODY, {**LINES, **signed(BODY, message="m1")}).json["accepted"] == 20_000
        assert stranger.send(b"forgery!\n").answer().status == 401


def test_bodies_share_the_room_and_give_it_back(tight: Served) -> None:
    figures = tight.service.webhook.figures
    with begin(tight, "first") as first:
        held = figures.spooled
        gauge = exposition(tight.service).partition(b"\narion_webhook_spooled_bytes ")[2].split()[0]
        assert float(gauge) == held
        assert get(f"{tight.url}/status").json["webhook"]["spooled"] == held
        refused = post(tight.orders, BODY, {**LINES, **signed(BODY, message="second")})
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert first.send(BODY[-9:]).answer().json["accepted"] == 20_000
    assert figures.spooled == 0
    assert post(tight.orders, BODY, {**LINES, **signed(BODY, message="second")}).json["accepted"] == 20_000


def test_who_hangs_up_leaves_nothing_behind(tight: Served) -> None:
    with begin(tight, "first"):
        pass
    until(lambda: tight.service.webhook.figures.spooled == 0)
    assert rows(tight) == []


def test_the_event_loop_neither_hashes_nor_writes(tight: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()
    keep = spool._keep

    def noting(*arguments: Any) -> None:
        names.add(threading.current_thread().name)
        keep(*arguments)

    monkeypatch.setattr(spool, "_keep", noting)
    assert post(tight.orders, BODY, {**LINES, **signed(BODY)}).status == 200
    assert names
    assert "web-server" not in names


def test_a_full_disk_is_no_fault_of_the_sender(tight: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Full:
        def __init__(self, **_: object) -> None:
            self.file = (tmp_path / "spool").open("w+b")

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(spool.tempfile, "TemporaryFile", Full)
    refused = post(tight.orders, BODY, {**LINES, **signed(BODY)})
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert "no space" not in refused.json["detail"]
    assert tight.service.webhook.figures.spooled == 0
