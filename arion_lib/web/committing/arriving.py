"""Which deliveries are being received just now: each from one sender at a time.

Idea        A sender that lost patience sends again while its first post is still being dealt with; the second waits.
Invariant   Of two posts of one delivery to one stream that come at once, one is taken in.
When wrong  The other one is a `Problem` 409, to be sent again.
See         arion_lib/web/webhook.py · tests/web/test_webhook.py
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from arion_lib.web.problems import RETRY_AFTER, Problem


class Arriving(set[tuple[str, str]]):
    """The streams and ids of the deliveries that are being received, once their senders proved who they are."""

    @contextlib.contextmanager
    def sole(self, stream: str, delivery: str | None) -> Iterator[None]:
        """Keep a second sender of the delivery out while the block runs; None is nobody's. Raises `Problem` 409.

        >>> arriving = Arriving()
        >>> with arriving.sole("orders", "a"):
        ...     print(("orders", "a") in arriving)
        True
        >>> len(arriving)
        0
        """
        if delivery is None:
            yield
            return
        name = stream, delivery
        if name in self:
            raise Problem(
                409,
                "a delivery must be sent by one sender at a time",
                f"{delivery!r} twice",
                "wait for the answer to the first",
                headers={"retry-after": RETRY_AFTER},
            )
        self.add(name)
        try:
            yield
        finally:
            self.discard(name)
