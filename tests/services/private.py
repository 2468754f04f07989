"""Servers of a test's own, which it may starve, set read-only, kill: nobody else uses them."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

PATIENCE = 60.0
"""Seconds after which a server that does not start has failed."""

_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


def free_port() -> int:
    """Return a port below those that the system gives to clients.

    Whoever tries to connect to one of those until somebody listens there is given that very port one day, is connected
    to itself, and keeps the port from the server.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


class PrivatePostgres:
    """A PostgreSQL cluster in a folder of its own, which the user of the server may read; its log (WAL) in `wal`."""

    def __init__(self, programs: Path, folder: Path, wal: Path | None = None) -> None:
        # PostgreSQL refuses to run as root; `initdb` and `postgres` then run as the user that its package made.
        self._as: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": ()} if _is_root() else {}
        self._programs, self.folder, self.wal = programs, folder, wal
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if self._as:
            shutil.chown(folder, "postgres", "postgres")
        how = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"]
        how += ["--waldir", str(wal)] if wal else []
        made = subprocess.run(
            [self._programs / "initdb", "-D", folder / "data", *how],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            **self._as,
        )
        assert made.returncode == 0, made.stderr

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def schema(self, name: str, **settings: str) -> str:
        """Make a schema; return the URL under which it is used, with the settings of each session."""
        self.admin(f"CREATE SCHEMA {name}")
        options = "".join(f"%20-c{key}%3D{value}" for key, value in {"search_path": name, **settings}.items())
        return f"{self.url}?options={options.removeprefix('%20')}"

    def admin(self, *statements: str) -> None:
        """Run statements in a session that may write, whatever is the default."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as db:
            for statement in ("SET default_transaction_read_only = off", *statements):
                db.execute(statement.encode())

    def start(self) -> None:
        """Start it; again and again while processes of a killed one are still there. Return once it answers."""
        settings = {"listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": ""}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        for _ in range(600):
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [self._programs / "postgres", "-D", self.folder / "data", *options],
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    **self._as,
                )
            while self._process.poll() is None:
                if self._answers():
                    return
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL; return once the processes that it leaves have noticed."""
        assert self._process is not None
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        _, alive = psutil.wait_procs(family, PATIENCE)
        assert not alive, alive

    def close(self) -> None:
        """End it at once."""
        if self.runs:
            self.kill()

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _programs() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = [one for pattern in _FOLDERS for one in sorted(Path("/").glob(pattern[1:])) if (one / "initdb").exists()]
    return found[-1] if found else None


@contextlib.contextmanager
def private_postgres(*, small_wal: bool = False) -> Iterator[PrivatePostgres]:
    """Run a cluster while the block runs, its WAL on a `small_disk` if wished; skip where its programs are missing."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed here")
    # Not in a test's own folder: those above it are closed to the user of the server.
    with contextlib.ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="arion-postgres-", ignore_cleanup_errors=True)
        name = stack.enter_context(folder)
        wal = stack.enter_context(small_disk(Path(name))) if small_wal else None
        cluster = PrivatePostgres(programs, Path(name), wal)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of 64 MiB in memory for the server of a cluster; `resize` changes that."""
    if not _is_root():
        pytest.skip("only root can mount a small disk")
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.chown(disk, "postgres", "postgres")
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
        disk.rmdir()


def resize(disk: Path, size: int | None) -> None:
    """Give a small disk so many bytes; None: what it holds by now, however fast that grows."""
    for _ in range(1_000):
        held = os.statvfs(disk)
        wanted = (held.f_blocks - held.f_bfree) * held.f_frsize if size is None else size
        done = subprocess.run(
            ["mount", "-o", f"remount,size={wanted}", disk], capture_output=True, text=True, check=False
        )
        if not done.returncode:
            return
    raise AssertionError(done.stderr)


@contextlib.contextmanager
def private_redis(folder: Path) -> Iterator[str]:
    """Run a Redis server while the block runs and give its URL; skip where it is not installed."""
    import redis

    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    arguments = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    url = f"redis://127.0.0.1:{port}/0"
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as server:
        try:
            with contextlib.closing(redis.Redis.from_url(url)) as client:
                while server.poll() is None:
                    with contextlib.suppress(redis.ConnectionError):
                        client.ping()
                        break
            yield url
        finally:
            server.terminate()


class PrivateRabbit:
    """A RabbitMQ node in a folder of its own, under a name and a cookie of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        # As root it runs as the user that its package made.
        self._as: dict[str, Any] = {"user": "rabbitmq", "group": "rabbitmq", "extra_groups": ()} if _is_root() else {}
        self._programs, self._port = programs, free_port()
        if self._as:
            shutil.chown(folder, "rabbitmq", "rabbitmq")
        self._name = f"private{self._port}@localhost"
        self._folder, nothing = folder, str(folder / "none")
        self._environment = os.environ | {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "db"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": nothing,
            "RABBITMQ_CONFIG_FILE": nothing,
            "RABBITMQ_CONF_ENV_FILE": nothing,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start it and return once it answers."""
        import pika

        where: dict[str, Any] = {"env": self._environment, "cwd": self._folder, **self._as}
        with (self._folder / "out").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "rabbitmq-server"], stdout=log, stderr=log, start_new_session=True, **where
            )
        while self._process.poll() is None:
            with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                pika.BlockingConnection(pika.URLParameters(self.url)).close()
                return
        raise AssertionError((self._folder / "out").read_text())

    def control(self, *words: str) -> None:
        """Run `rabbitmqctl` on this node."""
        where: dict[str, Any] = {"env": self._environment, "cwd": self._folder, **self._as}
        command = [str(self._programs / "rabbitmqctl"), "-n", self._name, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE, **where)
        assert done.returncode == 0, done.stdout + done.stderr

    def close(self) -> None:
        """End it at once, and what it started."""
        if self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [
                    *psutil.Process(self._process.pid).children(recursive=True),
                    psutil.Process(self._process.pid),
                ]
                for one in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
            self._process.wait()


@contextlib.contextmanager
def private_rabbit() -> Iterator[PrivateRabbit]:
    """Run a node while the block runs; skip where RabbitMQ is not installed."""
    programs = Path("/usr/lib/rabbitmq/bin")  # on the path stands a wrapper that leaves out the environment
    if not (programs / "rabbitmq-server").exists():
        pytest.skip("RabbitMQ's programs are not installed here")
    with tempfile.TemporaryDirectory(prefix="arion-rabbit-", ignore_cleanup_errors=True) as name:
        node = PrivateRabbit(programs, Path(name))
        try:
            node.start()
            yield node
        finally:
            node.close()
