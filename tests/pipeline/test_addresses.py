"""Addresses open the same place in every process and show no secret."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.addresses import checked_stream, local_path, local_url, masked, queue_name, scheme

secrets = st.text(st.characters(codec="ascii", exclude_characters="/?#@:", categories=["L", "N", "P"]), min_size=8)


@given(secrets, st.sampled_from(["redis", "amqp", "postgresql"]), st.sampled_from(["", "ann"]))
def test_a_password_is_never_shown(secret: str, kind: str, user: str) -> None:
    shown = masked(f"could not open {kind}://{user}:{secret}@host:1/db?sslmode=require: timed out")
    assert f":{secret}@" not in shown
    assert shown == f"could not open {kind}://{user}:***@host:1/db?sslmode=require: timed out"


@pytest.mark.parametrize("name", ["password", "sslpassword", "api_key", "TOKEN", "client_secret"])
def test_a_secret_in_the_query_is_never_shown(name: str) -> None:
    assert masked(f"postgresql://host/db?a=1&{name}=hunter2&b=2") == f"postgresql://host/db?a=1&{name}=***&b=2"


def test_an_address_without_secrets_is_shown_as_it_is() -> None:
    for url in ("redis://host:6379/0#name", "file:///srv/queue", "sqlite:///x.db", "/plain/path", "amqp://ann@host/"):
        assert masked(url) == url


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0/\\:", exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_path_survives_as_an_address(name: str) -> None:
    path = Path("/srv") / name
    for kind in ("sqlite", "file"):
        assert local_path(local_url(kind, path)) == path.absolute()


def test_drive_letters_are_absolute_in_both() -> None:
    assert local_path("sqlite:///C:/data/x.db").as_posix() == "C:/data/x.db"
    assert local_path("sqlite:////C:/data/x.db").as_posix() == "C:/data/x.db"
    assert local_path("file:///C:/data").as_posix() == "C:/data"
    assert scheme(r"C:\data\x.db") == ""


def test_four_slashes_and_three_mean_the_same_in_a_file_address() -> None:
    assert PurePosixPath(local_path("file:////srv/queue").as_posix()) == PurePosixPath("/srv/queue")


@pytest.mark.parametrize("url", ["file://host/share", "sqlite://", "sqlite:///", "file:///"])
def test_an_address_that_names_no_local_path_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a local URL must be"):
        local_path(url)


def test_a_queues_name_stands_behind_the_hash() -> None:
    assert queue_name("amqp://u:p@h/%2F#my%20queue") == ("amqp://u:p@h/%2F", "my queue")


@pytest.mark.parametrize("stream", ["", "x" * 81, "é" * 41, "a\nb", "a\0b", "\ud800", None, 7])
def test_a_stream_that_cannot_be_named_everywhere_is_refused(stream: str) -> None:
    with pytest.raises(ValueError, match="stream must be 1 to 80 bytes of printable text"):
        checked_stream(stream)


def test_a_stream_of_80_bytes_is_welcome() -> None:
    assert checked_stream("é" * 40) == "é" * 40


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "a@b", "a:b", "p@ss/w?rd#1", "/", "@"])
def test_no_password_is_shown_whatever_is_in_it(password: str) -> None:
    shown = masked(f"postgresql://ann:secret{password}secret@host/db")
    assert "secret" not in shown
    assert shown.endswith("@host/db")
