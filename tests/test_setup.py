"""From a fresh clone to a running word: made once, hash-checked, and never left half-made.

The clones here are small ones: our own code, and a lock of one wheel that the test writes, with a `pytest` in it that
only says where it runs. Python, `venv`, pip, signals and processes are the real ones; nothing leaves this machine.
"""

from __future__ import annotations

import _thread
import ast
import errno
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from arion_lib.setup import environment, installer, interrupts, words
from arion_lib.setup.environment import ROOT

BASE = str(getattr(sys, "_base_executable", None) or sys.executable)
posix = pytest.mark.posix("signals to a process group are POSIX")

PROJECT = """
[project]
name = "small"
dependencies = ["arion-marker>=1"]
[project.optional-dependencies]
web = []
dask = []
servers = []
notebooks = []
peers = []
dev = []
"""
SAYS_WHERE = "import sys; print('prefix', sys.prefix, *sys.argv[1:]); sys.exit(len({'--one', '--two'} & set(sys.argv)))"


class Clone:
    """A small clone and the environment variables of somebody who runs it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"  # a blank in the path: quoting must hold
        self.wheels = folder / "wheels"
        self.bin = folder / "bin"
        for made in (self.root, self.wheels, self.bin):
            made.mkdir()
        shutil.copytree(ROOT / "arion_lib", self.root / "arion_lib", ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "pyproject.toml").write_text(PROJECT)
        self.lock("1.0")
        self.variables = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON", "ARION_"))},
            "PATH": os.pathsep.join([str(self.bin), "/usr/bin", "/bin"]) if os.name != "nt" else os.environ["PATH"],
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
        }

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def lock(self, version: str, *, broken: bool = False) -> None:
        """Write the wheel of a `pytest` that says where it runs, and the lock that holds its hash."""
        digest = self.wheel("arion_marker", version, "", {"pytest/__main__.py": SAYS_WHERE})
        digest = "0" * 64 if broken else digest
        (self.root / "requirements.lock").write_text(f"arion-marker=={version} \\\n    --hash=sha256:{digest}\n")

    def wheel(self, name: str, version: str, metadata: str, files: dict[str, str] | None = None) -> str:
        """Write a wheel; return its hash."""
        info = f"{name}-{version}.dist-info"
        files = {
            **(files or {}),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
        wheel = self.wheels / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
        return hashlib.sha256(wheel.read_bytes()).hexdigest()

    def uv(self, script: str) -> None:
        """Put a `uv` on the path: pip is then only what comes after it."""
        path = self.bin / "uv"
        path.write_text(f"#!{BASE}\n{script}\n")
        path.chmod(0o755)

    def command(self, *words: str, python: str = BASE) -> list[str]:
        return [python, "-m", "arion_lib", *words]

    def run(self, *words: str, python: str = BASE) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, python=python),
            cwd=self.root,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start it as a terminal would: the leader of a process group, Ctrl-C not ignored."""
        process = subprocess.Popen(
            self.command(*words),
            cwd=self.root,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose environment the first test makes and the next ones use."""
    return Clone(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone, with one notebook, for the words that make nothing: it is as it was when all have been called."""
    clone = Clone(tmp_path_factory.mktemp("untouched"))
    (clone.root / "notebooks").mkdir()
    (clone.root / "notebooks" / "1_one.ipynb").touch()
    before = set(clone.root.iterdir())
    yield clone
    assert set(clone.root.iterdir()) == before


@pytest.fixture(scope="module")
def made(shared: Clone) -> subprocess.CompletedProcess[str]:
    return shared.run("test", "--one", "--two")


def test_a_fresh_clone_makes_its_environment_and_goes_on_inside(
    shared: Clone, made: subprocess.CompletedProcess[str]
) -> None:
    assert "prefix " + str(shared.venv) + " --one --two" in made.stdout, made.stderr
    assert made.returncode == 2  # what the word's own command exited with
    assert "making" in made.stderr
    assert "1/1" in made.stderr


@pytest.mark.usefixtures("made")
def test_the_second_time_nothing_is_made_or_installed(shared: Clone) -> None:
    again = shared.run("test", "--one")
    assert (again.returncode, again.stderr) == (1, "")
    assert str(shared.venv) in again.stdout


@pytest.mark.usefixtures("made")
def test_inside_the_environment_everything_imports_the_clone_from_any_folder(shared: Clone, tmp_path: Path) -> None:
    command = [environment.python_of(shared.venv), "-c", "import arion_lib; print(arion_lib.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=shared.variables, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == shared.root / "arion_lib" / "__init__.py"


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("inside", [False, True])
def test_a_changed_lock_is_installed_before_the_word_runs(shared: Clone, inside: bool) -> None:
    shared.lock("2.0" if inside else "3.0")
    done = shared.run("test", python=str(environment.python_of(shared.venv)) if inside else BASE)
    assert done.returncode == 0, done.stderr
    assert "ready" in done.stderr
    assert list(shared.venv.glob(f"**/arion_marker-{'2.0' if inside else '3.0'}.dist-info"))


def test_a_wrong_hash_is_refused_and_leaves_no_environment(clone: Clone) -> None:
    clone.lock("1.0", broken=True)
    done = clone.run("test")
    assert done.returncode == 1
    assert "HASHES" in done.stderr
    assert "HTTPS_PROXY" not in done.stderr
    assert "pip must succeed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not clone.venv.exists()


def test_an_update_from_inside_that_fails_says_why_and_is_repaired_by_the_next(clone: Clone) -> None:
    """The folder is not taken away then: Windows removes no interpreter that runs, and would say only that."""
    assert clone.run("test").returncode == 0
    inside = str(environment.python_of(clone.venv))
    clone.lock("2.0", broken=True)
    done = clone.run("test", python=inside)
    assert done.returncode == 1
    assert "HASHES" in done.stderr
    assert (clone.venv / "arion-setup").read_text() == environment.UNFINISHED
    clone.lock("2.0")
    done = clone.run("test", python=inside)
    assert done.returncode == 0, done.stderr
    assert "making" in done.stderr
    assert list(clone.venv.glob("**/arion_marker-2.0.dist-info"))


def test_the_locked_release_is_installed_though_another_package_wants_it_with_an_extra(clone: Clone) -> None:
    """Pip before 23.3 takes the newest one there, and refuses it since the lock has no hash of it."""
    clone.lock("2.0")
    clone.lock("1.0")
    locked = clone.root / "requirements.lock"
    digest = clone.wheel("arion_wants", "1.0", "Requires-Dist: arion-marker[extra]>=1.0\n")
    locked.write_text(locked.read_text() + f"arion-wants==1.0 \\\n    --hash=sha256:{digest}\n")
    done = clone.run("test")
    assert done.returncode == 0, done.stderr
    assert list(clone.venv.glob("**/arion_marker-1.0.dist-info"))


def test_settings_that_send_packages_elsewhere_or_make_warnings_errors_do_not_reach_the_set_up(clone: Clone) -> None:
    """Many machines of schools and companies have `user = true` in pip.conf; pip warns of its own parts."""
    conf, elsewhere = clone.root / "pip.conf", clone.root / "elsewhere"
    conf.write_text(f"[global]\nuser = true\ntarget = {elsewhere}\n")
    clone.variables |= {"PIP_CONFIG_FILE": str(conf), "PIP_PREFIX": str(elsewhere), "PIP_ROOT": str(elsewhere)}
    clone.variables |= {"PYTHONWARNINGS": "error", "PIP_DRY_RUN": "1"}
    done = clone.run("test")
    assert done.returncode == 0, done.stderr
    assert list(clone.venv.glob("**/arion_marker-1.0.dist-info"))
    assert not elsewhere.exists()


def test_an_installer_that_installs_nothing_ends_in_a_sentence(clone: Clone) -> None:
    clone.uv("")
    done = clone.run("test")
    assert done.returncode == 1
    assert "must have arion-marker now, got none" in done.stderr
    assert "No module named" not in done.stderr


def without_a_wheel(clone: Clone, name: str, listed: str) -> None:
    """Add to the lock a package of which only an sdist exists, and to the list `listed` of pyproject.toml."""
    sdist = clone.wheels / f"{name}-1.0.tar.gz"
    sdist.write_bytes(b"no installer may open this")
    lock = clone.root / "requirements.lock"
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    via = "    # via small (pyproject.toml)\n"
    lock.write_text(lock.read_text() + via + f"{name}==1.0 \\\n    --hash=sha256:{digest}\n" + via)
    (clone.root / "pyproject.toml").write_text(PROJECT.replace(f"{listed} = []", f'{listed} = ["{name}>=1"]'))


def test_a_peer_without_a_wheel_is_left_out_with_a_sentence(clone: Clone) -> None:
    without_a_wheel(clone, "arion-peer", "peers")
    done = clone.run("test")
    assert done.returncode == 0, done.stderr
    assert "left out: arion-peer (peer of benchmarks) has no wheel for Python 3." in done.stderr
    assert str(clone.venv) in done.stdout
    again = clone.run("test")
    assert (again.returncode, again.stderr) == (0, "")
    doctor = clone.run("doctor", python=str(environment.python_of(clone.venv)))
    assert "left out: arion-peer" in doctor.stdout


def test_leaving_a_package_out_of_the_lock_keeps_every_version_of_the_others() -> None:
    lock = environment.LOCK.read_text(encoding="utf-8")
    kept = installer.without(lock, {"pysimdjson"})
    entries = [line for line in lock.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    names = [line.split("==")[0] for line in entries]
    assert len(names) > len(set(names))  # some packages have one version for 3.11 and another for later Pythons
    assert [line for line in kept.splitlines() if line in entries] == [
        line for line in entries if not line.startswith("pysimdjson==")
    ]


@pytest.mark.parametrize("uv", [pytest.param(False, marks=pytest.mark.thorough), True], ids=["pip", "uv"])
def test_a_needed_package_without_a_wheel_names_itself_and_what_to_do(clone: Clone, uv: bool) -> None:
    without_a_wheel(clone, "arion-needed", "web")
    if uv:
        clone.uv(
            "import sys\n"
            "if {'--only-binary', ':all:', '--require-hashes', '--no-deps'} <= set(sys.argv):\n"
            "    sys.exit('Because arion-needed==1.0 has no usable wheels and you require it')\n"
            "sys.exit('it would build what has no wheel, unhashed')"
        )
    done = clone.run("test")
    assert done.returncode == 1
    assert "arion-needed must have a wheel for Python 3." in done.stderr
    assert "use Python 3.11 to 3.15" in done.stderr
    assert "HTTPS_PROXY" not in done.stderr
    assert ("pip tries" in done.stderr) is False
    assert not clone.venv.exists()


@pytest.mark.thorough
@pytest.mark.parametrize("said", [{"PIP_RETRIES": "0"}, {}], ids=["0", "file"])
def test_a_network_failure_is_answered_with_the_proxy_and_not_with_a_wheel(clone: Clone, said: dict[str, str]) -> None:
    """Without a retry pip says of the network nothing: neither the environment nor pip.conf may ask for that."""
    conf = clone.root / "pip.conf"
    conf.write_text("[global]\nretries = 0\n")
    clone.variables |= {"PIP_CONFIG_FILE": str(conf), **said}
    del clone.variables["PIP_NO_INDEX"], clone.variables["PIP_FIND_LINKS"]
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        closed = listener.getsockname()[1]
    clone.variables |= {"PIP_INDEX_URL": f"http://127.0.0.1:{closed}/simple"}
    done = clone.run("test")
    assert done.returncode == 1
    assert "HTTPS_PROXY" in done.stderr
    assert "must have a wheel" not in done.stderr


def test_a_failed_set_up_names_the_settings_that_may_be_wrong_and_no_address(clone: Clone) -> None:
    del clone.variables["PIP_FIND_LINKS"], clone.variables["PIP_NO_INDEX"]
    clone.variables |= {"PIP_INDEX_URL": "teachers:secret@nowhere/simple", "PIP_RETRIES": "1"}
    done = clone.run("test")
    assert done.returncode == 1
    assert "must have a wheel" not in done.stderr  # no fault of the package, nor of this Python
    assert "Set here, and perhaps wrong: PIP_INDEX_URL." in done.stderr.splitlines()[-1]
    assert "secret" not in done.stderr.splitlines()[-1]
    assert "Ignoring" not in done.stderr  # what is not for this machine is no part of the reason


def test_a_full_disk_is_answered_with_the_room_that_is_needed_and_not_with_the_proxy() -> None:
    said = "Downloading a Connection\nERROR: Could not install packages: [Errno 28] No space left on device"
    with pytest.raises(interrupts.SetupError, match=r"No space left.*\n.*free 1\.5 GB") as caught:
        installer._watch([sys.executable, "-c", f"import sys; print({said!r}); sys.exit(1)"], 1)
    assert "HTTPS_PROXY" not in str(caught.value)


@pytest.mark.parametrize(("wanted", "times"), [(None, 5), ("0", 1), ("1", 1), ("20", 20), ("often", 5)])
def test_pip_asks_again_at_least_once(monkeypatch: pytest.MonkeyPatch, wanted: str | None, times: int) -> None:
    monkeypatch.delenv("PIP_RETRIES", raising=False)
    if wanted is not None:
        monkeypatch.setenv("PIP_RETRIES", wanted)
    assert installer.retries() == times


def test_where_the_lock_cannot_be_waited_for_it_is_tried_until_it_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    """Windows' own waiting gives up after ten tries with an OSError."""
    tries = iter([PermissionError(13, "held")] * 12)

    def take() -> None:
        for error in tries:
            raise error

    interrupts.locked_by_trying(take, step=0)
    assert next(tries, None) is None
    assert capsys.readouterr().err == interrupts.WAITING + "\n"  # said once


def test_waiting_for_a_command_is_cut_into_steps_between_which_ctrl_c_is_heard() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as process:
        waits: list[float | None] = []

        class Watched:
            def wait(self, timeout: float | None = None) -> int:
                waits.append(timeout)
                if len(waits) == 3:
                    process.communicate("go on")
                return process.wait(timeout)

        assert interrupts.ended(Watched(), step=0.01) == 0  # type: ignore[arg-type]
    assert waits == [0.01] * 3


def test_ctrl_c_is_heard_while_a_command_says_nothing() -> None:
    """Windows hears it between two steps of waiting, not in a read. Stand-in: what ends no system call here either."""
    heard, over = threading.Event(), threading.Event()

    def silent() -> Iterator[str]:
        assert threading.current_thread() is not threading.main_thread(), "this thread would be deaf until the line"
        yield "a line\n"
        heard.wait()
        _thread.interrupt_main()
        over.wait()

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        try:
            for line in interrupts.lines(SimpleNamespace(stdout=silent()), step=0.01):  # type: ignore[arg-type]
                assert line == "a line\n"
                heard.set()
        finally:
            over.set()


@pytest.mark.parametrize(("pip", "first"), [(True, []), (False, ["ensurepip"])], ids=["pip", "no pip"])
def test_no_command_of_the_set_up_is_waited_for_without_hearing_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pip: bool, first: list[str]
) -> None:
    """Stand-in: a process that may be read by another thread alone, and waited for in steps."""

    class Watched:
        returncode = 0

        @property
        def stdout(self) -> Iterator[str]:
            assert threading.current_thread() is not threading.main_thread(), "a read hears nothing"
            return iter(["Collecting idna==3.10\n"])

        def wait(self, timeout: float | None = None) -> int:
            assert timeout is not None, "a wait without an end hears nothing"
            return 0

    (lock := tmp_path / "lock").write_text("idna==3.10\n")
    begun: list[list[str]] = []
    monkeypatch.setattr(installer, "started", lambda command, captured: begun.append(command) or nullcontext(Watched()))
    monkeypatch.setattr(subprocess, "run", lambda command, **_: SimpleNamespace(returncode=int(not pip)))
    monkeypatch.setattr(shutil, "which", lambda _: "uv")
    assert installer._try_once(Path(sys.executable), lock) is None
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert installer._try_once(Path(sys.executable), lock) is None
    installer.run_quietly(["py", "-m", "venv"])
    assert installer._reason(["py", "-m", "uv"]) is None
    modules = [command[2] if command[1] == "-m" else command[0] for command in begun]
    assert modules == ["uv", *first, "pip", "venv", "uv"]


def test_what_windows_holds_for_a_moment_is_removed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A virus scanner, or an installer that has just been killed. Stand-in: a removal that fails at first."""
    folder, calls, remove = tmp_path / ".venv", list[Path](), shutil.rmtree
    folder.mkdir()

    def held(path: Path, *, ignore_errors: bool) -> None:
        calls.append(path)
        if len(calls) > 2:
            remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", held)
    monkeypatch.setattr(interrupts, "HELD", (0.0,))
    with pytest.raises(interrupts.SetupError, match="something uses it"):  # the control: held for longer
        interrupts.remove(folder)
    interrupts.remove(folder)
    assert len(calls) == 3
    assert not folder.exists()


@posix
def test_a_process_group_of_zombies_that_may_not_be_signalled_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS answers EPERM for a group of which only zombies are left."""

    def killpg(group: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with pytest.raises(KeyError), interrupts.started([sys.executable, "-c", ""], captured=True):  # noqa: PT012
        monkeypatch.setattr(os, "killpg", killpg)
        raise KeyError("the reason")


def test_a_clone_too_deep_for_windows_gets_a_sentence_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("x" * environment.DEEPEST)
    monkeypatch.setattr(environment, "ROOT", deep)
    monkeypatch.setattr(environment, "VENV", deep / ".venv")
    monkeypatch.setattr(environment, "_long_paths", lambda: False)
    said = rf"at most {environment.DEEPEST} characters long, got {len(str(deep))}"
    with pytest.raises(interrupts.SetupError, match=said):
        environment._create()
    assert environment.too_deep(tmp_path, long_paths=False) is None
    assert environment.too_deep(deep, long_paths=True) is None


@pytest.mark.thorough
def test_the_longest_path_of_the_environment_fits_beside_the_deepest_clone() -> None:
    site = Path(sysconfig.get_path("purelib"))
    files = (path for path in site.rglob("*") if path.is_file() and path.suffix != ".pyc")
    longest = max(len(str(path.relative_to(site))) for path in files)
    assert environment.DEEPEST + len("/.venv/Lib/site-packages/") + longest < 260


HANGS = """import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print('hanging', flush=True)
child.wait()"""


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_set_up_leaves_no_process_and_no_environment(clone: Clone, number: signal.Signals) -> None:
    clone.uv(HANGS)
    with clone.running("test") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) == 2  # the installer, and what it started
        assert clone.venv.exists()
        os.killpg(process.pid, number)
        assert process.wait(timeout=30) == (130 if number == signal.SIGINT else 128 + number)
        _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not clone.venv.exists()


@posix
@pytest.mark.thorough
def test_ctrl_c_while_pip_waits_for_the_network_leaves_nothing(clone: Clone) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        clone.variables["PIP_INDEX_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        del clone.variables["PIP_NO_INDEX"], clone.variables["PIP_FIND_LINKS"]
        with clone.running("test") as process:
            silent.settimeout(30)
            connection, _ = silent.accept()  # pip asks, and gets no answer
            with connection:
                family = psutil.Process(process.pid).children(recursive=True)
                os.killpg(process.pid, signal.SIGINT)
                assert process.wait(timeout=30) == 130
                _, alive = psutil.wait_procs(family, timeout=10)
    assert family
    assert not alive
    assert not clone.venv.exists()


@posix
@pytest.mark.thorough
def test_a_killed_set_up_is_made_again_and_where_uv_fails_pip_installs(clone: Clone) -> None:
    clone.uv(HANGS)
    with clone.running("test") as process:
        assert process.stdout is not None
        process.stdout.readline()
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for orphan in family:
            orphan.kill()
        psutil.wait_procs(family, timeout=10)
    assert (clone.venv / environment.MARK.name).read_text() == environment.UNFINISHED
    assert environment.python_of(clone.venv).exists()  # it looks whole: only the mark tells
    clone.uv("import sys; sys.exit(f'uv cannot {sys.argv}')")
    done = clone.run("test")
    assert done.returncode == 0, done.stderr
    assert "'--require-hashes'" in done.stderr
    assert "pip tries" in done.stderr
    assert str(clone.venv) in done.stdout


@pytest.mark.thorough
def test_an_environment_made_by_hand_is_filled_and_never_removed(clone: Clone) -> None:
    subprocess.run([BASE, "-m", "venv", "--without-pip", str(clone.venv)], check=True)
    clone.lock("1.0", broken=True)
    assert clone.run("test").returncode == 1
    assert environment.python_of(clone.venv).exists()
    clone.lock("1.0")
    done = clone.run("test")
    assert (done.returncode, str(clone.venv) in done.stdout) == (0, True), done.stderr


def test_a_prepared_environment_just_runs(clone: Clone) -> None:
    (clone.root / "pyproject.toml").write_text(PROJECT.replace("arion-marker", "pytest"))
    done = clone.run("test", "--version", python=sys.executable)  # the one these tests run in has everything
    assert (done.returncode, done.stdout.startswith("pytest ")) == (0, True), done.stderr
    assert not clone.venv.exists()


SHOWN = {
    "learner": "--to DIR",
    "run": "--update",
    "lab": "--teach",
    "top": "--interval",
    "bench": "benchmarks: contracts, lazy",
}


@pytest.mark.parametrize("word", [word for word in words.WORDS if word != "doctor"])
def test_help_installs_nothing_and_shows_the_arguments_and_an_example(untouched: Clone, word: str) -> None:
    done = untouched.run(word, "--help")
    assert done.returncode == 0, done.stderr
    assert f"python -m arion_lib {word}" in done.stdout
    assert "example: python -m arion_lib" in done.stdout
    assert SHOWN.get(word, "") in " ".join(done.stdout.split())
    assert not untouched.venv.exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("learner 9", "N must be one of 1, got '9'"),
        ("learner x", "N must be one of 1, got 'x'"),
        ("run x", "N must be one of 1, got 'x'"),
        ("run --updat 1 2", "N must be one of 1, got '2'"),
        ("lab 9 --no-browser", "N must be one of 1, got '9'"),
        ("lab 9 --teach", "N must be one of 1, got '9'"),
        ("top 127.0.0.1:8000", "must be like http://127.0.0.1:8000, got '127.0.0.1:8000'"),
        ("bench lasy", "NAME must be one of contracts, lazy"),
    ],
)
def test_what_a_word_would_refuse_is_refused_before_anything_is_installed(
    untouched: Clone, typed: str, said: str
) -> None:
    done = untouched.run(*typed.split())
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "making" not in done.stderr
    assert not untouched.venv.exists()


@pytest.mark.thorough
def test_a_folder_of_wheels_in_the_clone_is_all_that_a_set_up_needs(clone: Clone) -> None:
    shutil.move(clone.wheels, clone.root / installer.WHEELS)
    clone.variables |= {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1"}
    del clone.variables["PIP_FIND_LINKS"]
    done = clone.run("test")
    assert (done.returncode, str(clone.venv) in done.stdout) == (0, True), done.stderr


def test_a_learners_copy_needs_no_environment(clone: Clone) -> None:
    (clone.root / "notebooks").mkdir()
    cell = {"cell_type": "markdown", "metadata": {"tags": ["instructor"]}, "source": "not for learners"}
    (clone.root / "notebooks" / "1_one.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}}))
    done = clone.run("learner", "1")
    assert done.returncode == 0, done.stderr
    assert json.loads((clone.root / "work" / "1_one.ipynb").read_text())["cells"] == []
    assert not clone.venv.exists()


def test_the_doctor_installs_nothing_and_says_what_is_missing(untouched: Clone) -> None:
    done = untouched.run("doctor")
    assert done.returncode == 1, done.stderr
    assert "missing: arion-marker" in done.stdout
    assert "left out" not in done.stdout  # nobody has looked for a wheel yet
    assert "python -m arion_lib lab" in done.stdout
    assert not untouched.venv.exists()


@pytest.mark.parametrize(("platform", "utf_8"), [("win32", "1"), ("linux", None)])
def test_what_a_word_starts_imports_the_clone_and_on_windows_prints_in_utf_8(
    monkeypatch: pytest.MonkeyPatch, platform: str, utf_8: str | None
) -> None:
    monkeypatch.setattr(os, "environ", {"PYTHONPATH": "mine"})
    monkeypatch.setattr(sys, "platform", platform)
    environment.find_project()
    assert os.environ["PYTHONPATH"] == os.pathsep.join([str(ROOT), "mine"])
    assert os.environ.get("PYTHONUTF8") == utf_8


@pytest.mark.parametrize(
    ("platform", "asked", "encoding"),
    [("win32", None, "utf-8"), ("win32", "cp1252", "cp1252"), ("linux", None, "cp1252")],
)
def test_on_windows_a_word_prints_in_utf_8_itself(
    monkeypatch: pytest.MonkeyPatch, platform: str, asked: str | None, encoding: str
) -> None:
    """In an environment made by hand it is not started anew: `guide 1 > guide.txt` would end at the first star."""
    monkeypatch.setattr(os, "environ", {} if asked is None else {"PYTHONIOENCODING": asked})
    out = io.TextIOWrapper(io.BytesIO(), "cp1252")
    errors = io.TextIOWrapper(io.BytesIO(), "cp1252", "backslashreplace")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", errors)
    environment.find_project()
    assert [stream.encoding for stream in (out, errors)] == [encoding] * 2
    assert [stream.errors for stream in (out, errors)] == ["strict", "backslashreplace"]


def test_a_wrong_word_exits_with_2_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert words.main(["lerner"]) == 2
    assert "did you mean `learner`?" in capsys.readouterr().err
    assert words.main([]) == 2
    assert words.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in words.WORDS)


def test_the_version_is_said_without_an_environment(untouched: Clone) -> None:
    done = untouched.run("--version")
    assert (done.returncode, done.stdout.startswith("arion-workbook 0.")) == (0, True), done.stderr


@pytest.mark.parametrize("typed", ["learner --to FILE", "learner --to FILE/below", "learner --to CLOSED"])
def test_a_place_that_cannot_be_written_to_gets_a_sentence(clone: Clone, tmp_path: Path, typed: str) -> None:
    if "CLOSED" in typed and os.name == "posix" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    file, closed = tmp_path / "file", tmp_path / "closed"
    file.touch()
    closed.mkdir(mode=0o500)
    (clone.root / "notebooks").mkdir()
    (clone.root / "notebooks" / "1_one.ipynb").write_text('{"cells": [], "metadata": {}}')
    done = clone.run(*typed.replace("FILE", str(file)).replace("CLOSED", str(closed)).split())
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"`learner` needs a place that can be read and written, got {tmp_path}" in done.stderr
    assert "`python -m arion_lib learner --help` says" in done.stderr


def test_a_clone_that_cannot_be_written_to_and_a_full_disk_are_said_and_other_faults_are_not_hidden() -> None:
    lock = OSError(errno.EROFS, "Read-only file system", str(environment.ROOT / ".venv-lock"))
    assert f"copy {environment.ROOT} to a folder of your own" in str(words.no_place("lab", lock))
    full = words.no_place("lab", OSError(errno.ENOSPC, "No space left on device"))
    assert full == "`lab` needs room on the disk, got a disk (No space left on device): free some, then the same again."
    assert words.no_place("lab", OSError(errno.EACCES, "Permission denied")) is None
    assert words.no_place("lab", FileNotFoundError(errno.ENOENT, "No such file or directory", "x")) is None


def test_an_encoding_without_a_character_ends_no_word(clone: Clone) -> None:
    (clone.root / "notebooks").mkdir()
    (clone.root / "notebooks" / "1_one.ipynb").write_text('{"cells": [], "metadata": {}}')
    clone.variables |= {"PYTHONIOENCODING": "ascii"}
    done = clone.run("learner", "--to", "\u00fcbung")
    assert done.returncode == 0, done.stderr
    assert "\\xfcbung" in done.stdout
    assert (clone.root / "\u00fcbung" / "1_one.ipynb").exists()


def test_every_word_of_the_command_line_leads_to_a_run_function() -> None:
    for word in words.WORDS.values():
        spec = importlib.util.find_spec(word.module)
        assert spec is not None, word.module
        assert spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        assert any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body), word.module


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 8, 18), (3, 10, 13)])
def test_an_old_python_gets_one_sentence(version: tuple[int, int, int]) -> None:
    code = f"import runpy, sys; sys.version_info = {version}; runpy.run_module('arion_lib', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"needs Python 3.11 or newer, got {version[0]}.{version[1]}" in done.stderr


