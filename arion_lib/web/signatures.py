"""Standard Webhooks signatures: who sent this body, and when.

Idea        HMAC-SHA256 over `id.timestamp.body`, fed chunk by chunk: a body of any size is verified in constant memory.
Invariant   Every comparison takes the same time wherever the difference is; a body counts only after `verify` returned.
When wrong  A missing header, a time out of the window or a signature of nobody raises `SignatureError`, which says so.
See         https://www.standardwebhooks.com · tests/web/test_signatures.py
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence

PREFIX = "whsec_"
TOLERANCE = 300.0
"""Seconds that a signature's time may lie before or after the receiver's clock."""

GOOD_FOR = 2 * TOLERANCE
"""Seconds for which a signature may be good: the sender's clock may be ahead."""


class SignatureError(ValueError):
    """The sender is not who it should be, or too late. `must`, `got` and `do` say which rule was broken."""

    def __init__(self, must: str, got: str, do: str) -> None:
        super().__init__(f"{must}, got {got}: {do}")
        self.must, self.got, self.do = must, got, do


def parse_secret(text: str) -> bytes:
    """Decode a shared secret, `whsec_` and base64, into the key's bytes.

    Raises `ValueError` when it is not base64 or not 16 to 64 bytes long (the standard says 24 to 64, some senders use
    fewer). The message never shows the secret.

    >>> parse_secret("whsec_" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB")
    b'AAAAAAAAAAAAAAAAAAAAAAAA'
    """
    try:
        key = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"a webhook secret must be {PREFIX} and base64, got something else: copy it again") from None
    if not 16 <= len(key) <= 64:
        raise ValueError(f"a webhook secret must decode to 16 to 64 bytes, got {len(key)}: make a new one")
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` header for one body, as a sender does.

    `timestamp` is in whole seconds since 1970.

    >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...      b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(parse_secret(secret), signed, "sha256")).decode()


def _numbered(number: int, secret: str, count: int) -> bytes:
    """Decode one of several secrets; its number is all that an error may show of it."""
    try:
        return parse_secret(secret)
    except ValueError as error:
        raise ValueError(f"{error} (secret {number} of {count})") from None


class Verification:
    """One body being verified while it arrives: `update` with each chunk, `verify` at its end."""

    def __init__(self, macs: Sequence[hmac.HMAC], claimed: Sequence[bytes]) -> None:
        self._macs = macs
        self._claimed = claimed

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the body as they were sent (compressed, when they are)."""
        for mac in self._macs:
            mac.update(chunk)

    def verify(self) -> None:
        """Return when one claimed signature belongs to one secret; raise `SignatureError` otherwise.

        Every pair is compared, each in constant time, so the time taken does not tell which secret came close.
        """
        wanted = [base64.b64encode(mac.digest()) for mac in self._macs]
        if not sum(hmac.compare_digest(ours, theirs) for ours in wanted for theirs in self._claimed):
            raise SignatureError(
                "webhook-signature must hold a v1 signature made with a shared secret",
                "none that fits this body",
                "sign `webhook-id.webhook-timestamp.body` over the very bytes that are sent",
            )


class Verifier:
    """Verify bodies against one or more shared secrets (several while a secret is being replaced).

    `names`: what the three headers' names begin with. `tolerance` is in seconds, to either side of `clock()`. `keys`
    are hashes of the secrets, to tell whether two verifiers share one. Raises `ValueError` for a secret that is none.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        names: str = "webhook",
        tolerance: float = TOLERANCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not secrets:
            raise ValueError("secrets must be one or more, got none: leave the verifier out to accept unsigned bodies")
        keys = [_numbered(number, secret, len(secrets)) for number, secret in enumerate(secrets, 1)]
        self._keyed = [hmac.new(key, digestmod=hashlib.sha256) for key in keys]
        self.keys = frozenset(hashlib.sha256(key).digest() for key in keys)
        self._names = [f"{names}-{part}".encode() for part in ("id", "timestamp", "signature")]
        self._tolerance = tolerance
        self._clock = clock

    @property
    def id_header(self) -> bytes:
        """The header of the message's id: the signature covers it."""
        return self._names[0]

    def begin(self, headers: Mapping[bytes, bytes]) -> Verification:
        """Check the three headers (lower-case names) and return the verification of the body that follows.

        Raises `SignatureError`, before a byte of the body is read, for a missing header or a time out of the window.
        """
        message_id, stamp, signatures = (_header(headers, name) for name in self._names)
        self._check_time(stamp)
        prefix = b"%b.%b." % (message_id, stamp)
        macs = [keyed.copy() for keyed in self._keyed]
        for mac in macs:
            mac.update(prefix)
        return Verification(macs, [item[3:] for item in signatures.split() if item.startswith(b"v1,")])

    def fits(self, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        """Say whether a whole body is signed by a shared secret: as `begin`, in one step, and without the reason."""
        message_id, stamp, signatures = (headers[name] for name in self._names)
        self._check_time(stamp)
        signed = b"%b.%b.%b" % (message_id, stamp, body)
        wanted = []
        for keyed in self._keyed:
            mac = keyed.copy()  # half the cost of `hmac.digest`, which begins with the key each time
            mac.update(signed)
            wanted.append(b"v1," + binascii.b2a_base64(mac.digest(), newline=False))
        return bool(sum(hmac.compare_digest(ours, theirs) for ours in wanted for theirs in signatures.split()))

    def _check_time(self, stamp: bytes) -> None:
        if not stamp.isdigit() or len(stamp) > 15:
            raise SignatureError(
                "webhook-timestamp must be whole seconds since 1970",
                repr(stamp[:40].decode("latin-1")),
                "send digits only",
            )
        age = self._clock() - int(stamp)
        if abs(age) > self._tolerance:
            raise SignatureError(
                f"webhook-timestamp must lie within {self._tolerance:g} s of the receiver's clock",
                f"one {abs(age):.0f} s {'old' if age > 0 else 'ahead'}",
                "sign again with the present time, and check both clocks",
            )


class HmacVerifier:
    """Verify bodies whose HMAC-SHA256 stands in one header, as GitHub and Shopify send it.

    `secrets` are taken as text; the signature is `prefix` and the digest as "hex" or "base64". Nothing is signed but
    the body: a delivery's id and its time are the sender's word only. Raises `ValueError`.
    """

    def __init__(self, secrets: Sequence[str], *, header: str, prefix: str = "", encoding: str = "hex") -> None:
        if encoding not in ("hex", "base64"):
            raise ValueError(f"encoding must be hex or base64, got {encoding!r:.40}")
        if not secrets or any(len(secret) < 8 for secret in secrets):
            got = f"{len(secrets)}, one of them shorter (blanks divide secrets)" if secrets[1:] else "none or fewer"
            raise ValueError(f"a secret must be 8 characters or more, got {got}: make a new one")
        self._header, self._prefix, self._hex = header.lower().encode(), prefix.encode(), encoding == "hex"
        self._keyed = [hmac.new(secret.encode(), digestmod=hashlib.sha256) for secret in secrets]
        self.keys = frozenset(hashlib.sha256(secret.encode()).digest() for secret in secrets)

    def begin(self, headers: Mapping[bytes, bytes]) -> HmacVerification:
        """Return the verification of the body that follows. Raises `SignatureError` where there is no signature."""
        claimed = _header(headers, self._header)
        return HmacVerification([keyed.copy() for keyed in self._keyed], claimed, self)

    def fits(self, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        """Say whether a whole body is signed by a secret; raises where it has no signature."""
        verification = self.begin(headers)
        verification.update(body)
        verification.verify()
        return True

    def written(self, digest: bytes) -> bytes:
        """Write a digest as the header has it."""
        text = digest.hex().encode() if self._hex else base64.b64encode(digest)
        return self._prefix + text

    @property
    def header(self) -> str:
        """The header's name."""
        return self._header.decode()


class HmacVerification:
    """One body being verified while it arrives: as `Verification`."""

    def __init__(self, macs: Sequence[hmac.HMAC], claimed: bytes, scheme: HmacVerifier) -> None:
        self._macs, self._claimed, self._scheme = macs, claimed, scheme

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the body as they were sent."""
        for mac in self._macs:
            mac.update(chunk)

    def verify(self) -> None:
        """Return when the signature belongs to a secret; raise `SignatureError` otherwise. Takes constant time."""
        wanted = [self._scheme.written(mac.digest()) for mac in self._macs]
        if not sum(hmac.compare_digest(ours, self._claimed) for ours in wanted):
            raise SignatureError(
                f"{self._scheme.header} must hold the body's HMAC-SHA256, made with a shared secret",
                "none that fits this body",
                "sign the very bytes that are sent (with curl: --data-binary)",
            )


def _header(headers: Mapping[bytes, bytes], name: bytes) -> bytes:
    value = headers.get(name, b"")
    if not value:
        raise SignatureError(f"{name.decode()} must be sent", "none", "sign the delivery: this webhook has a secret")
    return value
