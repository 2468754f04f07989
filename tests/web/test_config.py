"""What the owner's file says of a stream holds; its mistakes are told at once, before anything is opened."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import math
import time
import tomllib
from datetime import datetime
from pathlib import Path

import pytest

from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.web import serve
from arion_lib.web.edge.fast_protocol import FastProtocol
from arion_lib.web.requests import Limits
from arion_lib.web.signatures import HmacVerifier, Verifier, sign
from arion_lib.web.startup.config import ConfigError, example, read_config
from arion_lib.web.startup.doors import doors_of
from arion_lib.web.startup.options import FROM_FILE, command_line
from arion_lib.web.streams import IdIn, Rules, Streams
from tests.web.client import get, post
from tests.web.conftest import Serve, Served
from tests.web.test_serve import command

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SVIX = "whsec_" + base64.b64encode(b"of svix".ljust(24)).decode()
PLAIN = "a shared secret".replace(" ", "-")
BODY = b'{"id": "e1", "amount": 0.10, "currency": "EUR", "email": "me@example.org"}'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAYMENTS_SECRET", SECRET)
    monkeypatch.setenv("SVIX_SECRET", SVIX)
    for name in ("builds", "pushes", "shop"):
        (tmp_path / name).write_text(f"{PLAIN}-{name}\n", encoding="utf-8")
    text = example().replace("/run/secrets/builds", (tmp_path / "builds").as_posix())
    more = f"""
