"""Who may reach what: a browser only from the service's own pages, under its own name; pages by their own door.

Idea        A page of any site can make its reader's browser send requests to this machine. A browser says whose page
            asks (`Origin`, `Sec-Fetch-Site`), and under which name it thinks to have reached us (`Host`); other senders
            send no origin, and pass.
Invariant   A request whose Host is not one of `hosts`, or that another site's page made, reaches no application code; a
            link to a page may be followed from anywhere (a GET that a browser navigates by).
When wrong  421 for the host, 403 for the origin, 400 for none or several, each with the option that would allow it.
See         https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site · tests/web/test_gate.py
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from arion_lib.web.problems import Problem

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Say whether an address is this machine's alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host.lower() == "localhost"


class Gate:
    """What is asked of every request. `hosts` are names without ports; "*" among them allows any."""

    def __init__(self, hosts: Iterable[str] = LOOPBACK) -> None:
        self.hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._public = self.hosts - {"*", *LOOPBACK}  # a proxy in front may write another Host
        self._known = lru_cache(maxsize=256)(self._is_known)

    def plain(self, headers: Mapping[bytes, bytes]) -> bool:
        """Say whether a request needs no second look: known host, no browser. `headers` has each name once."""
        host = headers.get(b"host", b"")
        return len(host) < 300 and self._known(host) and b"origin" not in headers and b"sec-fetch-site" not in headers

    def check(self, pairs: Sequence[tuple[bytes, bytes]], method: str, version: str = "1.1") -> None:
        """Let a request pass. Raises `Problem` 400, 403 or 421."""
        hosts = [value for name, value in pairs if name == b"host"]
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            raise Problem(400, "a request must have one host header", f"{len(hosts)}", "send it with an HTTP client")
        if hosts and not self._is_known(hosts[0]):
            named = _shown(hosts[0])
            must = "the host must be one that this service was started for"
            raise Problem(421, must, named, f"start it with --allow-host {_name(hosts[0])[:80]}, if that is its name")
        self._check_origin(dict(pairs), method)

    def _check_origin(self, headers: Mapping[bytes, bytes], method: str) -> None:
        site, mode = headers.get(b"sec-fetch-site", b"none"), headers.get(b"sec-fetch-mode", b"")
        if site not in (b"none", b"same-origin") and not (method in ("GET", "HEAD") and mode == b"navigate"):
            raise _foreign(site)
        origin = headers.get(b"origin")
        if origin is not None:
            place = origin.partition(b"://")[2].lower()
            if not place or (place != headers.get(b"host", b"").lower() and _name(place) not in self._public):
                raise _foreign(origin)

    def _is_known(self, host: bytes) -> bool:
        return "*" in self.hosts or _name(host) in self.hosts


def _foreign(got: bytes) -> Problem:
    return Problem(403, "a browser's request must come from a page of this service", _shown(got), "open it at /")


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))


def _name(host: bytes) -> str:
    """Return a Host header's name without its port.

    >>> _name(b"LocalHost:8000"), _name(b"[::1]:80"), _name(b"10.0.0.1")
    ('localhost', '::1', '10.0.0.1')
    """
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


LOCAL = Gate()


@dataclass(frozen=True)
class Doors:
    """Who gets in where: senders to the webhook, the service's owner to pages, controls and figures.

    `admin_port`: the pages are reached on this port alone; None: on every one. `token`: the pages ask for it, as a
    bearer token or, for a browser, as a password (any user's name will do). `gate` and `admin` know the hosts' names.
    """

    gate: Gate = LOCAL
    admin_port: int | None = None
    admin: Gate = LOCAL
    token: str | None = field(default=None, repr=False)

    def check(self, scope: Mapping[str, Any], *, webhook: bool) -> bool:
        """Let a request pass, and say whether the pages may show it all. Raises `Problem` 400, 401, 403 or 421.

        False: it comes by the senders' door, where there is nothing but the webhook and whether it is well.
        """
        pairs = scope["headers"]
        if webhook:
            self.gate.check(pairs, scope["method"], scope["http_version"])
            return False
        inside = self.admin_port in (None, (scope.get("server") or (None, None))[1])
        gate = self.admin if self.admin_port and inside else self.gate
        gate.check(pairs, scope["method"], scope["http_version"])
        if inside and self.token is not None and scope["path"] != "/health":
            self._check_token(self.token, dict(pairs).get(b"authorization", b""))
        return inside and (self.token is None or scope["path"] != "/health")

    def _check_token(self, token: str, given: bytes) -> None:
        scheme, _, value = given.partition(b" ")
        if scheme.lower() == b"basic":
            with contextlib.suppress(binascii.Error):
                value = base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        if scheme.lower() not in (b"basic", b"bearer") or not hmac.compare_digest(value.strip(), token.encode()):
            raise Problem(
                401,
                "the pages must be asked for with the service's token",
                "another" if given else "none",
                "send `authorization: Bearer TOKEN`, or give it as the password",
                headers={"www-authenticate": 'Basic realm="arion", charset="UTF-8"'},
            )
