"""Room on disk for long signed bodies, until their signature is known to be right.

Idea        A signature covers the whole body, so no record of it may count before its last byte was read. It is hashed
            while it arrives and waits in a temporary file without a name, which ends with the process.
Invariant   All such bodies together hold at most `most` bytes; threads hash, write and read, not the event loop.
When wrong  A body that can never fit is a 413, one that does not fit beside the others a 429, a full disk a 503. Of a
            forged one nothing is left.
See         arion_lib/web/webhook.py · tests/web/test_spool.py
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from typing import IO

from arion_lib.web.bodies import BLOCK, Body
from arion_lib.web.monitoring.figures import Figures
from arion_lib.web.problems import RETRY_AFTER, Problem
from arion_lib.web.signatures import HmacVerification, Verification


class Spool:
    """`most` bytes of disk, in the system's folder for temporary files; `figures.spooled` says how many are taken."""

    def __init__(self, most: int, figures: Figures) -> None:
        self._most, self._figures = most, figures

    @contextlib.asynccontextmanager
    async def verified(
        self, body: Body, verification: Verification | HmacVerification, length: int
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Receive the body, verify it, and give its blocks. `length`: what the sender says it is, 0 for nothing.

        Raises `SignatureError` and `Problem` before anything of the body is given.
        """
        self._check(length)
        own = 0
        with tempfile.TemporaryFile(prefix="arion-spool-") as file:
            try:
                async for block in body.blocks():
                    self._check(own + len(block), held=self._figures.spooled + len(block))
                    own += len(block)
                    self._figures.spooled += len(block)
                    await asyncio.to_thread(_keep, file, verification, block)
                verification.verify()
                file.seek(0)
                yield _blocks(file)
            finally:
                self._figures.spooled -= own

    def _check(self, alone: int, held: int = 0) -> None:
        if alone > self._most:
            must, do = f"a signed body must be <= {self._most} bytes", "send it in parts, each signed, or unsigned"
            raise Problem(413, must, "more", f"{do}, or start the service with a larger --max-spool")
        if held > self._most:
            must = f"signed bodies on their way must be <= {self._most} bytes together"
            retry = {"retry-after": RETRY_AFTER}
            raise Problem(429, must, "more", f"try again in {RETRY_AFTER} s", headers=retry)


def _keep(file: IO[bytes], verification: Verification | HmacVerification, block: bytes) -> None:
    verification.update(block)
    try:
        file.write(block)
    except OSError as error:
        retry = {"retry-after": RETRY_AFTER}
        must = "there must be room for a signed body until it is verified"
        raise Problem(503, must, "a disk that takes no more", "send it again later", headers=retry) from error


async def _blocks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while block := await asyncio.to_thread(file.read, BLOCK):
        yield block
