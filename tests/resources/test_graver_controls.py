"""The controls of tests about cancellation, transactions and secrets: each fails with its fault put in again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from arion_lib import masking
from arion_lib.resources import settle
from arion_lib.resources.connections import database
from arion_lib.resources.guarding.shield import Shield
from arion_lib.resources.tasks import TaskEntry
from tests.ground import test_masking
from tests.resources import test_cancellation as cancelled
from tests.resources import test_connections as connections
from tests.with_fault import fails_with

Fault = tuple[Any, str, str]


@contextmanager
def a_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def beside() -> None:
    with a_folder() as folder:
        connections.test_a_statement_beside_another_tasks_transaction_is_durable_when_it_returns(
            database.Database(f"sqlite:///{folder / 'shop.db'}")
        )


def committed(tasks: bool) -> None:
    with a_folder() as folder:
        connections.test_a_commit_that_fails_leaves_no_transaction_open(folder, tasks)


def arrives(canceller: Any, moment: str, fails: bool) -> Callable[[], object]:
    test = cancelled.test_the_error_that_arrives_is_that_of_a_shielded_exit_stack
    return partial(test, canceller, moment, fails, False)


ROLLS_BACK = connections.test_the_first_error_comes_out_when_the_statement_itself_has_rolled_back
CONTROLS: dict[str, tuple[list[Fault], Callable[[], object]]] = {
    "R1 anyio's scopes are not held back": (
        [(Shield.__enter__, "if not self._scoped and anyio_scope(self._task) is not None:", "if False:")],
        arrives(cancelled.move_on_after, "body", False),
    ),
    "R2 what was held back strikes after the block": (
        [(TaskEntry.leave, "if shield.holds:", "if False:")], arrives(cancelled.timeout, "releasing", False),
    ),
    "R3 a cancellation comes before a release that fails": (
        [(settle.rank, "return 5", "return 0")], arrives(cancelled.task_group, "body", True),
    ),
    "R4 a statement goes into another task's transaction": (
        [(database.AsyncSqliteConnection.execute, "async with self._alone():", "if True:")], beside,
    ),
    "R4 a commit that fails leaves its transaction open": (
        [(database.SqliteConnection.transaction, "self._undo(error, undo)", "pass")], partial(committed, False),
    ),
    "R4 a commit that fails in a task leaves its transaction open": (
        [(database.AsyncInside.transaction, "await self._undo(error, undo)", "pass")], partial(committed, True),
    ),
    "R4 a rollback of nothing hides the first error": (
        [
            (database.SqliteConnection._undo, "self.raw.rollback()", 'self.raw.execute("ROLLBACK")'),
            (database.SqliteConnection._undo, "except sqlite3.Error as second", "except ZeroDivisionError as second"),
        ],
        partial(ROLLS_BACK, False),
    ),
    "R15 only addresses have secrets": (
        [(masking.masked, "(_PARAMETER, _FIELD, _LINE)", "()")],
        partial(test_masking.test_a_secret_in_a_text_is_never_shown, "access_token", "hunter2"),
    ),
    "only an equals sign tells a secret": (
        [(masking.masked, "(_PARAMETER, _FIELD, _LINE)", "(_PARAMETER,)")],
        partial(test_masking.test_a_secret_behind_a_colon_is_never_shown, "password", "hunter2", '"'),
    ),
    "R15 a password ends at the first @": (
        [(masking._without_passwords, "text.rfind(", "text.find(")],
        partial(test_masking.test_no_password_is_shown_whatever_is_in_it, "a@b"),
    ),
    "an address begins at each ://": (
        [(masking._without_passwords, "_ADDRESS.finditer(text)", 're.finditer("://", text)')],
        partial(test_masking.test_no_password_is_shown_whatever_is_in_it, "a@://b"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("faults", "test"), CONTROLS.values(), ids=CONTROLS)
def test_a_test_fails_with_its_fault_in_place(faults: list[Fault], test: Callable[[], object]) -> None:
    test()
    fails_with(faults, test)
