"""A function in a new interpreter, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import psutil
import pytest

from arion_lib.measure import ChildDied, measure_memory, measure_throughput

pytestmark = pytest.mark.usefixtures("no_leaks")

posix = pytest.mark.posix("signals as on Linux and macOS")


class Odd(Exception):
    """Raised in the child; its module cannot be imported there."""


def module_level(n):
    return n + 1


def test_the_value_comes_back():
    assert measure_memory(module_level, 41).value == 42


def test_lambdas_and_closures_travel():
    offset = 10
    assert measure_memory(lambda x: x + offset, 1).value == 11


def test_it_runs_in_another_process():
    assert measure_memory(os.getpid).value != os.getpid()


def test_a_function_of_a_cell_travels_with_what_it_uses():
    cell = {"__name__": "__main__"}
    exec("import math\nfactor = 2\ndef helper(x): return math.floor(x) * factor\ndef work(x): return helper(x)", cell)  # noqa: S102
    assert measure_memory(cell["work"], 2.5).value == 4


def test_an_exception_is_raised_here_with_its_type_and_the_childs_traceback():
    def breaks():
        raise Odd("spilled")

    with pytest.raises(Odd, match="spilled") as caught:
        measure_memory(breaks)
    (note,) = caught.value.__notes__
    assert note.startswith("in the measured process:")
    assert 'raise Odd("spilled")' in note
    assert "child.py" not in note  # the user's frames alone
    with pytest.raises(Odd) as plain:
        breaks()
    assert not hasattr(plain.value, "__notes__")  # control: called here, no note


def test_an_exception_that_does_not_pickle_is_told_in_words():
    def breaks():
        class Stuck(Exception):
            def __reduce__(self):
                raise TypeError("not me")

        raise Stuck("in a hole")

    with pytest.raises(RuntimeError, match="Stuck: in a hole"):
        measure_memory(breaks)


def test_an_exception_that_does_not_unpickle_is_told_in_words():
    def breaks():
        class Two(Exception):
            def __init__(self, one, two):
                super().__init__(one)

        raise Two(1, 2)

    with pytest.raises(RuntimeError, match="does not unpickle") as caught:
        measure_memory(breaks)
    assert "Two" in caught.value.__notes__[0]


def test_an_exit_in_the_child_is_a_system_exit_here():
    with pytest.raises(SystemExit):
        measure_memory(sys.exit, 3)


@posix
def test_a_killed_child_is_an_error_that_names_the_signal():
    with pytest.raises(ChildDied, match=r"SIGKILL.*memory") as caught:
        measure_memory(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert caught.value.signal == "SIGKILL"
    assert caught.value.exitcode == -signal.SIGKILL


def test_a_child_that_just_ends_is_an_error_with_its_exit_code():
    with pytest.raises(ChildDied, match="exit code 3") as caught:
        measure_memory(os._exit, 3)
    assert caught.value.exitcode == 3
    assert caught.value.signal is None


def test_what_the_child_left_running_ends_with_the_measurement(tmp_path):
    def leaves(path):
        import subprocess
        import sys

        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        path.write_text(str(child.pid))
        child.returncode = 0  # forgotten on purpose

    measure_memory(leaves, tmp_path / "pid")
    left = int((tmp_path / "pid").read_text())
    if psutil.pid_exists(left):
        psutil.wait_procs([psutil.Process(left)], timeout=10)
    assert not psutil.pid_exists(left)


@posix
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_grandchild_that_holds_the_pipe_does_not_block_the_end():
    def forks():
        if os.fork() == 0:
            signal.pause()
        os._exit(4)

    with pytest.raises(ChildDied, match="exit code 4"):
        measure_memory(forks)


def test_exit_handlers_of_a_child_that_reported_run(tmp_path):
    def registers(path):
        import atexit

        atexit.register(path.write_text, "ran")

    measure_memory(registers, tmp_path / "trace")
    assert (tmp_path / "trace").read_text() == "ran"


@posix
def test_what_the_function_prints_comes_out_here_and_does_not_disturb_the_conversation(capfd):
    def prints():
        os.write(1, b"\x80\x04N.")  # a whole pickle, past the Python layer
        sys.stdout.write("from the child\n")
        sys.stderr.write("and an error\n")
        return 1

    assert measure_memory(prints).value == 1
    out, err = capfd.readouterr()
    assert out.endswith("from the child\n")
    assert err == "and an error\n"


def test_the_function_reads_nothing_from_the_standard_input():
    assert measure_memory(lambda: sys.stdin.read()).value == ""


def test_a_value_too_large_to_send_back_costs_its_value_not_the_measurement():
    seen = measure_memory(lambda: b"x" * 20_000_000)
    assert seen.peak > 18_000_000  # measured all the same
    with pytest.raises(ValueError, match="16,777,216 bytes; return a summary"):
        _ = seen.value
    assert len(measure_memory(lambda: bytes(10_000_000)).value) == 10_000_000  # control: what fits is sent


def test_a_value_that_does_not_pickle_costs_its_value_not_the_measurement():
    seen = measure_memory(lambda: (x for x in "ab"))
    with pytest.raises(ValueError, match="generator"):
        _ = seen.value


def test_several_threads_may_measure_at_once():
    values = []
    threads = [
        threading.Thread(target=lambda i=i: values.append(measure_memory(module_level, i).value)) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(values) == [1, 2, 3, 4]


SCRIPT = """
    import os, signal, sys, threading
    from arion_lib.measure import measure_memory, measure_throughput, tick

    def work(path):
        with open(path, "w") as file:
            file.write(str(os.getpid()))
        tick(7)
        if wait:
            signal.pause()
        return helper()

    def helper():
        return "from a script"

    wait = len(sys.argv) > 2
    print(measure_memory(work, sys.argv[1]).value)
    print(measure_throughput(work, sys.argv[1]).count)
"""


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return path


def test_a_script_without_a_main_guard_works_with_warnings_as_errors(script, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", script, tmp_path / "pid"], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("from a script\n7\n", "")


@pytest.fixture
def pid_pipe(tmp_path) -> Path:
    """A named pipe: reading it waits for the measured function to write its process id."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("Windows has no named pipes in folders")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@posix
def test_ctrl_c_leaves_no_process(script, pid_pipe):
    with subprocess.Popen([sys.executable, script, pid_pipe, "wait"], stderr=subprocess.PIPE) as process:
        child = psutil.Process(int(pid_pipe.read_text()))
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.stderr.read()
    gone, _ = psutil.wait_procs([child], timeout=10)
    assert gone


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the child looks once a second")
def test_a_parent_that_is_killed_takes_the_child_with_it_and_leaves_no_file(script, pid_pipe, tmp_path):
    (tmp_path / "temporary").mkdir()
    where = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen([sys.executable, script, pid_pipe, "wait"], env=where) as process:
        child = psutil.Process(int(pid_pipe.read_text()))
        process.kill()
    gone, _ = psutil.wait_procs([child], timeout=10)
    assert gone
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_counter_file_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    measure_throughput(int)
    assert list(tmp_path.iterdir()) == []
