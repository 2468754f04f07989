"""Who may send and who may look, judged from the options before anything is opened.

Idea        Private by default: what everybody could reach is refused with a sentence that says how to close it.
Invariant   Secrets and tokens come from files or the environment; no error shows one.
When wrong  `ValueError` names the option and the way out.
See         arion_lib/web/edge/gate.py · tests/web/test_serve.py
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from arion_lib.web.edge.gate import LOCAL, LOOPBACK, Doors, Gate, is_loopback
from arion_lib.web.startup.texts import text_of

SECRETS = "ARION_WEBHOOK_SECRETS"
"""Environment variable with the shared secrets, separated by spaces: a command line shows in every process list."""

TOKEN = "ARION_ADMIN_TOKEN"  # noqa: S105  a name
"""Environment variable with the token that the pages ask for."""


def shared_secrets(chosen: argparse.Namespace) -> list[str]:
    """Gather the shared secrets. Raises `ValueError` where a place that should have some has none."""
    found = list(chosen.secret)
    for name, text in _texts(SECRETS, chosen.secret_file):
        if not text.split():
            raise ValueError(f"{name} must hold a secret, got blanks: leave it out to take unsigned posts")
        found += text.split()
    return found


def _texts(variable: str, files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    if variable in os.environ:
        yield f"${variable}", os.environ[variable]
    for file in files:
        yield str(file), text_of(file)


def doors_of(chosen: argparse.Namespace) -> tuple[Doors, tuple[str, int] | None]:
    """Judge who may reach what, and where the pages listen. Raises `ValueError`."""
    if not chosen.host:
        raise ValueError("--host must be an address, got '': 0.0.0.0 is every IPv4 address of this machine")
    tokens = [text.strip() for _, text in _texts(TOKEN, [chosen.token_file] if chosen.token_file else [])]
    if any(len(token) < 16 for token in tokens):
        raise ValueError("the pages' token must be 16 characters or more, got fewer: `openssl rand -hex 16` makes one")
    token = tokens[-1] if tokens else None
    admin = _address(chosen.admin) if chosen.admin else None
    here = is_loopback(chosen.host)
    if not here and admin is None and token is None:
        raise ValueError(
            f"pages and controls must not be open to everybody, got --host {chosen.host}: give them an address of "
            f"their own with --admin 127.0.0.1:PORT, or a token in ${TOKEN} or --token-file"
        )
    if admin is not None and not is_loopback(admin[0]) and token is None:
        raise ValueError(f"--admin must be on this machine, got {chosen.admin}: or have the pages ask for a token")
    if admin is not None and admin[1] == chosen.port:
        raise ValueError(f"--admin must have a port of its own, got --port's {chosen.port}")
    names = chosen.allow_host or ([] if here else ["*"])
    gate = Gate([*(LOOPBACK if here else ()), chosen.host, *names])
    inner = LOCAL if admin is None else Gate([*LOOPBACK, admin[0], *chosen.allow_host])
    return Doors(gate, admin and admin[1], inner, token), admin


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        raise ValueError(f"--admin must be HOST:PORT, such as 127.0.0.1:8001, got {text[:60]!r}")
    return host.strip("[]"), int(port)
