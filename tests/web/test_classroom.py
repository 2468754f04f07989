"""The teacher's board: what learners check and predict arrives, once, and is shown; nothing is kept."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.store import open_store
from arion_lib.web.classroom.board import Board, addresses, greeting, render, run
from arion_lib.web.classroom.room import MOST_BARS, Room, histogram
from arion_lib.web.edge.server import running
from arion_lib.workbook import join_class, predict
from arion_lib.workbook.record import classroom, predictions, progress
from arion_lib.workbook.record.classroom import Member
from tests.browser import browser

TEXTS = st.text(st.characters(exclude_categories=()))
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, 5e-324, 1e308]))
EVENTS = st.fixed_dictionaries(
    {"learner": TEXTS, "kind": st.sampled_from(["check", "prediction", "measured"]), "name": TEXTS},
    optional={
        "mark": st.sampled_from(["ok", "no", "todo"]),
        "value": st.one_of(NUMBERS, st.none(), st.booleans(), TEXTS),
        **{key: st.one_of(TEXTS, NUMBERS) for key in ("me", "unit", "notebook", "likely")},
    },
)


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


@given(st.lists(EVENTS))
def test_no_event_breaks_the_board(events: list[dict[str, object]]) -> None:
    room = Room()
    for event in events:
        room.add(event)
    page = render("page", room).encode()
    assert b"<h1>The class</h1>" in page
    assert len(page) < 20_000 + 5_000 * len(events)


@given(st.lists(st.floats(0, 1e18)), st.one_of(st.none(), st.floats(0, 1e18)))
def test_a_histogram_counts_every_prediction_once(values: list[float], measured: float | None) -> None:
    values = [value for value in values if value == 0 or value > 1e-9]
    measured = None if measured is not None and 0 < measured < 1e-9 else measured
    bars = histogram(values, measured)
    assert sum(bar.count for bar in bars) == len(values)
    assert sum(bar.measured for bar in bars) == (measured is not None)
    assert len(bars) <= MOST_BARS
    assert all(before.high <= after.low for before, after in pairwise(bars))


def test_one_wild_guess_leaves_the_rooms_histogram_on_one_screen() -> None:
    bars = histogram([80, 120, 150, 400, 9e12], measured=480)
    assert [bar.gap for bar in bars] == [False, False, False, True, False]
    assert [bar.count for bar in bars] == [1, 2, 1, 0, 1]


def test_the_measurement_is_shown_when_half_of_those_who_predicted_have_it() -> None:
    room = Room()
    for number in range(4):
        room.add({"learner": f"l{number}", "kind": "prediction", "name": "peak", "value": 100, "unit": "MB"})
    shown = []
    for learner in ("somebody else", "l0", "l1"):
        room.add({"learner": learner, "kind": "measured", "name": "peak", "value": 480, "unit": "MB"})
        shown.append("measured: 480" in render("inner", room))
    assert shown == [False, False, True]


def test_two_of_one_nickname_are_two_rows_and_one_who_comes_back_is_one() -> None:
    room = Room()
    for me, name in (("a1", "1.1"), ("b2", "1.1"), ("a1", "1.2")):
        room.add({**check_of("ada", name, "ok"), "me": me})
    assert [(one.nickname, sorted(one.exercises)) for one in room.by_name()] == [
        ("ada", ["1.1", "1.2"]),
        ("ada (2)", ["1.1"]),
    ]


@pytest.mark.parametrize(
    ("nickname", "shown"),
    [
        ("Zoë ✨ 李", "Zoë ✨ 李"),
        ("\u202eevil\u202c", "evil"),
        ("two\nlines", "two lines"),
        ("Jos\udce9", "Jos"),
        ("x" * 300, "x" * 60),
    ],
)
def test_a_nickname_of_odd_characters_is_one_readable_line(nickname: str, shown: str) -> None:
    room = Room()
    assert room.add(check_of(nickname, "1.1", "ok"))
    assert [one.nickname for one in room.by_name()] == [shown]
    assert f"<bdi>{shown}</bdi>" in render("inner", room)


@pytest.mark.parametrize("nickname", ["", "  ", "\u200b\u200b"])
def test_a_nickname_that_cannot_be_seen_is_no_row(nickname: str) -> None:
    room = Room()
    assert not room.add(check_of(nickname, "1.1", "ok"))
    assert not room.learners


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
    assert [one.nickname for one in served.room.by_name()] == ["ada"]


def test_an_event_that_is_sent_twice_counts_once(board: tuple[str, Board]) -> None:
    url, served = board
    member = Member(url, "ada")
    event = json.dumps({"id": "same", **check_of("ada", "1.1", "no")})
    assert [member._taken(event) for _ in range(2)] == [True, True]
    get(url)
    assert served.room.learners["ada", ""].exercises["1.1"].tries == 1


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


def test_a_board_that_does_not_answer_is_told_once_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(classroom, "PATIENCE", 0.05)
    monkeypatch.setattr(classroom, "_member", [])
    with open_store(tmp_path / "class.db") as store:
        with running(Board(store)) as url:
            port = int(url.rpartition(":")[2])
        join_class(url, "ada")
        said = capsys.readouterr().out
        assert f"the class's board at {url} does not answer" in said
        assert "what you do is sent when it does" in said
        classroom.tell(check_of("ada", "1.1", "ok"))
        assert not capsys.readouterr().out
        with running(Board(store), port=port):
            classroom._member[0].flush()
            assert "ada" in get(url)
        assert not classroom._member[0].news()


def test_an_address_where_something_else_answers_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    class Elsewhere(http.server.BaseHTTPRequestHandler):
        """As a hotel's page that wants a password first: it says yes to everything."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"Welcome, please log in")

        do_POST = do_GET  # noqa: N815  the standard library's name

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        member = Member(f"http://127.0.0.1:{server.server_address[1]}", "ada")
        assert not member._taken(json.dumps({"id": "1", **check_of("ada", "1.1", "ok")}))
        server.shutdown()
    assert "is no class's board (it answers something else): ask the teacher for the address" in member.news()
    assert not member.news()  # once is enough


