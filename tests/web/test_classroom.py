"""The teacher's board: what learners check and predict arrives, once, and is shown; nothing is kept."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.store import open_store
from arion_lib.web.classroom.board import Board, render
from arion_lib.web.classroom.room import Room, histogram
from arion_lib.web.edge.server import running
from arion_lib.workbook import classroom, join_class, predict, predictions
from arion_lib.workbook.classroom import Member
from tests.browser import browser

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))
KEYS = st.sampled_from(["learner", "kind", "name", "mark", "value", "unit", "notebook", "at", "likely"])


@pytest.fixture
def board(tmp_path: Path) -> Iterator[tuple[str, Board]]:
    with open_store(tmp_path / "class.db") as store:
        served = Board(store)
        with running(served) as url:
            yield url, served


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def check_of(learner: str, name: str, mark: str, likely: str = "") -> dict[str, object]:
    return {"learner": learner, "kind": "check", "name": name, "mark": mark, "likely": likely, "notebook": "1_x.ipynb"}


def test_the_exercise_where_most_are_stuck_comes_first_with_its_reasons() -> None:
    room = Room()
    for number in range(5):
        room.add(check_of(f"l{number}", "1.1", "ok"))
        room.add(check_of(f"l{number}", "1.2", "no", "reads ahead" if number else "never ends"))
    room.add(check_of("l0", "1.2", "ok"))
    first, second = room.stalls()
    assert (first.exercise, first.through, first.stuck, first.reasons) == ("1.2", 1, 4, (("reads ahead", 4),))
    assert (second.exercise, second.through, second.stuck) == ("1.1", 5, 0)


def test_learners_stand_by_name_whoever_came_first() -> None:
    room = Room()
    for name in ("ada-10", "Bob", "ada-9"):
        room.add(check_of(name, "1.1", "ok"))
    page = render("inner", room)
    assert page.index("ada-9") < page.index("ada-10") < page.index("Bob")


@given(st.lists(st.dictionaries(KEYS, VALUES)))
def test_no_event_breaks_the_board(events: list[dict[str, object]]) -> None:
    room = Room()
    for event in events:
        room.add(event)
    assert "<h1>The class</h1>" in render("page", room)


@given(st.lists(st.floats(0, 1e18)), st.one_of(st.none(), st.floats(0, 1e18)))
def test_a_histogram_counts_every_prediction_once(values: list[float], measured: float | None) -> None:
    values = [value for value in values if value == 0 or value > 1e-9]
    measured = None if measured is not None and 0 < measured < 1e-9 else measured
    bars = histogram(values, measured)
    assert sum(bar.count for bar in bars) == len(values)
    assert sum(bar.measured for bar in bars) == (measured is not None)


def test_what_a_learner_sends_is_shown_as_text() -> None:
    room = Room()
    room.add(check_of("<script>alert(1)</script>", "1.1", "no", "<b>"))
    page = render("inner", room)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_checks_and_predictions_reach_the_board_each_once(
    board: tuple[str, Board], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, served = board
    monkeypatch.setattr(classroom, "_member", [])
    monkeypatch.setattr(predictions, "_made", {})
    join_class(url, "ada")
    assert f"go to {url}, as 'ada'" in capsys.readouterr().out
    predict("peak", 120, "MB")
    predictions.compare("peak", 480e6)
    member = classroom._member[0]
    member.flush()
    page = get(url)
    assert "100 to 200" in page
    assert "measured: 480" in page
    assert list(served.room.learners) == ["ada"]


def test_an_event_that_is_sent_twice_counts_once(board: tuple[str, Board]) -> None:
    url, served = board
    member = Member(url, "ada")
    event = json.dumps({"id": "same", **check_of("ada", "1.1", "no")})
    assert [member._taken(event) for _ in range(2)] == [True, True]
    get(url)
    assert served.room.learners["ada"].exercises["1.1"].tries == 1


def test_a_board_that_starts_late_gets_what_was_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classroom, "PATIENCE", 0.05)
    with open_store(tmp_path / "class.db") as store:
        with running(Board(store)) as url:
            port = int(url.rpartition(":")[2])
        member = Member(url, "early")
        member.tell(check_of("early", "1.1", "ok"))
        with running(Board(store), port=port):
            member.flush()
            assert "early" in get(url)


def test_without_an_address_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classroom, "_member", [])
    monkeypatch.delenv(classroom.ADDRESS, raising=False)
    monkeypatch.setattr(classroom, "Member", lambda *_: pytest.fail("nobody asked for a class"))
    classroom.tell({"kind": "check"})


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r'must be like "http://.*", got .board.: the teacher has it'):
        join_class("board")


def test_only_the_board_and_the_webhook_can_be_reached(board: tuple[str, Board]) -> None:
    url, _ = board
    for path in ("/docs", "/webhook/other", "/rows/class", "/metrics"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(url + path)
        assert refused.value.code == 404
        refused.value.close()


def test_two_hundred_learners_lose_nothing(board: tuple[str, Board]) -> None:
    url, served = board
    members = [Member(url, f"learner {number}") for number in range(200)]
    for exercise in ("1.1", "1.2", "1.3"):
        for member in members:
            member.tell(check_of(member.nickname, exercise, "ok"))
    for member in members:
        member.flush()
    get(url)
    assert len(served.room.learners) == 200
    assert all(len(one.exercises) == 3 for one in served.room.learners.values())


def test_a_real_browser_shows_what_arrives_while_it_looks(board: tuple[str, Board]) -> None:
    url, _ = board
    with browser() as window:
        window.open(url)
        assert "Nobody has checked an answer yet." in window.run("return document.body.innerText")
        member = Member(url, "grace")
        member.tell(check_of("grace", "4.1", "no", "lists the whole source first"))
        waits = """
          const until = (ready, left) => ready() ? document.body.innerText : left
            ? new Promise(done => setTimeout(done, 100)).then(() => until(ready, left - 1)) : 'nothing came';
          return until(() => document.body.innerText.includes('grace'), 300)"""
        assert "lists the whole source first" in window.run(waits)


@pytest.mark.posix("SIGINT to one process is POSIX")
def test_the_word_says_how_to_join_and_leaves_no_trace(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "arion_lib", "class", "--port", "0", "--host", "127.0.0.1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = [server.stdout.readline() for _ in range(6)]
        port = re.findall(r":(\d+)", said[0])[0]
        assert "The class" in get(f"http://127.0.0.1:{port}/")
        assert f"set ARION_CLASS=http://127.0.0.1:{port} " in said[2]  # nobody else can reach what listens there
        assert "join_class(" in said[4]
        assert list(tmp_path.iterdir())
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    assert not list(tmp_path.iterdir())


def test_code_in_a_reason_is_shown_as_code_and_still_escaped() -> None:
    room = Room()
    room.add(check_of("ada", "1.1", "no", "the `try` is too wide: `<b>`"))
    page = render("inner", room)
    assert "the <code>try</code> is too wide: <code>&lt;b&gt;</code>" in page
