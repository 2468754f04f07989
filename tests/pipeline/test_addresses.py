"""Addresses open the same place in every process and show no secret."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.stores.addresses import checked_stream, local_path, local_url, queue_name, scheme


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
