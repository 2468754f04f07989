"""What a benchmark printed, as HTML: its tables are tables, for a phone's width and for a screen reader.

Idea        The text of `bench NAME --save` is blocks between blank lines: a title, a table drawn with `|`, verdicts.
Invariant   Every line of the text is on the page once, but for the drawn lines.
When wrong  A block without a drawn table is shown as it was printed.
See         arion_lib/workbook/site/pages.py · tests/workbook/test_site.py
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import takewhile


def as_html(text: str, name: str) -> str:
    """Return what the part `name` printed; its headings are of level 2 and 3."""
    first, *blocks = [block.splitlines() for block in re.split(r"\n\s*\n", text.strip("\n"))]
    said = "".join(f"<p>{html.escape(line)}</p>" for line in first)
    parts = [f'<h2 id="{name}">{name}</h2>{said}']
    for number, block in enumerate(blocks, 1):
        parts += _block(block, f"{name}-{number}")
    return "\n".join(parts)


def _block(lines: list[str], place: str) -> Iterator[str]:
    title, *rest = lines
    drawn = list(takewhile(lambda line: "|" in line or _is_rule(line), rest))
    if len(drawn) < 3 or not _is_rule(drawn[1]):
        yield f'<pre class="text" tabindex="0">{html.escape(chr(10).join(lines))}</pre>'
        return
    yield f'<h3 id="{place}">{html.escape(title)}</h3>'
    yield _table([_cells(line) for line in drawn if not _is_rule(line)], place)
    if verdicts := rest[len(drawn) :]:
        yield f"<ul>{''.join(map(_verdict, verdicts))}</ul>"


def _verdict(line: str) -> str:
    """
    >>> _verdict("  met     ours: speed at least 8x PPE: 17.2x")
    '<li><strong>met</strong> ours: speed at least 8x PPE: 17.2x</li>'
    """
    word, *words = re.split(r"\s{2,}", line.strip(), maxsplit=1)
    return f"<li><strong>{html.escape(word)}</strong> {html.escape(' '.join(words))}</li>"


def _is_rule(line: str) -> bool:
    return bool(re.fullmatch(r"-+(\+-+)+", line.strip()))


def _cells(line: str) -> list[str]:
    """
    >>> _cells("ours    | 4.99 us |   17.2x")
    ['ours', '4.99 us', '17.2x']
    """
    return [html.escape(cell.strip()) for cell in line.split("|")]


def _table(rows: list[list[str]], place: str) -> str:
    head, *body = rows
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    drawn = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for name, *cells in body
    )
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{drawn}</tbody></table>"
    return f'<div class="wide numbers" tabindex="0" role="group" aria-labelledby="{place}">{table}</div>'
