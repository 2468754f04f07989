"""The pages of the scheduler, over a real socket, with real workers behind them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from arion_lib.pipeline.stores.sqlite import SqliteStore
from arion_lib.scheduler import Scheduler, State
from arion_lib.web.application import create_app
from arion_lib.web.edge.server import running
from arion_lib.web.scheduling.functions import RegisteredFunctions
from arion_lib.web.scheduling.samples import shipped
from arion_lib.web.scheduling.tasks import ScheduledTasks
from arion_lib.web.service import PipelineService
from tests.web import jobs
from tests.web.client import Answer, delete, get, post, put
from tests.web.conftest import Served
from tests.web.test_serve import ask_to_end, command

JOBS = {name: getattr(jobs, name) for name in ("add", "pair", "fail", "die", "spin", "infinite", "no_json")}


@dataclass
class Desk:
    """A served scheduler and what a test does with it."""

    url: str
    tasks: ScheduledTasks
    gate: jobs.Gate

    def submit(
        self, function: str, arguments: dict[str, Any] | None = None, key: str | None = None, **options: Any
    ) -> Answer:
        body = {"function": function, "arguments": arguments or {}, "options": options}
        headers = {} if key is None else {"idempotency-key": key}
        return post(f"{self.url}/scheduler/tasks", json.dumps(body).encode(), headers)

    def handed_in(self, function: str, arguments: dict[str, Any] | None = None, **options: Any) -> str:
        answer = self.submit(function, arguments, **options)
        assert answer.status == 202, answer.body
        identity: str = answer.json["id"]
        return identity

    def get(self, path: str, **query: Any) -> Answer:
        return get(f"{self.url}/scheduler/{path}?{urlencode(query, doseq=True)}")

    def result(self, identity: str) -> Any:
        answer = self.get(f"tasks/{identity}/result", wait=10)
        assert answer.status == 200, answer.body
        return answer.json

    def until(self, identity: str, state: str) -> dict[str, Any]:
        """Ask until the task is in the state; a bound only so that a broken test ends."""
        deadline = time.monotonic() + 20
        while (found := self.get(f"tasks/{identity}").json)["state"] != state:
            assert time.monotonic() < deadline, f"never {state}, last {found}"
        return dict(found)


@contextmanager
def desk_of(open_scheduler: Callable[[], Scheduler], **options: Any) -> Iterator[Desk]:
    from fastapi import FastAPI

    from arion_lib.web.pages.refusals import answer_problems
    from arion_lib.web.scheduling.pages import scheduler_pages

    gate = jobs.Gate()
    tasks = ScheduledTasks({**JOBS, "hold": gate.hold, "half_way": gate.half_way}, open_scheduler, **options)
    api = FastAPI()
    answer_problems(api)
    api.include_router(scheduler_pages(tasks))
    try:
        with running(api) as url:
            yield Desk(url, tasks, gate)
    finally:
        gate.open.set()
        tasks.close()


@pytest.fixture
def desk(no_leaks: None) -> Iterator[Desk]:
    with desk_of(lambda: Scheduler(2, name="web")) as one:
        yield one


def test_a_task_is_handed_in_by_name_and_its_result_fetched(desk: Desk) -> None:
    answer = desk.submit("add", {"left": 2, "right": 40})
    number = answer.json["id"]
    assert (answer.status, answer.headers["location"]) == (202, f"/scheduler/tasks/{number}")
    assert desk.result(number) == {"id": number, "state": "succeeded", "value": 42, "error": None}
    told = desk.get(f"tasks/{number}").json
    assert (told["name"], told["function"], told["state"], told["attempt"]) == ("add", "add", "succeeded", 1)
    states = [change["state"] for change in told["history"]]
    assert (states[0], states[-2:]) == ("pending", ["running", "succeeded"])
    assert told["submitted"] == pytest.approx(told["history"][0]["at"], abs=5)


def test_only_registered_functions_can_be_run(desk: Desk) -> None:
    listed = {one["name"]: one for one in desk.get("functions").json}
    assert set(listed) == {*JOBS, "hold", "half_way"}
    assert listed["add"]["about"] == "Add two numbers."
    assert listed["add"]["arguments"]["required"] == ["left"]
    answer = desk.submit("os.system", {"command": "true"})
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["must"].startswith("function must be one of add, pair")
    assert answer.json["got"] == "'os.system'"
    assert desk.tasks.state == "unused"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "arguments.left must be given, got nothing"),
        ({"left": "2"}, "arguments.left must be a valid integer, got '2'"),
        ({"left": True}, "arguments.left must be a valid integer, got True"),
        ({"left": 2.5}, "arguments.left must be a valid integer, got 2.5"),
        ({"left": 1, "right": 101}, "arguments.right must be less than or equal to 100, got 101"),
        ({"left": 1, "wrong": 3}, "arguments.wrong must be left out, got 3"),
    ],
)
def test_arguments_that_do_not_fit_the_signature_are_refused_one_by_one(
    arguments: dict[str, Any], told: str, desk: Desk
) -> None:
    answer = desk.submit("add", arguments)
    assert (answer.status, answer.json["detail"].partition(": see")[0]) == (422, told)
    assert desk.tasks.state == "unused"


def test_of_several_wrong_arguments_all_are_told(desk: Desk) -> None:
    errors = desk.submit("pair", {"point": [1, "x"], "names": [1]}).json["errors"]
    assert [error["must"].split()[0] for error in errors] == ["arguments.point.1", "arguments.names.0"]


def test_arguments_come_as_the_types_that_the_signature_names(desk: Desk) -> None:
    value = desk.result(desk.handed_in("pair", {"point": [1, 2.5], "anything": {"deep": [None]}}))["value"]
    assert value == {"type": "tuple", "point": [1, 2.5], "names": None, "anything": {"deep": [None]}}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"retries": -1}, "options.retries must be greater than or equal to 0"),
        ({"timeout": 0}, "options.timeout must be greater than 0"),
        ({"priority": "high"}, "options.priority must be a valid integer"),
        ({"lane": "threads"}, "options.lane must be left out"),
        ({"after": ["nobodys"]}, "options.after must be tasks that are kept, got nobodys"),
        ({"if_dependency_fails": "shrug"}, "options.if_dependency_fails must be 'fail' or 'run'"),
        ({"tags": ["x"] * 21}, "options.tags must have at most 20 items"),
        ({"tags": ["ok", "x" * 101]}, "options.tags.1 must have at most 100 characters"),
        ({"tags": [""]}, "options.tags.0 must have at least 1 character"),
        ({"after": ["x" * 101]}, "options.after.0 must have at most 100 characters"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], told: str, desk: Desk) -> None:
    answer = desk.submit("add", {"left": 1}, **options)
    assert (answer.status, answer.json["detail"].startswith(told)) == (422, True), answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "body must be JSON"),
        (b"", "body must be given"),
        (b'{"function": "add", "args": {}}', "args must be left out"),
        (b'{"arguments": {}}', "function must be given"),
    ],
)
def test_a_wrong_body_is_refused(body: bytes, told: str, desk: Desk) -> None:
    answer = post(f"{desk.url}/scheduler/tasks", body)
    assert (answer.status, answer.json["detail"].startswith(told)) == (422, True), answer.json


def test_a_task_that_fails_is_a_result_with_its_error(desk: Desk) -> None:
    number = desk.handed_in("fail", {"words": "no such row"})
    found = desk.result(number)
    assert (found["state"], found["value"]) == ("failed", None)
    assert found["error"] == {"kind": "ValueError", "message": "no such row"}
    assert desk.get(f"tasks/{number}").json["error"] == "ValueError: no such row"


def test_a_worker_that_dies_is_a_result_too_and_the_service_goes_on(desk: Desk) -> None:
    dead = desk.result(desk.handed_in("die"))
    assert (dead["state"], dead["error"]["kind"]) == ("failed", "WorkerDiedError")
    assert desk.result(desk.handed_in("add", {"left": 1}))["value"] == 2


def test_retries_and_timeouts_are_the_submissions(desk: Desk) -> None:
    failed = desk.handed_in("fail", {"words": "x"}, retries=2)
    late = desk.handed_in("spin", timeout=0.05)
    desk.result(failed)
    told = desk.get(f"tasks/{failed}").json
    assert told["attempt"] == 3
    assert [change["state"] for change in told["history"]].count("retrying") == 2
    assert desk.result(late)["state"] == "timed out"


def test_a_task_comes_after_others_and_fails_with_them(desk: Desk) -> None:
    first = desk.handed_in("hold")
    after = desk.handed_in("add", {"left": 1}, after=[first])
    bad = desk.handed_in("fail", {"words": "x"})
    doomed = desk.handed_in("add", {"left": 1}, after=[bad])
    assert desk.result(doomed)["error"]["kind"] == "DependencyFailedError"
    assert desk.until(after, "pending")["attempt"] == 0
    desk.gate.open.set()
    assert desk.result(after)["value"] == 2


def test_a_result_that_is_not_there_yet_is_202_and_waiting_for_it_is_bounded(desk: Desk) -> None:
    number = desk.handed_in("hold")
    assert desk.gate.entered.acquire(timeout=20)
    answer = desk.get(f"tasks/{number}/result", wait=0.01)
    assert (answer.status, answer.json["state"], answer.headers["retry-after"]) == (202, "running", "1")
    assert desk.get(f"tasks/{number}/result", wait=11).status == 422
    desk.gate.open.set()
    assert desk.result(number)["value"] == "held"


def test_a_running_task_is_cancelled_for_real(desk: Desk) -> None:
    desk.tasks.scheduler().scale(1)
    number = desk.handed_in("spin")
    desk.until(number, "running")
    assert post(f"{desk.url}/scheduler/tasks/{number}/cancel", b"").json["state"] == "cancelled"
    assert desk.result(number)["error"]["kind"] == "CancelledError"
    ended = desk.handed_in("add", {"left": 1})
    assert desk.result(ended)["value"] == 2  # the only worker is free again
    refused = post(f"{desk.url}/scheduler/tasks/{ended}/cancel", b"")
    assert (refused.status, refused.json["got"]) == (409, "succeeded")


def test_a_running_task_tells_its_progress(desk: Desk) -> None:
    number = desk.handed_in("half_way")
    shown = desk.until(number, "running")
    while shown["progress"] is None:  # it has begun, and says so next
        shown = desk.get(f"tasks/{number}").json
    assert shown["progress"] == [5, 10]
    desk.gate.open.set()
    assert desk.result(number)["state"] == "succeeded"
    assert desk.get(f"tasks/{number}").json["progress"] is None


def test_the_list_is_paged_without_gap_or_repetition_and_filtered_by_state(desk: Desk) -> None:
    numbers = [
        desk.handed_in("add", {"left": n}) if n % 3 else desk.handed_in("fail", {"words": "x"}) for n in range(10)
    ]
    for number in numbers:
        desk.result(number)

    def listed(address: str) -> list[str]:
        seen = []
        while address:
            page = get(desk.url + address).json
            seen += [one["id"] for one in page["items"]]
            address = page["next"]
        return seen

    assert listed("/scheduler/tasks?limit=3") == numbers
    assert listed("/scheduler/tasks?state=failed&limit=1") == numbers[::3]
    assert listed("/scheduler/tasks?state=failed&state=succeeded&limit=4") == numbers
    assert listed("/scheduler/tasks?state=running") == []
    assert get(f"{desk.url}/scheduler/tasks?state=lost").status == 422


def test_what_has_ended_can_be_forgotten_and_nothing_else(desk: Desk) -> None:
    held = desk.handed_in("hold")
    good, bad = desk.handed_in("add", {"left": 1}), desk.handed_in("fail", {"words": "x"})
    others = [desk.handed_in("add", {"left": 1}) for _ in range(3)]
    for number in (good, bad, *others):
        desk.result(number)

    def forget(path: str) -> Answer:
        return delete(f"{desk.url}/scheduler/tasks{path}")

    assert forget(f"/{good}").status == 204
    assert desk.get(f"tasks/{good}").status == desk.get(f"tasks/{good}/result").status == 404
    assert forget(f"/{good}").status == 404
    refused = forget(f"/{held}")
    assert (refused.status, "cancel it first" in refused.json["detail"]) == (409, True)
    assert forget("?state=failed").json == {"forgotten": 1}
    assert forget("").json == {"forgotten": 3}
    assert [one["id"] for one in desk.get("tasks").json["items"]] == [held]


def test_of_tasks_that_ended_only_the_last_are_kept(no_leaks: None) -> None:
    with desk_of(lambda: Scheduler(1, name="web"), keep=3) as desk:
        held = desk.handed_in("hold")
        numbers = [desk.handed_in("add", {"left": n}) for n in range(6)]
        desk.result(numbers[-1])
        desk.tasks.scheduler().submit(len, ()).result(20)  # one worker, in order: the callbacks of the others are done
        deadline = time.monotonic() + 20
        while len(kept := desk.get("tasks").json["items"]) > 4:
            assert time.monotonic() < deadline
        assert [one["id"] for one in kept] == [held, *numbers[-3:]]


def test_a_full_queue_is_429_and_taken_again_later(no_leaks: None) -> None:
    with desk_of(lambda: Scheduler(1, threads=1, max_pending=2, when_full="refuse", name="web")) as desk:
        held = desk.handed_in("hold")
        assert desk.gate.entered.acquire(timeout=20)
        answers = [desk.submit("hold") for _ in range(5)]
        refused = [answer for answer in answers if answer.status == 429]
        assert refused
        assert refused[0].headers["retry-after"] == "1"
        assert refused[0].json["title"] == "Too Many Requests"
        desk.gate.open.set()
        for number in [held, *(answer.json["id"] for answer in answers if answer.status == 202)]:
            assert desk.result(number)["value"] == "held"
        assert desk.submit("hold").status == 202


def test_a_result_that_is_not_json_says_so(desk: Desk) -> None:
    assert desk.result(desk.handed_in("infinite"))["value"] is None
    answer = desk.get(f"tasks/{desk.handed_in('no_json')}/result", wait=10)
    assert (answer.status, answer.json["must"]) == (500, "the result must be JSON")


def test_workers_are_told_and_scaled(desk: Desk) -> None:
    assert desk.get("workers").json == []
    desk.result(desk.handed_in("add", {"left": 1}))
    workers = [one for one in desk.get("workers").json if one["lane"] == "processes"]
    assert sum(one["done"] for one in workers) == 1
    lanes = put(f"{desk.url}/scheduler/workers", b'{"workers": 3}').json
    assert {lane["name"]: lane["size"] for lane in lanes}["processes"] == 3
    for body, words in ((b'{"workers": 0}', "greater than or equal to 1"), (b'{"workers": 65}', "equal to 64")):
        refused = put(f"{desk.url}/scheduler/workers", body)
        assert (refused.status, words in refused.json["must"]) == (422, True)


def test_the_number_of_workers_follows_the_queue_when_asked(desk: Desk) -> None:
    desk.result(desk.handed_in("add", {"left": 1}))
    assert put(f"{desk.url}/scheduler/adapt", b'{"minimum": 1, "maximum": 2}').status == 200
    refused = put(f"{desk.url}/scheduler/adapt", b'{"minimum": 3, "maximum": 2}')
    assert (refused.status, refused.json["detail"].partition(": ")[0]) == (
        422,
        "minimum must be at most maximum (2), got 3",
    )


def test_status_and_metrics_agree(desk: Desk) -> None:
    desk.result(desk.handed_in("fail", {"words": "x"}))
    for _ in range(3):
        desk.result(desk.handed_in("add", {"left": 1}))
    status = desk.get("status").json
    assert (status["name"], status["succeeded"], status["failed"]) == ("web", 3, 1)
    assert status["running_time"]["count"] == 4
    page = desk.get("metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'arion_scheduler_tasks_total{scheduler="web",state="succeeded"} 3.0' in page.body.decode()


def test_looking_at_a_scheduler_that_nobody_used_opens_none(no_leaks: None) -> None:
    opened = []

    def open_scheduler() -> Scheduler:
        opened.append(1)
        return Scheduler(1, name="web")

    with desk_of(open_scheduler) as desk:
        for path in ("functions", "tasks", "workers", "status", "metrics"):
            assert desk.get(path).status == 200
        assert delete(f"{desk.url}/scheduler/tasks").json == {"forgotten": 0}
        assert desk.get("health").json == {"status": "ok", "detail": "the scheduler is unused"}
        assert not opened
        desk.result(desk.handed_in("add", {"left": 1}))
        assert opened == [1]
        assert desk.get("health").json["detail"].endswith("tasks waiting: 0, running: 0")


def test_a_scheduler_that_is_closed_is_503(desk: Desk) -> None:
    desk.result(desk.handed_in("add", {"left": 1}))
    desk.tasks.close()
    health = desk.get("health")
    assert (health.status, health.json["status"]) == (503, "down")
    assert desk.submit("add", {"left": 1}).status == 503
    assert put(f"{desk.url}/scheduler/workers", b'{"workers": 2}').status == 503


def test_closing_ends_what_runs_for_ever(no_leaks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arion_lib.web.scheduling.tasks.PATIENCE", 0.05)
    with desk_of(lambda: Scheduler(1, name="web")) as desk:
        number = desk.handed_in("spin")
        desk.until(number, "running")
        desk.tasks.close()
        assert desk.tasks.find(number).task.status() in (State.CANCELLED, State.FAILED)


@pytest.mark.parametrize("call", [print, lambda *args: None, lambda **kwargs: None, eval("lambda x, /: x")])
def test_a_function_that_no_json_object_can_call_is_refused_when_it_is_registered(call: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="must be given by name"):
        RegisteredFunctions({"bad": call})


def test_what_ships_is_bounded_and_fetches_nothing() -> None:
    functions = RegisteredFunctions(shipped())
    assert set(functions.all) == {"count_words", "count_primes", "wait"}
    for name, argument, bound in (("count_primes", "below", "maximum"), ("wait", "seconds", "maximum")):
        assert bound in functions.find(name).schema["properties"][argument]
    assert "maxLength" in functions.find("count_words").schema["properties"]["text"]


def test_the_example_in_the_docs_is_a_call_that_works(no_leaks: None, served: Served) -> None:
    schemas = get(f"{served.url}/openapi.json").json["components"]["schemas"]
    example = json.dumps(schemas["Submission"]["example"]).encode()
    assert schemas["Submission"]["additionalProperties"] is False
    number = post(f"{served.url}/scheduler/tasks", example).json["id"]
    assert get(f"{served.url}/scheduler/tasks/{number}/result?wait=10").json["value"] == 78_498


def test_the_service_serves_these_pages_and_ends_its_workers(no_leaks: None, served: Served) -> None:
    desk = Desk(served.url, served.app.tasks, jobs.Gate())
    assert desk.result(desk.handed_in("count_primes", {"below": 100}))["value"] == 25
    assert desk.result(desk.handed_in("count_words", {"text": "to be or not to be", "most": 1}))["value"] == {"to": 2}
    assert desk.result(desk.handed_in("wait", {"seconds": 0}))["value"] == 0
    both = get(f"{served.url}/metrics").body.decode()
    assert 'arion_scheduler_tasks_total{scheduler="web",state="succeeded"} 3.0' in both
    assert "arion_webhook_accepted_records_total" in both
    assert "/scheduler/tasks/{id}/result" in get(f"{served.url}/openapi.json").json["paths"]


def test_the_command_ends_with_a_task_running_and_leaves_no_process(no_leaks: None, tmp_path: Path) -> None:
    with command("--port", "0", "--data", str(tmp_path)) as (process, line):
        url = line.split()[0]
        body = {"function": "wait", "arguments": {"seconds": 0}}
        number = post(f"{url}/scheduler/tasks", json.dumps(body).encode()).json["id"]
        assert get(f"{url}/scheduler/tasks/{number}/result?wait=10").json["value"] == 0
        post(f"{url}/scheduler/tasks", b'{"function": "count_primes", "arguments": {"below": 50000000}}')
        ask_to_end(process)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


class Stuck(ScheduledTasks):
    """Tasks that cannot be closed."""

    def close(self) -> None:
        raise RuntimeError("stuck")


def test_the_service_ends_in_order_though_its_tasks_cannot_be_closed(no_leaks: None, tmp_path: Path) -> None:
    async def quiet(*_: object) -> dict[str, str]:
        return {"type": "lifespan"}

    with SqliteStore(tmp_path / "arion.db") as store:
        app = create_app(PipelineService(store), Stuck({}))
        with pytest.raises(RuntimeError, match="stuck"):
            asyncio.run(app({"type": "lifespan"}, quiet, quiet))
    # The committing thread has ended: the fixture looks.


def test_waiting_tasks_are_bounded_by_bytes_and_workers_by_what_the_service_was_started_with(
    no_leaks: None, tmp_path: Path
) -> None:
    with SqliteStore(tmp_path / "arion.db") as store:
        tasks = ScheduledTasks(shipped(), most_workers=1, most_bytes=1_000)
        with running(create_app(PipelineService(store), tasks)) as url:
            assert put(f"{url}/scheduler/workers", b'{"workers": 2}').status == 422
            assert put(f"{url}/scheduler/adapt", b'{"minimum": 1, "maximum": 2}').status == 422
            name = next(name for name in shipped() if "words" in name)
            long = {"function": name, "arguments": {"text": "x" * 2_000}}
            refused = post(f"{url}/scheduler/tasks", json.dumps(long).encode())
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")


def test_an_id_is_drawn_and_means_nothing_after_a_restart(no_leaks: None) -> None:
    given = []
    for _ in range(2):
        with desk_of(lambda: Scheduler(1, name="web")) as desk:
            given.append(desk.handed_in("add", {"left": 1}))
            desk.result(given[-1])
            assert desk.get("tasks/1").status == 404
    assert given[0] != given[1]
    assert min(map(len, given)) >= 16, "96 bits"
    with desk_of(lambda: Scheduler(1, name="web")) as desk:
        desk.result(desk.handed_in("add", {"left": 5}))
        answer = desk.get(f"tasks/{given[0]}/result")
        assert (answer.status, answer.json["must"]) == (404, "task must be one that is kept")


def test_the_answer_says_that_a_task_ends_with_the_service(desk: Desk) -> None:
    assert desk.submit("add", {"left": 1}).json["durable"] is False


def test_a_call_that_is_sent_again_with_its_key_is_run_once(desk: Desk) -> None:
    first = desk.submit("hold", key="order-7")
    again = [desk.submit("hold", key="order-7") for _ in range(3)]
    assert {answer.json["id"] for answer in (first, *again)} == {first.json["id"]}
    other = desk.submit("add", {"left": 1}, key="order-7")
    assert (other.status, other.json["must"]) == (422, "idempotency-key must be one of the same call")
    assert desk.submit("hold").json["id"] != first.json["id"], "the control: without a key it is another task"
    desk.gate.open.set()
    desk.result(first.json["id"])
    assert desk.submit("hold", key="order-7").json["state"] == "succeeded"
    assert delete(f"{desk.url}/scheduler/tasks/{first.json['id']}").status == 204
    assert desk.submit("hold", key="order-7").json["id"] != first.json["id"], "its task is forgotten: so is the key"


def test_of_many_that_send_one_key_at_once_one_makes_the_task(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda _: desk.submit("add", {"left": 1}, key="k"), range(16)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(desk.get("tasks").json["items"]) == 1
