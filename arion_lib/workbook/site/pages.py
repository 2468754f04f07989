"""Which pages there are, what stands on each, and the word that writes them.

Idea        A page is a title and HTML; one frame around all of them.
Invariant   A link to a file of the repository leads to its page here where there is one, else to its text on the
            project's own host; no other address is written by us.
When wrong  A notebook without stored outputs is refused: a site without figures would look finished.
See         arion_lib/workbook/site/__init__.py
"""

from __future__ import annotations

import argparse
import ast
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from arion_lib.setup.environment import ROOT
from arion_lib.workbook.copying import learner
from arion_lib.workbook.running import notebooks
from arion_lib.workbook.site import address, cells, figures
from arion_lib.workbook.teaching import guide

HERE = Path(__file__).parent
FIGURES = ROOT / ".github" / "figures"
"""What `python -m arion_lib bench NAME --save` kept, a file a part: date and command, the machine, the tables."""
MEASURED = "Each part begins with the day, the command that measured it, and the machine."

PARTS = ("pipeline", "resources", "contracts", "lazy", "scheduler")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its file name, its title, and what stands on it as HTML."""

    name: str
    title: str
    body: str


def build(folder: Path, source: str = "") -> list[Path]:
    """Write the site into `folder` and return its files. Takes some seconds; needs no network and runs no notebook.

    `source` is the address of the repository's files on the web (`https://host/owner/arion/blob/main`); without it,
    what has no page here is named, not linked.

    Raises:
        ValueError: for a notebook whose outputs are not stored.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    frame = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined).get_template(
        "frame.html.j2"
    )
    pages = list(_pages(source))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for page in pages:
        body = cells.reachable(cells.with_contents(_links(page.body, {other.name for other in pages}, source)))
        text = frame.render(page=page, body=body, style=_style(), parts=_menu())
        (path := folder / page.name).write_text(text, "utf-8", newline="\n")
        written.append(path)
    return written


def _pages(source: str) -> Iterator[Page]:
    books = notebooks.select([])
    start = (notebooks.FOLDER / "START.md").read_text("utf-8").partition("## How a notebook works")[0]
    yield Page("index.html", "Arion: five hard Python problems, measured", _front(start, source))
    for path in books:
        notebook = json.loads(path.read_text("utf-8"))
        if not any(cell.get("outputs") for cell in notebook["cells"]):
            number = path.name.partition("_")[0]
            raise ValueError(
                f"{path} must have its outputs, got none: `python -m arion_lib run {number} --update` stores them"
            )
        yield Page(f"{path.stem}.html", title_of(notebook), cells.notebook_as_html(notebook))
    for path in books:
        text = guide.guide_for(path)
        yield Page(f"guide_{path.name[0]}.html", text.partition("\n")[0].lstrip("# "), cells.markdown(text))
    yield Page("glossary.html", "Glossary", cells.markdown(_glossary(books)))
    yield Page("library.html", "The library: five readers' maps", _maps())
    if _stored():
        yield Page("figures.html", "The figures of the benchmarks", _figures())


def title_of(notebook: learner.Notebook) -> str:
    """Return the first heading of a notebook."""
    found = re.search(r"^# (.+)$", "\n".join(_markdown_of(notebook)), re.MULTILINE)
    return found.group(1) if found else ""


def _markdown_of(notebook: learner.Notebook) -> Iterator[str]:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            yield learner.text_of(cell["source"])


def _front(start: str, source: str) -> str:
    readme = (ROOT / "README.md").read_text("utf-8")
    promise = readme.partition("\n\n")[2].partition("![")[0]
    picture = re.search(r"!\[([^\]]*)\]\(([^)]*)\)", readme)
    drawn = ""
    if picture:
        import base64

        data = base64.b64encode((ROOT / picture.group(2)).read_bytes()).decode()
        drawn = f'<img src="data:image/png;base64,{data}" alt="{html.escape(picture.group(1))}">'
    table = "## The notebooks" + start.partition("# Start here")[2].replace(".ipynb)", ".html)")
    table = table.replace("A click on a link opens the notebook in a new tab.", "")
    guides = "\n".join(f"- [the guide to notebook {number}](guide_{number}.html)" for number in range(1, 6))
    more = f"""
{address.without_installing(source)}

## To teach with it

A guide a notebook, with a checklist for the day before, minutes, questions to ask and the wrong answers to expect:

{guides}

## Behind it

[The words](glossary.html) and [the library](library.html), drawn for its readers.
{"[The figures](figures.html): ours and the peers in one run." if _stored() else ""}
"""
    return (
        cells.markdown(f"# Arion: five hard Python problems, measured\n\n{promise}")
        + drawn
        + cells.markdown(table + more)
    )


