"""Signatures: the standard's own vector, every way to be refused, and an oracle from the standard library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.web.signatures import HmacVerifier, SignatureError, Verifier, parse_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes......").decode()
MESSAGE, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
PUBLISHED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def headers(signature: str = PUBLISHED, at: object = AT, message: str = MESSAGE) -> dict[bytes, bytes]:
    return {
        b"webhook-id": message.encode(),
        b"webhook-timestamp": str(at).encode(),
        b"webhook-signature": signature.encode(),
    }


def check(head: dict[bytes, bytes], body: bytes = BODY, *secrets: str, now: float = AT) -> None:
    verification = Verifier(secrets or (SECRET,), clock=lambda: now).begin(head)
    verification.update(body)
    verification.verify()


def test_the_published_vector_is_signed_and_verified() -> None:
    assert sign(SECRET, MESSAGE, AT, BODY) == PUBLISHED
    check(headers())


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (headers(), b'{"test": 2432232315}'),
        (headers(at=AT + 1), BODY),
        (headers(message="msg_other"), BODY),
        (headers("v1,AAAA"), BODY),
        (headers(PUBLISHED.replace("v1,", "v2,")), BODY),
        (headers(PUBLISHED.removeprefix("v1,")), BODY),
    ],
    ids=["body", "time", "id", "signature", "version", "no version"],
)
def test_whatever_is_changed_is_refused(head: dict[bytes, bytes], body: bytes) -> None:
    with pytest.raises(SignatureError, match="must hold a v1 signature"):
        check(head, body)


@pytest.mark.parametrize("name", [b"webhook-id", b"webhook-timestamp", b"webhook-signature"])
def test_a_missing_header_is_named(name: bytes) -> None:
    head = headers()
    del head[name]
    for missing in (head, {**head, name: b""}):
        with pytest.raises(SignatureError) as caught:
            check(missing)
        error = caught.value
        assert (error.must, error.got) == (f"{name.decode()} must be sent", "none")
        assert str(error) == f"{error.must}, got none: {error.do}"


@pytest.mark.parametrize(("now", "ok"), [(AT + 300, True), (AT - 300, True), (AT + 301, False), (AT - 301, False)])
def test_a_signature_is_good_for_five_minutes_to_either_side(now: float, ok: bool) -> None:
    if ok:
        check(headers(), now=now)
    else:
        with pytest.raises(SignatureError, match="within 300 s"):
            check(headers(), now=now)


@pytest.mark.parametrize("stamp", ["", "soon", "-5", "1614265330.5", "1" * 16])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    with pytest.raises(SignatureError, match=r"must be whole seconds since 1970, got|must be sent, got none"):
        check(headers(at=stamp))


def test_old_and_new_secret_are_both_good_while_one_is_replaced() -> None:
    for secret in (SECRET, OTHER):
        check(headers(sign(secret, MESSAGE, AT, BODY)), BODY, OTHER, SECRET)
    with pytest.raises(SignatureError):
        check(headers(sign(SECRET, MESSAGE, AT, BODY)), BODY, OTHER)


def test_one_good_signature_among_several_is_enough() -> None:
    check(headers(f"v1,AAAA {PUBLISHED} v1a,xyz"))


def test_every_pair_is_compared_wherever_the_match_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def counting(ours: bytes, theirs: bytes) -> bool:
        compared.append(theirs)
        return compare(ours, theirs)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    check(headers(f"{PUBLISHED} v1,AAAA v1,BBBB"), BODY, SECRET, OTHER)
    assert len(compared) == 2 * 3


@given(body=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)), message=st.text("abc-._", min_size=1))
def test_chunks_verify_as_the_whole_does_and_as_hmac_says(body: bytes, cuts: list[int], message: str) -> None:
    key = parse_secret(SECRET)
    digest = hmac.new(key, f"{message}.{AT}.".encode() + body, hashlib.sha256).digest()
    verification = Verifier([SECRET], clock=lambda: AT).begin(
        headers("v1," + base64.b64encode(digest).decode(), message=message)
    )
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        verification.update(body[start:end])
    verification.verify()


@pytest.mark.parametrize("secret", ["whsec_", "whsec_no base64!", "whsec_QUJD", "whsec_" + "QUFB" * 40])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret must") as caught:
        Verifier([secret])
    assert secret.removeprefix("whsec_")[:8] not in str(caught.value) or secret == "whsec_"


def test_of_several_secrets_the_wrong_one_is_named_by_its_number() -> None:
    with pytest.raises(ValueError, match=r"secret 2 of 3") as caught:
        Verifier([SECRET, "whsec_no base64!", OTHER])
    assert "no base64" not in str(caught.value)


def test_no_secrets_are_no_verifier() -> None:
    with pytest.raises(ValueError, match="one or more"):
        Verifier([])


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("several", [True, False])
def test_a_whole_body_in_one_step_fits_as_it_verifies_in_chunks(good: bool, several: bool) -> None:
    verifier = Verifier([OTHER, SECRET] if several else [SECRET], clock=lambda: AT)
    signed = sign(SECRET, MESSAGE, AT, BODY if good else BODY + b" ")
    assert verifier.fits(headers(f"v1,AAAA {signed}" if several else signed), BODY) is good
    for stale in (AT - 301, AT + 301):
        with pytest.raises(SignatureError, match="old" if stale < AT else "ahead"):
            verifier.fits(headers(signed, at=str(stale)), BODY)
    with pytest.raises(KeyError):
        verifier.fits({}, BODY)


PLAIN = "a shared secret"


def plain(body: bytes, encoding: str, prefix: str = "", secret: str = PLAIN) -> bytes:
    """The header's value as its senders' documentation describes it."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256)
    return prefix.encode() + (digest.hexdigest().encode() if encoding == "hex" else base64.b64encode(digest.digest()))


