"""Files that are whole and on the disk, or not there.

Idea        Write beside, force onto the disk, rename: a name never stands for half a file.
Invariant   When `write_durably`, `move` and `sync_folder` returned, a power cut takes nothing back.
When wrong  A full disk is `BrokerFull`; a file that Windows holds for a moment is tried again for two seconds.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_broker.py
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from arion_lib.pipeline.broker import BrokerError, BrokerFull

_NO_ROOM = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)}

_NO_FULL_SYNC = {getattr(errno, name) for name in ("ENOTSUP", "EOPNOTSUPP", "ENOTTY", "EINVAL") if hasattr(errno, name)}


@contextlib.contextmanager
def nobody_elses() -> Iterator[None]:
    """Make what this process makes meanwhile, files and folders, readable by its own user alone: stored rows are."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def make_folder(path: Path) -> None:
    """Make the folder and those above it, each one's name on the disk: else a power cut takes all that is in them."""
    if not path.is_dir():
        if path.parent != path:
            make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Make the file, whole and on the disk; it must not be there yet."""
    with open(path, "xb", buffering=0) as file:  # noqa: PTH123
        view = memoryview(data)
        while view:  # a write may take less than it was given
            view = view[file.write(view) :]
        _sync(file.fileno())


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":  # fsync there only reaches the drive's cache
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in _NO_FULL_SYNC:
                raise
            os.fsync(descriptor)  # a network drive knows nothing better
    else:
        os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Make a rename durable; Windows does it with the rename (NTFS journals it) and cannot open a folder."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Rename a file within its file system: all of the world sees the old name or the new one."""
    for pause in _sharing_pauses():
        try:
            source.replace(target)
        except PermissionError:
            if pause is None:
                raise
            time.sleep(pause)
        else:
            return


def read(path: Path) -> bytes:
    """Return what is in the file, once nothing else keeps it from being read."""
    for pause in _sharing_pauses():
        try:
            return path.read_bytes()
        except PermissionError:
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("the last pause is None")


def remove(path: Path) -> bool:
    """Delete the file; False when it was not there."""
    for pause in _sharing_pauses():
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except PermissionError:
            if pause is None:
                raise
            time.sleep(pause)
        else:
            return True
    return False


def _sharing_pauses() -> Iterator[float | None]:
    """Seconds to wait after a sharing violation: on Windows a virus scanner may hold a fresh file for a moment."""
    if os.name == "nt":
        yield from itertools.accumulate([0.001] * 10, lambda pause, _: pause * 2)
    yield None


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what the operating system refuses into a `BrokerError` that begins with `what`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise BrokerFull(f"{what}: no room left ({error.strerror}); nothing was published") from error
        raise BrokerError(f"{what}: {error}") from error
