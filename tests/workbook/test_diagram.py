"""A diagram is its text."""

from __future__ import annotations

from base64 import b64decode
from xml.etree import ElementTree

import pytest

from arion_lib.workbook.diagram import flow


def test_a_diagram_is_valid_svg_with_its_alternative_text() -> None:
    drawn = flow("From <a> & on.", "a: <first>", "b", below={"b": "c: bad"})
    svg = ElementTree.fromstring(drawn.svg())
    assert svg.get("aria-label") == "From <a> & on." == repr(drawn)
    assert [t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")][:2] == ["a", "<first>"]
    assert "http" not in drawn.svg().replace("http://www.w3.org/2000/svg", "")


def test_a_notebook_shows_one_image_because_an_untrusted_one_takes_svg_apart() -> None:
    drawn = flow("From <a> & on.", "a: <first>", "b")
    image = ElementTree.fromstring(drawn._repr_html_().replace(">", "/>"))
    assert (image.tag, image.get("alt"), len(image)) == ("img", "From <a> & on.", 0)
    kind, _, data = str(image.get("src")).partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert b64decode(data).decode() == drawn.svg()


def test_a_box_below_an_unknown_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"below must name boxes of \['a'\], got \['z'\]"):
        flow("x", "a: 1", below={"z": "c"})
