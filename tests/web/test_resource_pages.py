"""The pages of the resource manager, over a real socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.connections.cache import Cache
from arion_lib.resources.connections.database import Database
from arion_lib.web.pages.resource_runs import KEPT_HOURS, ResourceRuns, local_sets
from tests.web.client import get, post
from tests.web.conftest import Served


@dataclass
class Bench:
    """A served set that can be made ill, slow, or asynchronous."""

    url: str = ""
    ill: list[str] = field(default_factory=list)
    entered: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    now: list[float] = field(default_factory=lambda: [7_200.0])

    def opened(self) -> Iterator[str]:
        if self.ill:
            raise OSError("cannot reach redis://:s3cret@host")
        yield "open"

    def slow(self) -> Iterator[str]:
        self.entered.set()
        self.go.wait(10)
        yield "open"

    async def task(self) -> Any:
        yield "open"


@pytest.fixture
def bench(no_leaks: None) -> Iterator[Bench]:
    from fastapi import FastAPI

    from arion_lib.web.edge.server import running
    from arion_lib.web.pages.resources import resource_pages

    one = Bench()
    sets = {
        "shop": Resources(db=Database("sqlite:///:memory:"), cache=Cache(), own=one.opened),
        "slow": Resources(a=one.slow),
        "tasks": Resources(a=resource(one.task)),
    }
    app = FastAPI()
    app.include_router(resource_pages(ResourceRuns(sets, clock=lambda: one.now[0])))
    with running(app) as one.url:
        yield one


def test_a_registered_set_is_opened_checked_and_closed(bench: Bench) -> None:
    ran = post(f"{bench.url}/resources/shop/runs", b"").json
    assert (ran["number"], ran["ok"], ran["errors"]) == (1, True, [])
    assert {name: health["checked"] for name, health in ran["health"].items()} == {
        "db": True,
        "cache": True,
        "own": False,
    }
    status = get(f"{bench.url}/resources/shop").json
    assert {name: (f["acquisitions"], f["open"]) for name, f in status["resources"].items()} == dict.fromkeys(
        ("db", "cache", "own"), (1, 0)
    )
    assert post(f"{bench.url}/resources/tasks/runs", b"").json["ok"]


def test_only_registered_sets_can_be_run(bench: Bench) -> None:
    answer = post(f"{bench.url}/resources/other/runs", b"")
    assert (answer.status, answer.json["detail"]) == (404, "set must be one of shop, slow, tasks, got 'other'")


def test_a_set_that_fails_is_a_result_without_secrets_and_makes_health_503(bench: Bench) -> None:
    assert get(f"{bench.url}/resources/health").status == 200
    bench.ill.append("down")
    ran = post(f"{bench.url}/resources/shop/runs", b"").json
    assert (ran["ok"], ran["errors"]) == (False, ["while acquiring 'own': OSError: cannot reach redis://:***@host"])
    health = get(f"{bench.url}/resources/health")
    assert (health.status, health.json["sets"]["shop"]) == (503, False)
    bench.ill.clear()
    post(f"{bench.url}/resources/shop/runs", b"")
    assert get(f"{bench.url}/resources/health").status == 200


def test_the_log_is_paged_without_gap_or_repetition(bench: Bench) -> None:
    for _ in range(3):
        post(f"{bench.url}/resources/shop/runs", b"")
    seen, address = [], "/resources/shop/log?limit=4"
    while address:
        page = get(bench.url + address).json
        seen += page["items"]
        address = page["next"]
    assert [entry["seq"] for entry in seen] == list(range(1, 19))
    assert [(entry["event"], entry["resource"]) for entry in seen[:6]] == [
        ("acquired", "db"),
        ("acquired", "cache"),
        ("acquired", "own"),
        ("released", "own"),
        ("released", "cache"),
        ("released", "db"),
    ]


def test_hours_count_what_happened_to_each_resource(bench: Bench) -> None:
    post(f"{bench.url}/resources/shop/runs", b"")
    bench.now[0] += 3_600
    bench.ill.append("down")
    post(f"{bench.url}/resources/shop/runs", b"")
    hours = {(row["hour"], row["resource"]): row for row in get(f"{bench.url}/resources/shop/hours").json}
    assert (hours[7_200, "own"]["acquired"], hours[7_200, "own"]["failed"]) == (1, 0)
    assert (hours[10_800, "own"]["acquired"], hours[10_800, "own"]["failed"]) == (0, 1)
    assert hours[10_800, "db"]["released"] == 1


def test_a_set_that_is_being_run_is_409(bench: Bench) -> None:
    first = threading.Thread(target=post, args=(f"{bench.url}/resources/slow/runs", b""))
    first.start()
    bench.entered.wait(10)
    with contextlib.ExitStack() as stack:
        stack.callback(first.join)
        stack.callback(bench.go.set)
        assert post(f"{bench.url}/resources/slow/runs", b"").status == 409
    assert get(f"{bench.url}/resources/slow").json["last"]["number"] == 1


def test_what_is_kept_of_the_hours_is_bounded() -> None:
    now = [0.0]
    one = ResourceRuns(local_sets(), clock=lambda: now[0]).find("local")
    for _ in range(KEPT_HOURS + 5):
        now[0] += 3_600
        one.run()
    assert len({row["hour"] for row in one.hours()}) == KEPT_HOURS


def test_the_service_serves_these_pages(shared: Served) -> None:
    assert post(f"{shared.url}/resources/local/runs", b"").json["ok"]
    assert [one["name"] for one in get(f"{shared.url}/resources").json] == ["local"]
