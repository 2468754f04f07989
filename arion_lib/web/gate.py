"""Who may reach the service from a browser: only pages of the service itself, under a name that is its own.

Idea        A page of any site can make its reader's browser send requests to this machine. A browser says whose page
            asks (`Origin`, `Sec-Fetch-Site`), and under which name it thinks to have reached us (`Host`); other senders
            send no origin, and pass.
Invariant   A request whose Host is not one of `hosts`, or that another site's page made, reaches no application code; a
            link to a page may be followed from anywhere (a GET that a browser navigates by).
When wrong  421 for the host, 403 for the origin, 400 for none or several, each with the option that would allow it.
See         https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site · tests/web/test_gate.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from arion_lib.web.problems import Problem

LOOPBACK = ("localhost", "127.0.0.1", "::1")


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
