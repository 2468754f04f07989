"""No part of a secret is shown, and a text without one stays as it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arion_lib.masking import masked

letters = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=6)
addresses = st.lists(st.sampled_from(["://", "redis://", "@", ":", "a", "7", ",", "'"]), min_size=6).map("".join)
blanks = st.lists(st.sampled_from(["x", " redis://", " 'redis://", " ", "7"]), min_size=6).map("x".join)


@given(letters | addresses | blanks, st.sampled_from(["redis", "amqp", "postgresql"]), st.sampled_from(["", "ann"]))
def test_a_password_is_never_shown_whatever_it_is_made_of(secret: str, kind: str, user: str) -> None:
    shown = masked(f"could not open {kind}://{user}:{secret}@host:1/db?sslmode=require: timed out")
    assert shown == f"could not open {kind}://{user}:***@host:1/db?sslmode=require: timed out"


@given(letters | addresses)
@example("000://")
@example(",redis://")
@example("@://@://a:b@c")
def test_each_of_several_addresses_is_masked(secret: str) -> None:
    text = f"to postgresql://ann:{secret}@db/shop, then redis://:{secret}@cache failed"
    assert masked(text) == "to postgresql://ann:***@db/shop, then redis://:***@cache failed"


def test_a_port_is_shown_and_what_comes_behind_it_is_read_as_ever() -> None:
    text = "redis://h:6379/0?a=1, see http://x:80 or redis://:p@h"
    assert masked(text) == "redis://h:6379/0?a=1, see http://x:80 or redis://:***@h"


@pytest.mark.parametrize("repeated", ["a@ x://y:z ", "a@x://y:z", "://u:", " ://:", " 'a", "@://", "a-", "?a", "?key"])
def test_the_cost_follows_the_length(repeated: str) -> None:
    """A text of a million characters: what looks further and further ahead would take hours."""
    masked(repeated * (1_000_000 // len(repeated)))


@pytest.mark.parametrize(
    "name", ["password", "sslpassword", "PWD", "api_key", "TOKEN", "access_token", "client_secret", "secret-key", "key"]
)
def test_a_secret_in_the_query_is_never_shown(name: str) -> None:
    assert masked(f"postgresql://host/db?a=1&{name}=hunter2&b=2") == f"postgresql://host/db?a=1&{name}=***&b=2"


@pytest.mark.parametrize("value", ["hunter2", "'open sesame'", '"open sesame"', r"'it\'s me'"])
@pytest.mark.parametrize("name", ["password", "access_token", "client_secret", "private_key", "api-key"])
def test_a_secret_in_a_text_is_never_shown(name: str, value: str) -> None:
    assert masked(f"host=db {name}={value} user=ann") == f"host=db {name}=*** user=ann"


@pytest.mark.parametrize(
    "text",
    [
        "redis://host:6379/0#name",
        "file:///srv/queue",
        "sqlite:///x.db",
        "/plain/path",
        "amqp://ann@host/",
        "keys=3 max_tokens=5 mail=ann@host: no route",
        "redis://host:6379/0 does not answer; ask ann@host",
    ],
)
def test_a_text_without_secrets_is_shown_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "password", ["a/b", "a?b", "a#b", "a@b", "a:b", "p@ss/w?rd#1", "/", "@", "a b", "a@://b", "://"]
)
def test_no_password_is_shown_whatever_is_in_it(password: str) -> None:
    shown = masked(f"postgresql://ann:secret{password}secret@host/db")
    assert "secret" not in shown
    assert shown.endswith("@host/db")


VALUES = [
    '"hunter2"',
    "'hunter2'",
    '"hunter2, hunter2"',
    r'"hunter2 \" hunter2"',
    "hunter2",
    "b'hunter2 hunter2'",
    '["hunter2", "hunter2"]',
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["password", "sslPassword", "access_token", "client-secret", "PWD", "old password"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_secret_behind_a_colon_is_never_shown(name: str, value: str, quote: str) -> None:
    text = f"refused: {{{quote}user{quote}: 'ann', {quote}{name}{quote}: %s, {quote}port{quote}: 5432}}"
    assert masked(text % value) == text % "***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user: ann\npassword: hunter2\nport: 5432", "user: ann\npassword: ***\nport: 5432"),
        ("db.password: 'open sesame', port: 1", "db.password: ***, port: 1"),
        ('password: hunter2,"hunter2', "password: ***"),
        ("password: ,]}", "password: ***"),
        ("password:hunter2,x", "password:***"),
        ('{"token":12345,"user":"ann"}', '{"token":***,"user":"ann"}'),
        ('"password" :\n  "hunter2"', '"password" :\n  ***'),
        (r'"{\"password\": \"open sesame\", \"a\": 1}"', r'"{\"password\": ***, \"a\": 1}"'),
        ('cut off: {"password": "open ses', 'cut off: {"password": ***'),
        ('cut off: {"password": "open ses\\', 'cut off: {"password": ***'),
    ],
)
def test_a_secret_behind_a_colon_is_hidden_in_each_notation(text: str, shown: str) -> None:
    assert masked(text) == shown


@given(st.text(), st.sampled_from(["password", "api_key", "token"]))
def test_a_secret_in_json_is_never_shown_whatever_it_is_made_of(secret: str, name: str) -> None:
    text = json.dumps({"user": "ann", name: secret, "port": 1})
    assert masked(text) == f'{{"user": "ann", "{name}": ***, "port": 1}}'
    assert masked(repr({name: secret, "port": 1})) == f"{{'{name}': ***, 'port': 1}}"


WORDS = ["keys", "max_tokens", "token", "password", "host", "ann", "3", "secrets", "a", "cannot", "'x'", '"y"']


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", ", ", ": ", "; ", ". ", ":", " = "]))))
def test_an_ordinary_text_is_shown_as_it_is_whatever_colons_it_holds(pairs: list[tuple[str, str]]) -> None:
    text = "".join(word + (mark if word not in ("token", "password") else " ") for word, mark in pairs)
    assert masked(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "redis://token:6379/0 does not answer",  # a host of that name, and its port
        "amqp://ann@my.secret:5672/",
        "KeyError: 'token'",
        "enter the password:\nthe prompt was closed",
        "tokens: 5, keys: 3, passwords_file: x",
        "the password is wrong: try again",
    ],
)
def test_a_text_with_such_a_word_and_no_secret_is_shown_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_a_user_named_like_a_secret_keeps_the_host_in_sight() -> None:
    assert masked("amqp://token:hunter2@host:1/") == "amqp://token:***@host:1/"
