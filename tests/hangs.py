"""A test that hangs ends, and the run does not wait for it: every thread's stack is shown, as a pytest plugin.

Idea        One timer a process, set again whenever a test begins, is taken down or has ended; `faulthandler` keeps it,
            so it goes off even where Python itself stands still, and ends the process. A test that fails is named at
            once: a run that somebody ends has told of it.
Invariant   Nothing of a run takes for ever: a call, a fixture, the end of a file, of the session or of the process.
            With pytest-xdist the process that shares out the tests waits twice as long: who hangs is told of first.
When wrong  The stacks go where pytest's own error output goes; the test counts as failed.
See         tests/test_hangs.py · tests/selection.py: how a run goes on without a process that died
"""

from __future__ import annotations

import faulthandler

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

LONGEST = 600.0
"""Seconds after which a test, or an end, counts as hanging; the longest ones take a minute or two."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for a test that has a good reason, or for whoever wants to know sooner."""
    parser.addoption("--longest", type=float, default=LONGEST, metavar="S", help="a test that takes longer is ended")


class Watch:
    """Sets the timer of this process again and again."""

    def __init__(self, config: pytest.Config) -> None:
        """Watch the process that has this `config`."""
        shares = getattr(config.option, "tx", None) and not hasattr(config, "workerinput")
        self.config = config
        self.seconds = config.option.longest * (2 if shares else 1)
        self.where = config.stash.get(fault_handler_stderr_fd_key, 2)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Begin: of a test, here or in the process that runs it."""
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=self.where)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Begin again: pytest takes the timer back when a test has failed."""
        self.pytest_runtest_logstart()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Begin again: what comes now is the next test, or the end."""
        self.pytest_runtest_logstart()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self) -> None:
        """Begin again, where tests are shared out: a process has started, in place of one that died it may be late."""
        self.pytest_runtest_logstart()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Begin again: a process knows the tests."""
        self.pytest_runtest_logstart()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self) -> None:
        """Begin again: a process has ended."""
        self.pytest_runtest_logstart()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Begin again: the processes are told to end, each within ten seconds."""
        self.pytest_runtest_logstart()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name what failed, with the last line of why."""
        terminal = self.config.pluginmanager.getplugin("terminalreporter")
        if report.failed and terminal and not hasattr(self.config, "workerinput"):
            crash = getattr(report.longrepr, "reprcrash", None)
            why = (crash.message if crash else str(report.longrepr)).strip().splitlines() or [""]
            terminal.ensure_newline()
            terminal.write_line(f"{report.nodeid} failed ({report.when}): {why[0][:200]}", red=True)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Say what hangs, from now on, to whoever still listens: pytest closes its own output next."""
        faulthandler.dump_traceback_later(self.seconds, exit=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Watch from the first test on."""
    config.pluginmanager.register(Watch(config), "hangs")