[streams.pushes]
secret_file = "{(tmp_path / "pushes").as_posix()}"
scheme = "github"
fields = ["id"]
[streams.shop]
secret_file = "{(tmp_path / "shop").as_posix()}"
scheme = "shopify"
[streams.svix]
secret_env = "SVIX_SECRET"
scheme = "svix"
"""
    (tmp_path / "arion.toml").write_text(text + more, encoding="utf-8")
    return tmp_path / "arion.toml"


def stored(served: Served, stream: str) -> list[object]:
    return [json.loads(row.body) for row in served.store.rows(stream)]


def digest(stream: str, body: bytes = BODY) -> bytes:
    return hmac.digest(f"{PLAIN}-{stream}".encode(), body, hashlib.sha256)


def test_the_example_is_followed(serve: Serve, config: Path) -> None:
    now = int(time.time())
    with serve(streams=read_config(config).streams) as served:
        url = f"{served.url}/webhook"
        assert post(f"{url}/other", BODY).status == 404
        assert post(f"{url}/payments", BODY).status == 401
        signed = {"webhook-id": "m", "webhook-timestamp": str(now), "webhook-signature": sign(SECRET, "m", now, BODY)}
        assert post(f"{url}/payments?fields=email", BODY, signed).status == 400
        assert post(f"{url}/payments", BODY, signed).json["groups"] == 1
        assert b'"sum":0.10' in get(f"{served.url}/results?stream=payments").body
        assert post(f"{url}/builds", BODY, signed).status == 401, "each stream has its own secret"
        own = {"x-signature": "sha256=" + digest("builds").hex(), "x-request-id": "r1"}
        assert post(f"{url}/builds", BODY, own).json["accepted"] == 1
        assert post(f"{url}/builds", BODY, own).json["duplicates"] == 1
        assert post(f"{url}/builds", BODY + b" ", own).status == 401
        event = b'{"event": {"id": 7}, "amount": 1}'
        assert post(f"{url}/payouts", event).json["accepted"] == 1
        assert post(f"{url}/payouts", event).json["duplicates"] == 1


@pytest.mark.parametrize("fast", [True, False])
def test_github_shopify_and_svix_are_taken_as_they_send(
    serve: Serve, config: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    taken: list[bytes] = []
    take = FastProtocol._take

    def noting(self: FastProtocol, body: bytes) -> bool:
        taken.append(body)
        return take(self, body)

    monkeypatch.setattr(FastProtocol, "_take", noting)
    svix = sign(SVIX, "m", now, BODY)
    ways = {
        "pushes": {"X-Hub-Signature-256": "sha256=" + digest("pushes").hex(), "X-GitHub-Delivery": "d1"},
        "shop": {"X-Shopify-Hmac-Sha256": base64.b64encode(digest("shop")).decode(), "X-Shopify-Webhook-Id": "d1"},
        "svix": {"svix-id": "m", "svix-timestamp": str(now), "svix-signature": svix},
    }
    with serve(streams=read_config(config).streams) as served:
        if not fast:
            served.app.fast_path = None
        for stream, headers in ways.items():
            wrong = {
                name: value.replace(value[-3:], "AAA") if "ig" in name or "mac" in name else value
                for name, value in headers.items()
            }
            assert post(f"{served.url}/webhook/{stream}", BODY, wrong).status == 401
            assert post(f"{served.url}/webhook/{stream}", BODY, headers).json["accepted"] == 1
            assert post(f"{served.url}/webhook/{stream}", BODY, headers).json["duplicates"] == 1
        assert stored(served, "pushes") == [{"id": "e1"}], "the owner's fields, not the sender's"
    assert bool(taken) == fast


def test_the_example_can_be_had_from_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.run(["--show-config"]) == 0
    assert tomllib.loads(capsys.readouterr().out).keys() == {"unknown_streams", "queries", "streams", *FROM_FILE}


def test_chosen_headers_stand_beside_each_row(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "arion.toml"
    file.write_text(
        "[streams.pushes]\nkeep_headers = ['X-GitHub-Event', 'ce-type']\n[streams.plain]\n", encoding="utf-8"
    )
    headers = {"x-github-event": "push", "authorization": "secret", "webhook-id": "d1"}
    lines = b'{"n": 1}\n{"n": 2}\n'
    with serve(streams=read_config(file).streams) as served:
        before = time.time() - 1.0
        for stream, body in (("pushes", b'{"n": 0}'), ("pushes", lines), ("plain", b'{"n": 0}')):
            headers["webhook-id"] = f"d{len(body)}"
            assert post(f"{served.url}/webhook/{stream}", body, headers).status == 200
        items = get(f"{served.url}/rows?stream=pushes").json["items"]
        assert [one["record"]["n"] for one in items] == [0, 1, 2]
        for one, delivery in zip(items, ("d8", "d18", "d18"), strict=True):
            meta = one["meta"]
            came = datetime.fromisoformat(meta.pop("received").replace("Z", "+00:00")).timestamp()
            assert before <= came <= time.time() + 1.0
            assert meta == {"delivery": delivery, "headers": {"x-github-event": "push"}}
        assert "meta" not in get(f"{served.url}/rows?stream=plain").json["items"][0]


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "arion.toml"
    file.write_text(
        """