def test_a_python_newer_than_the_tested_ones_gets_one_sentence_and_is_tried(tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 16, 0, 'final', 0); "
        "runpy.run_module('arion_lib', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "learner", "1", "--to", str(tmp_path / "mine")]
    outside = {key: value for key, value in os.environ.items() if key != environment.ENTERED}
    done = subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [words.unlike((3, 16))]
    assert list((tmp_path / "mine").glob("1_*.ipynb"))


def test_the_tested_pythons_are_the_promised_ones() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"{promised[0]} to {promised[-1]}" == installer.TRIED


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_what_an_old_python_reads_is_old_syntax(name: str) -> None:
    source = (ROOT / "arion_lib" / name).read_text(encoding="utf-8")
    source.encode("ascii")  # Python 2 reads nothing else without being told
    tree = ast.parse(source, feature_version=(3, 7))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.FunctionDef)]


def test_debian_without_venv_gets_the_command_that_repairs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    with pytest.raises(interrupts.SetupError, match=r"sudo apt install python3\.\d+-venv"):
        environment._create()
    assert not (tmp_path / ".venv").exists()


def test_progress_outside_a_terminal_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    for seen in range(1, 51):
        installer.show(seen, 50, "some")
    assert capsys.readouterr().err.splitlines() == ["  20/50 some", "  40/50 some", "  50/50 some"]