@pytest.mark.parametrize(("encoding", "prefix"), [("hex", "sha256="), ("hex", ""), ("base64", "")])
def test_a_body_signed_in_one_header_is_verified_and_another_is_refused(encoding: str, prefix: str) -> None:
    verifier = HmacVerifier([PLAIN, "another one"], header="X-Signed", prefix=prefix, encoding=encoding)
    for secret in (PLAIN, "another one"):
        assert verifier.fits({b"x-signed": plain(BODY, encoding, prefix, secret)}, BODY)
        chunked = verifier.begin({b"x-signed": plain(BODY, encoding, prefix, secret)})
        for at in range(len(BODY)):
            chunked.update(BODY[at : at + 1])
        chunked.verify()
    signed = plain(BODY, encoding, prefix)
    others = [plain(BODY, encoding, prefix, "a third one"), signed + b"0", signed[:-1], b"sha1=" + signed]
    others += [plain(BODY, "base64" if encoding == "hex" else "hex", prefix)]
    for wrong in others:
        with pytest.raises(SignatureError, match="x-signed must hold the body's HMAC-SHA256"):
            verifier.fits({b"x-signed": wrong}, BODY)
    with pytest.raises(SignatureError, match="x-signed must hold"):
        verifier.fits({b"x-signed": signed}, BODY + b" ")
    with pytest.raises(SignatureError, match="x-signed must be sent, got none"):
        verifier.fits({}, BODY)


@pytest.mark.parametrize("secrets", [[], ["seven c"], [PLAIN, ""]])
def test_a_plain_secret_that_is_too_short_is_refused(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="a secret must be 8 characters or more"):
        HmacVerifier(secrets, header="x-signed")
    with pytest.raises(ValueError, match=r"got 5, one of them shorter \(blanks divide secrets\)"):
        HmacVerifier("a secret of several words".split(), header="x-signed")  # noqa: SIM905  as a variable is read
    with pytest.raises(ValueError, match="encoding must be hex or base64, got 'rot13'"):
        HmacVerifier([PLAIN], header="x-signed", encoding="rot13")
    assert HmacVerifier(["8 places"], header="x-signed").header == "x-signed"


def test_verifiers_tell_that_they_share_a_secret_without_showing_it() -> None:
    both, one, other = Verifier([SECRET, OTHER]), Verifier([SECRET]), Verifier([OTHER])
    assert both.keys == one.keys | other.keys
    assert not one.keys & other.keys
    first, second = (HmacVerifier([secret], header="x") for secret in (PLAIN, "another one"))
    assert first.keys == HmacVerifier([PLAIN], header="y").keys
    assert not first.keys & second.keys
    assert parse_secret(SECRET) not in one.keys
    assert PLAIN.encode() not in first.keys