unknown_streams = "maybe"
quereis = true
streams.f = 5
[streams.a]
fields = ["x", "x"]
secret_env = "NOT_SET_AT_ALL"
[streams.b]
group_by = ["t"]
fields = ["x"]
scheme = "githib"
secret_env = "PATH"
[streams.c]
delivery_header = "no header"
scheme = "github"
[streams.d]
delivery_field = ["x"]
keep_headers = "x-one"
keep = "a while"
[streams.e]
scheme = {header = 5}
secret_env = "PATH"
[limits]
max_lien = 5
max_body = "much"
batch = true
[retention]
keep = 7
""",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        read_config(file)
    told = " ".join(caught.value.mistakes)
    for word in ("maybe", "did you mean queries", "name each field once", "NOT_SET_AT_ALL", "a sum keeps no rows"):
        assert word in told
    for word in ("githib", "no header", "keep_headers must be a list", "secret_env and secret_file, got 0"):
        assert word in told
    for word in ("[streams.f] must be a table", "delivery_field: it must be a field's name", "'header': 5"):
        assert word in told
    for word in ("did you mean max_line", "max_body must be bytes", "batch must be bytes", "[retention] keep must be"):
        assert word in told
    assert "keep must be a time such as 90s, 30m, 12h or 7d, got 'a while', or be \"forever\"" in told
    assert len(caught.value.mistakes) == 17


def test_limits_and_retention_stand_in_the_file_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "arion.toml"
    written = '[limits]\nmax_body = "1k"\nidle = 2.5\n[retention]\nkeep = "12h"\n'
    written += '[streams.a]\nkeep = "forever"\n[streams.b]\nkeep = "1d"\n[streams.c]\n'
    file.write_text(written, encoding="utf-8")
    given = ["--config", str(file), "--idle", "7"]
    chosen = command_line(read_config(file).options).parse_args(given)
    assert (chosen.max_body, chosen.idle, chosen.keep) == (1_024, 7.0, 43_200.0)
    assert chosen.max_line == Limits().max_record
    assert read_config(file).streams.ages == {"a": math.inf, "b": 86_400.0}
    assert {name for table in FROM_FILE.values() for name in table} <= set(vars(chosen))


def test_a_limit_of_the_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "arion.toml").write_text("[limits]\nmax_body = 100\n", encoding="utf-8")
    options = ("--port", "0", "--data", str(tmp_path / "data"), "--config", str(tmp_path / "arion.toml"))
    with command(*options) as (_, line):
        assert post(f"{line.split()[0]}/webhook/orders", b" " * 101).status == 413
        assert post(f"{line.split()[0]}/webhook/orders", BODY).status == 200


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("recipe", [Recipe(), Recipe(group_by=("kind",))])
def test_a_delivery_may_name_itself_in_its_body(serve: Serve, recipe: Recipe, gzipped: bool) -> None:
    rules = Rules(recipe, id_in=IdIn("event.id"))
    headers = {"content-encoding": "gzip"} if gzipped else {}
    shut = gzip.compress if gzipped else bytes

    def event(name: object, kind: str = "a") -> bytes:
        return shut(json.dumps({"event": {"id": name}, "kind": kind}).encode())

    with serve(streams=Streams({"s": rules}, None), limits=Limits(max_record=1_000)) as served:
        url = f"{served.url}/webhook/s"
        answers = [post(url, event(name), headers).json for name in (7, 7, "7", "x")]
        assert [(one["accepted"], one["duplicates"]) for one in answers] == [(1, 0), (0, 1), (1, 0), (1, 0)]
        assert post(url, event(7, "b"), headers).status == 422, "another body under a known id"
        others = (b'{"event": 5}', b"[]", b"{}\n{}", b"x")
        for bad in (event(None), event(1.5), event(""), *map(shut, others)):
            refused = post(url, bad, headers)
            assert refused.status == 422
            assert "event.id" in refused.json["detail"]
        assert post(url, event("y" * 1_000), headers).status == 413
        counted = sum(one.count for one in served.store.results("s")) + len(served.store.rows("s"))
        assert (counted, served.store.dead_letters("s")) == (3, [])


def test_a_secret_is_good_for_one_stream(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No signature covers the address: a captured request must count in no other stream."""
    file = tmp_path / "arion.toml"
    for name, secret in (("A", SECRET), ("B", "whsec_" + base64.b64encode(b"b" * 24).decode()), ("C", PLAIN)):
        monkeypatch.setenv(name, secret)

    def configured(**secrets: str) -> Path:
        schemes = {"A": "standard", "B": "svix", "C": "github"}
        tables = [f'[streams.{s}]\nsecret_env = "{e}"\nscheme = "{schemes[e]}"\n' for s, e in secrets.items()]
        file.write_text("\n".join(tables), encoding="utf-8")
        return file

    with serve(streams=read_config(configured(a="A", b="B", c="C")).streams) as served:
        now = int(time.time())
        names = {"webhook-id": "m", "webhook-timestamp": str(now), "webhook-signature": sign(SECRET, "m", now, BODY)}
        captured = names | {name.replace("webhook", "svix"): value for name, value in names.items()}
        assert post(f"{served.url}/webhook/a", BODY, captured).json["accepted"] == 1
        assert post(f"{served.url}/webhook/b", BODY, captured).status == 401
    for shared in ({"a": "A", "b": "A"}, {"c": "C", "d": "C"}):
        with pytest.raises(ConfigError, match="must have a secret of its own"):
            read_config(configured(**shared))
    with pytest.raises(ConfigError, match="a secret must belong to one stream, got one for all"):
        read_config(configured(b="B"), [SECRET])
    with pytest.raises(ValueError, match="must have a secret of its own"):
        Streams({name: Rules(verifier=Verifier([SECRET])) for name in "ab"})
    file.write_text('unknown_streams = "refuse"\n[streams.a]\nfields = ["id"]\n', encoding="utf-8")
    assert read_config(file, [SECRET]).streams.of("a").verifier is not None