def test_a_wrong_address_in_the_environment_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(classroom, "_member", [])
    monkeypatch.setattr(classroom, "_refused", [])
    monkeypatch.setenv(classroom.ADDRESS, "ftp://board")
    for _ in range(2):
        classroom.tell({"kind": "check"})
    assert capsys.readouterr().out.count("not in a class, as ARION_CLASS is wrong: address must be like") == 1


def test_a_learner_who_starts_again_is_the_same_to_the_board(
    board: tuple[str, Board], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, served = board
    progress.begin(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(classroom.ADDRESS, url.removeprefix("http://"))
    monkeypatch.delenv(classroom.NICKNAME, raising=False)
    for exercise in ("1.1", "1.2"):  # each time a new kernel, in a folder that was prepared anew
        progress.begin(tmp_path)
        monkeypatch.setattr(classroom, "_member", [])
        monkeypatch.setattr(classroom, "_mine", exercise)
        progress.note("check", exercise, mark="ok", likely="")
        classroom._member[0].flush()
    get(url)
    (one,) = served.room.learners.values()
    assert sorted(one.exercises) == ["1.1", "1.2"]
    assert one.nickname.startswith("learner-")


def test_without_an_address_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classroom, "_member", [])
    monkeypatch.delenv(classroom.ADDRESS, raising=False)
    monkeypatch.setattr(classroom, "Member", lambda *_: pytest.fail("nobody asked for a class"))
    classroom.tell({"kind": "check"})


@pytest.mark.parametrize(
    "address", ["board", "http://", "ftp://192.168.1.2:8765", "192.168.1.2:87x", "192.168.1.2: 8765"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=rf'must be like "http://.*", got {address!r}: the teacher has it'):
        join_class(address)


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


UNTIL = """
  const until = (ready, left) => ready() ? document.body.innerText : left
    ? new Promise(done => setTimeout(done, 100)).then(() => until(ready, left - 1)) : 'nothing came';
  const words = arguments[0];
  return until(() => document.body.innerText.includes(words), 300)"""


def test_a_real_browser_shows_what_arrives_while_it_looks(board: tuple[str, Board]) -> None:
    url, _ = board
    with browser() as window:
        window.resize(390, 844)
        window.open(url)
        text = window.run("return document.body.innerText")
        assert all(f"Nobody has {words} yet." in text for words in ("checked an answer", "made a prediction", "come"))
        member = Member(url, "grace" * 12)
        for number in range(1, 9):
            member.tell(check_of("grace" * 12, f"4.{number}", "no", "lists the whole source first"))
        assert "lists the whole source first" in window.run(UNTIL, "4.8")
        assert window.run("return document.documentElement.scrollWidth <= innerWidth"), "fits a phone"
        stalls = "return [document.getElementById('wide-stalls')].every(s => s.scrollWidth <= s.clientWidth)"
        assert window.run(stalls), "the reasons are read without scrolling sideways"
        # What somebody looks at, scrolled sideways and by keyboard, stays where it is when news come.
        window.run("const who = document.getElementById('wide-who'); who.focus(); who.scrollLeft = 20")
        member.tell(check_of("grace" * 12, "5.1", "no"))
        window.run(UNTIL, "5.1")
        at = "const who = document.getElementById('wide-who'); return [who.scrollLeft, document.activeElement === who]"
        assert window.run(at) == [20, True]


def test_a_board_whose_server_has_gone_says_that_it_is_old(tmp_path: Path) -> None:
    with browser() as window, open_store(tmp_path / "class.db") as store:
        with running(Board(store)) as url:
            window.open(url)
            assert window.run("return document.getElementById('state').textContent") == ""
        assert "what stands here is old" in window.run(UNTIL, "No connection since")


@pytest.mark.posix("SIGINT to one process is POSIX")
def test_the_word_says_how_to_join_and_leaves_no_trace(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "arion_lib", "class", "--port", "0", "--host", "127.0.0.1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = [server.stdout.readline() for _ in range(9)]
        port = re.findall(r":(\d+)", said[0])[0]
        assert "The class" in get(f"http://127.0.0.1:{port}/")
        assert f"set ARION_CLASS=http://127.0.0.1:{port} " in said[2]  # nobody else can reach what listens there
        assert "join_class(" in said[5]
        assert list(tmp_path.iterdir())
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "no/folder/class.db"])
def test_a_file_to_keep_the_events_in_that_cannot_be_is_refused(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(["--port", "0", "--keep", str(tmp_path / name)])
    assert f"--keep must be a file in a folder that is there, got {tmp_path / name}" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_what_is_no_port_is_refused_in_a_sentence(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["--port", port])
    assert f"--port: must be a whole number from 0 to 65535, got '{port}'" in capsys.readouterr().err


def test_code_in_a_reason_is_shown_as_code_and_still_escaped() -> None:
    room = Room()
    room.add(check_of("ada", "1.1", "no", "the `try` is too wide: `<b>`"))
    page = render("inner", room)
    assert "the <code>try</code> is too wide: <code>&lt;b&gt;</code>" in page


def test_the_greeting_says_when_no_other_machine_can_come() -> None:
    room, alone = greeting(["http://192.168.1.20:8765", "http://127.0.0.1:8765"]), greeting(["http://127.0.0.1:8765"])
    assert "join the room's network" in alone[-1]
    assert not any("join the room's network" in line for line in room)
    assert "ARION_CLASS=http://192.168.1.20:8765 ARION_NICKNAME=ada python -m arion_lib lab" in room[1]


def test_every_card_of_this_machine_is_an_address_and_no_address_comes_twice() -> None:
    found = addresses(8765)
    assert found[-1] == "http://127.0.0.1:8765"
    assert len(found) == len(set(found))
    assert not [url for url in found[:-1] if "//127." in url]
