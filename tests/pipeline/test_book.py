"""What a reader reads in order is short: at most ten files at the top of a part, each on a few screens, on its map."""

from __future__ import annotations

from pathlib import Path

import pytest

from arion_lib.setup.environment import ROOT

MOST_FILES, MOST_LINES = 10, 250


def complaints(part: Path) -> list[str]:
    """Say what is wrong with the book of a part."""
    book = sorted(path for path in part.glob("*.py") if path.name != "__init__.py")
    reader_map = (part / "__init__.py").read_text(encoding="utf-8")
    found = [f"at most {MOST_FILES} files, got {len(book)}"] if len(book) > MOST_FILES else []
    for path in book:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        found += [f"{path.name}: at most {MOST_LINES} lines, got {lines}"] if lines > MOST_LINES else []
        found += [] if f" {path.stem} " in reader_map else [f"{path.name} is not on the map"]
    return found


@pytest.mark.parametrize("part", ["pipeline", "web"])
def test_the_book_is_short_and_on_its_map(part: str) -> None:
    assert complaints(ROOT / "arion_lib" / part) == []


def test_a_book_that_has_grown_is_found(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text('"""Read.\n\n    a0  one\n"""', encoding="utf-8")
    (tmp_path / "a0.py").write_text("1\n" * 251, encoding="utf-8")
    (tmp_path / "a1.py").write_text("1\n" * 250, encoding="utf-8")
    assert complaints(tmp_path) == ["a0.py: at most 250 lines, got 251", "a1.py is not on the map"]
    for number in range(2, 11):
        (tmp_path / f"a{number}.py").touch()
    assert complaints(tmp_path)[0] == "at most 10 files, got 11"