def test_a_wrong_file_is_one_sentence_and_nothing_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "arion.toml").write_text("streams = 5\n[", encoding="utf-8")
    assert serve.run(["--data", str(tmp_path / "data"), "--config", str(tmp_path / "arion.toml")]) == 2
    assert "no TOML" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_scheme_of_ones_own_is_checked() -> None:
    with pytest.raises(ValueError, match="encoding must be hex or base64"):
        HmacVerifier([PLAIN], header="x", encoding="base32")
    with pytest.raises(ValueError, match="8 characters"):
        HmacVerifier(["short"], header="x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_are_read_as_editors_and_shells_of_windows_write_them(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, file, token = tmp_path / "secret", tmp_path / "arion.toml", tmp_path / "token"
    secret.write_text(f"{PLAIN}\n", encoding=encoding)
    token.write_text("0123456789abcdef\n", encoding=encoding)
    text = f"""[streams.a]\nsecret_file = "{secret.as_posix()}"\nscheme = "github"\n"""
    file.write_text(text, encoding=encoding)
    verifier = read_config(file).streams.of("a").verifier
    assert verifier is not None
    digest = hmac.digest(PLAIN.encode(), BODY, "sha256").hex()
    assert verifier.fits({b"x-hub-signature-256": f"sha256={digest}".encode()}, BODY)
    assert doors_of(command_line().parse_args(["--token-file", str(token)]))[0].token == "0123456789abcdef"


@pytest.mark.parametrize("name", ["arion.toml", "secret"])
def test_a_file_that_is_no_text_is_named_and_not_shown(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text(PLAIN)
    text = f"""[streams.a]\nsecret_file = "{(tmp_path / "secret").as_posix()}"\nscheme = "github"\n"""
    (tmp_path / "arion.toml").write_text(text)
    (tmp_path / name).write_bytes(b"geheim\xe4geheim")
    assert serve.run(["--config", str(tmp_path / "arion.toml"), "--data", str(tmp_path / "data")]) == 2
    error = capsys.readouterr().err
    assert f"{name} must be text in UTF-8, got other bytes at 6" in error
    assert "geheim" not in error


def test_a_delivery_is_named_by_what_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A captured post, good for minutes, must not count again under another id."""
    file = tmp_path / "arion.toml"
    monkeypatch.setenv("A", SECRET)

    def configured(more: str, scheme: str = "standard") -> Path:
        file.write_text(f'[streams.a]\nsecret_env = "A"\nscheme = "{scheme}"\n{more}\n', encoding="utf-8")
        return file

    for scheme in ("standard", "svix"):
        with pytest.raises(ConfigError, match=r"delivery_header must be .*-id, which is signed, got x-request-id"):
            read_config(configured('delivery_header = "X-Request-Id"', scheme))
    for more in ("", 'delivery_field = "id"', 'delivery_header = "Webhook-Id"'):
        assert read_config(configured(more)).streams.good_for == 600.0
    assert read_config(configured('delivery_header = "x-request-id"', "github")).streams.good_for == 0.0


def test_a_service_that_would_take_nothing_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "arion.toml").write_text('unknown_streams = "refuse"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="nothing would be taken"):
        read_config(tmp_path / "arion.toml")
