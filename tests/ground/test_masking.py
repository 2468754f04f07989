"""No part of a secret is shown, and a text without one stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.masking import masked

letters = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=6)


@given(letters, st.sampled_from(["redis", "amqp", "postgresql"]), st.sampled_from(["", "ann"]))
def test_a_password_is_never_shown_whatever_it_is_made_of(secret: str, kind: str, user: str) -> None:
    shown = masked(f"could not open {kind}://{user}:{secret}@host:1/db?sslmode=require: timed out")
    assert shown == f"could not open {kind}://{user}:***@host:1/db?sslmode=require: timed out"


@given(letters)
def test_each_of_several_addresses_is_masked(secret: str) -> None:
    text = f"to postgresql://ann:{secret}@db/shop, then redis://:{secret}@cache failed"
    assert masked(text) == "to postgresql://ann:***@db/shop, then redis://:***@cache failed"


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


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "a@b", "a:b", "p@ss/w?rd#1", "/", "@", "a b"])
def test_no_password_is_shown_whatever_is_in_it(password: str) -> None:
    shown = masked(f"postgresql://ann:secret{password}secret@host/db")
    assert "secret" not in shown
    assert shown.endswith("@host/db")
