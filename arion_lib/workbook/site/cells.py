"""A notebook's cells as HTML for a reader: the story, the code, what it printed, answers behind a triangle.

Idea        nbconvert's own filters turn Markdown, code and coloured tracebacks into HTML; here is only what goes where.
Invariant   Every picture has its text; instructor cells are not for this page.
When wrong  An output of a kind that no browser shows (a live widget) is shown by the text that was stored with it.
See         arion_lib/workbook/site/pages.py · tests/workbook/test_site.py
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from arion_lib.workbook.copying import learner


def notebook_as_html(notebook: learner.Notebook) -> str:
    """Return the cells of a notebook, in their order, as HTML."""
    shown = [c for c in notebook["cells"] if learner.INSTRUCTOR not in c["metadata"].get("tags", ())]
    return "\n".join(part for cell in shown for part in _cell(cell))


def markdown(text: str) -> str:
    """Return Markdown as HTML; headings have an id and can be linked to, code is coloured."""
    from nbconvert.filters import markdown2html

    page = str(markdown2html(text))
    page = re.sub(
        r'<a class="anchor-link"[^>]*>.*?</a>', "", page, flags=re.DOTALL
    )  # a sign that readers hear as "pilcrow"
    return page.replace("<table>", '<div class="wide" tabindex="0"><table>').replace("</table>", "</table></div>")


def reachable(page: str) -> str:
    """Let the keyboard reach, and so scroll, every text that may be too wide; a table's empty corner is no heading.

    >>> reachable("<th></th>")
    '<td></td>'
    >>> reachable('<pre>a</pre><pre class="x" tabindex="0">b</pre>')
    '<pre tabindex="0">a</pre><pre class="x" tabindex="0">b</pre>'
    """
    page = re.sub(r"<th([^>]*)>\s*</th>", r"<td\1></td>", page)
    return re.sub(r"<pre(?![^>]*\btabindex=)", '<pre tabindex="0"', page)


def with_contents(page: str) -> str:
    """Put a folded list of its sections behind the title of a long page: on a phone a notebook is forty screens.

    >>> with_contents("<h1>T</h1>" + "".join(f'<h2 id="s{n}">S{n}</h2>' for n in range(6)))[10:61]
    '<details class="contents"><summary>On this page</su'
    >>> with_contents('<h1>T</h1><h2 id="a">A</h2>')
    '<h1>T</h1><h2 id="a">A</h2>'
    """
    sections = re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', page, re.DOTALL)
    if len(sections) < 6:
        return page
    links = "".join(f'<li><a href="#{place}">{re.sub("<[^>]*>", "", words)}</a></li>' for place, words in sections)
    listed = f'<details class="contents"><summary>On this page</summary><ul>{links}</ul></details>'
    return page.replace("</h1>", f"</h1>{listed}", 1)


def code(source: str) -> str:
    """Return Python as coloured HTML that a keyboard can scroll."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    coloured: str = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    return f'<pre class="code" tabindex="0"><code>{coloured}</code></pre>'


def _cell(cell: Any) -> Iterator[str]:
    source = learner.text_of(cell["source"])
    if cell["cell_type"] == "markdown":
        yield markdown(source)
        return
    blank = learner.without_answers(source)
    yield code(blank)
    if blank != source:
        yield f"<details><summary>One answer</summary>{code(_without_marks(source))}</details>"
    outputs = [text for output in cell["outputs"] for text in _output(output)]
    if outputs:
        yield f'<div class="output">{"".join(outputs)}</div>'


def _without_marks(source: str) -> str:
    marks = (learner.BEGIN, learner.END)
    return "\n".join(line for line in source.split("\n") if line.strip() not in marks)


def _output(output: Any) -> Iterator[str]:
    from nbconvert.filters import ansi2html

    if output["output_type"] == "stream":
        yield _text(html.escape(learner.text_of(output["text"])))
    elif output["output_type"] == "error":
        last = html.escape(f"{output['ename']}: {output['evalue']}".splitlines()[0])
        traceback = str(ansi2html("\n".join(output["traceback"])))  # type: ignore[no-untyped-call]
        traceback = re.sub(r' style="[^"]*"', "", traceback)  # colours of a terminal: of two papers they suit one
        yield f"<details><summary>{last}</summary>{_text(traceback)}</details>"
    else:
        yield _shown(output["data"], output.get("metadata", {}))


def _shown(data: dict[str, Any], about: dict[str, Any]) -> str:
    """Return the richest form that a page can show."""
    if "image/png" in data:
        words = about.get("image/png", {}).get("alt") or learner.text_of(data.get("text/plain", ""))
        source = learner.text_of(data["image/png"]).replace("\n", "")
        return f'<img src="data:image/png;base64,{source}" alt="{html.escape(words)}">'
    if "image/svg+xml" in data:
        return learner.text_of(data["image/svg+xml"])
    if "text/html" in data:
        return f'<div class="wide" tabindex="0">{learner.text_of(data["text/html"])}</div>'
    if "text/markdown" in data:
        return markdown(learner.text_of(data["text/markdown"]))
    return _text(html.escape(learner.text_of(data.get("text/plain", ""))))


def _text(escaped: str) -> str:
    """Lines without columns are words: on a phone they may wrap.

    >>> _text("peak: 100 MB"), _text("name  peak")
    ('<pre class="text words" tabindex="0">peak: 100 MB</pre>', '<pre class="text" tabindex="0">name  peak</pre>')
    """
    kind = "text" if re.search(r" {2}|\|", escaped) else "text words"
    return f'<pre class="{kind}" tabindex="0">{escaped}</pre>'
