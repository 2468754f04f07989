"""What to say when a server is away.

Idea        One error for all connections: which server, its password hidden, what it answered, what to do.
Invariant   The URL of an error message never shows a secret.
When wrong  The driver's own error is the cause (`raise ... from`), for who needs more.
See         tests/resources/test_connections.py
"""

from __future__ import annotations

from arion_lib.masking import masked


class ServerAwayError(ConnectionError):
    """A server cannot be reached, or does not answer as one should."""


def away(url: str, reason: object) -> ServerAwayError:
    """The error for a server that is away.

    >>> print(away("redis://:s3cret@cache:6379", "Connection refused"))
    cannot reach redis://:***@cache:6379: Connection refused; start the server or check the URL
    """
    said = str(reason).strip().splitlines()
    return ServerAwayError(
        f"cannot reach {masked(url)}: {masked(said[0]) if said else type(reason).__name__};"
        " start the server or check the URL"
    )