def vocabulary(notebook: learner.Notebook) -> dict[str, str]:
    """Return the words of a notebook with what they mean there, from its table `| word | here it means |`."""
    text = "\n\n".join(_markdown_of(notebook))
    found = re.search(r"^\| word \| here it means \|\n\|[-|: ]+\|\n((?:\|.*\|(?:\n|$))+)", text, re.MULTILINE)
    rows = [line.strip().strip("|").split("|", 1) for line in (found.group(1).splitlines() if found else ())]
    return {word.strip(): meaning.strip() for word, meaning in rows}


def _glossary(books: list[Path]) -> str:
    """Return every notebook's vocabulary in one table, by the alphabet."""
    rows = []
    for path in books:
        for word, meaning in vocabulary(json.loads(path.read_text("utf-8"))).items():
            rows.append((word.lower().strip("`*"), f"| {word} | {meaning} | [{path.name[0]}]({path.stem}.html) |"))
    lines = [
        "# Glossary",
        "",
        "What the words mean in the notebooks.",
        "",
        "| word | meaning | notebook |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *(line for _, line in sorted(rows))])


def _maps() -> str:
    parts = ["<h1>The library: five readers' maps</h1>"]
    for part in PARTS:
        text = ast.get_docstring(ast.parse((ROOT / "arion_lib" / part / "__init__.py").read_text("utf-8"))) or ""
        parts.append(f'<h2 id="{part}">arion_lib.{part}</h2><pre class="text" tabindex="0">{html.escape(text)}</pre>')
    return "\n".join(parts)


def _stored() -> list[Path]:
    return sorted(FIGURES.glob("*.txt"))


def _figures() -> str:
    parts = ["<h1>The figures of the benchmarks</h1>", f"<p>{MEASURED}</p>"]
    parts += [figures.as_html(path.read_text("utf-8"), path.stem) for path in _stored()]
    return "\n".join(parts)


def _menu() -> list[tuple[str, str]]:
    books = [(f"{path.stem}.html", path.stem.replace("_", " ")) for path in notebooks.select([])]
    return [
        ("index.html", "start"),
        *books,
        ("index.html#To-teach-with-it", "teaching"),
        ("glossary.html", "words"),
        ("library.html", "library"),
        *([("figures.html", "figures")] if _stored() else []),
    ]


def _links(body: str, pages: set[str], source: str) -> str:
    """Lead a link to a file of the repository to its page, to its text on the web, or to nothing but its name."""

    def lead(found: re.Match[str]) -> str:
        target, words = html.unescape(found.group(1)), found.group(2)
        path, _, anchor = target.partition("#")
        name = path.rpartition("/")[2]
        page = name.removesuffix(".ipynb") + ".html" if name.endswith(".ipynb") else name
        if "://" in target or not path:
            return found.group(0)
        if page in pages:
            return f'<a href="{page}{"#" if anchor else ""}{anchor}">{words}</a>'
        return f'<a href="{source}/{_in_repository(path)}">{words}</a>' if source else words

    return re.sub(r'<a href="([^"]*)"[^>]*>(.*?)</a>', lead, body, flags=re.DOTALL)


def _in_repository(path: str) -> str:
    """Return the path from the root: notebooks link to `../arion_lib`, the README to `arion_lib`.

    >>> _in_repository("../arion_lib/lazy"), _in_repository("tests/lazy")
    ('arion_lib/lazy', 'tests/lazy')
    """
    return re.sub(r"^(\.\./|\./)+", "", path)


def _style() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="xcode").get_style_defs(".code")
    dark = HtmlFormatter(style="monokai").get_style_defs(".code")
    own = (HERE / "style.css").read_text("utf-8")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib site",
        description="Write the workbook as pages to read in a browser: nothing to install, no server, no network.",
        epilog="example: python -m arion_lib site --to public",
    )
    parser.add_argument(
        "--to", type=Path, default=ROOT / "work" / "site", metavar="DIR", help="the folder (default: work/site)"
    )
    parser.add_argument("--source", default="", metavar="URL", help="its files on the web (default: CITATION.cff says)")
    return parser


def refuse_wrong(args: list[str]) -> None:
    """Leave by `SystemExit` as `run` would; needs nothing but the standard library."""
    _parser().parse_args(args)


def run(args: list[str]) -> int:
    """Write the site and say where it begins."""
    options = _parser().parse_args(args)
    try:
        print(build(options.to, options.source.rstrip("/") or address.known_source())[0])
    except ValueError as error:
        print(error)
        return 1
    return 0
