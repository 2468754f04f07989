"""The site: every link leads somewhere, nothing comes from elsewhere, phones are wide enough, both colours readable."""

from __future__ import annotations

import html.parser
import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest

from arion_lib.setup.environment import ROOT
from arion_lib.workbook import site
from arion_lib.workbook.checking import catalogue
from arion_lib.workbook.copying import learner
from arion_lib.workbook.running import notebooks
from arion_lib.workbook.site import address, cells, figures, pages
from tests.browser import browser

FETCHING = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}


class Seen(html.parser.HTMLParser):
    """What a page links to, what can be linked to in it, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.fetched: list[str] = []
        self.without_words: list[str] = []
        self.unreachable: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        self.tags.append(tag)
        if about.get("id"):
            self.ids.add(str(about["id"]))
        if tag == "a" and "href" in about:
            self.links.append(str(about["href"]))
        if tag in FETCHING and (address := about.get(FETCHING[tag])):
            self.fetched.append(address)
        if tag == "pre" and "tabindex" not in about:
            self.unreachable.append(str(self.getpos()))
        if tag == "img" and not about.get("alt"):
            self.without_words.append(str(about.get("src"))[:60])


class Words(html.parser.HTMLParser):
    """The text of a page, with single blanks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._said: list[str] = []
        self.feed(text)
        self.words = " ".join(" ".join(self._said).split())

    def handle_data(self, data: str) -> None:
        self._said.append(data)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    return {path.name: Seen(path.read_text("utf-8")) for path in site.build(tmp_path_factory.mktemp("site"))}


def test_every_link_inside_leads_to_a_page_and_a_place_on_it(built: dict[str, Seen]) -> None:
    for name, page in built.items():
        for link in page.links:
            if "://" in link:
                continue
            target, _, anchor = unquote(link).partition("#")
            assert (target or name) in built, f"{name} links to {link}"
            assert not anchor or anchor in built[target or name].ids, f"{name} links to {link}"


def test_nothing_is_fetched_from_anywhere(built: dict[str, Seen]) -> None:
    for name, page in built.items():
        assert all(address.startswith("data:") for address in page.fetched), name
        assert "script" not in page.tags, name


def test_every_picture_has_words_and_every_page_its_landmarks(built: dict[str, Seen]) -> None:
    for name, page in built.items():
        assert not page.without_words, name
        assert {"main", "nav", "footer", "h1", "title"} <= set(page.tags), name
        assert page.tags.count("h1") == 1, name


def test_a_keyboard_reaches_every_text_that_may_be_wider_than_the_page(built: dict[str, Seen]) -> None:
    assert any("pre" in page.tags for page in built.values())
    for name, page in built.items():
        assert not page.unreachable, name


def test_every_notebook_guide_map_and_exercise_is_there(built: dict[str, Seen]) -> None:
    for path in notebooks.select([]):
        assert f"{path.stem}.html" in built
        assert f"guide_{path.name[0]}.html" in built
        assert f"{path.stem}.html" in built["index.html"].links
    assert set(pages.PARTS) <= built["library.html"].ids


def test_the_glossary_has_every_word_of_every_notebooks_table(built: dict[str, Seen]) -> None:
    for path in notebooks.select([]):
        words = pages.vocabulary(json.loads(path.read_text("utf-8")))
        assert len(words) >= 5, path.name
        assert all(words.values())
    assert built["glossary.html"].tags.count("tr") > 25


def test_answers_stand_behind_a_triangle_and_the_instructors_notes_not_at_all() -> None:
    for path in notebooks.select([]):
        notebook = json.loads(path.read_text("utf-8"))
        text = cells.notebook_as_html(notebook)
        own = [e for e in catalogue.every() if e.notebook == int(path.name[0])]
        assert text.count("<details><summary>One answer</summary>") == len(own)
        assert learner.BEGIN not in text
        assert "For the instructor" not in text


def test_a_notebook_without_outputs_is_refused_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in [*notebooks.select([]), notebooks.FOLDER / "START.md"]:
        shutil.copy(path, tmp_path)
    empty = tmp_path / notebooks.select(["3"])[0].name
    empty.write_text(json.dumps(learner.view(json.loads(empty.read_text("utf-8")))), "utf-8")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    monkeypatch.setattr(notebooks.select, "__defaults__", (tmp_path,))
    assert pages.run(["--to", str(tmp_path / "site")]) == 1
    assert "`python -m arion_lib run 3 --update`" in capsys.readouterr().out


def test_who_reads_can_start_it_in_the_browser_where_the_address_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def links_of(source: str) -> list[str]:
        (page,) = [path for path in site.build(tmp_path, source) if path.name == "index.html"]
        return [link for link in Seen(page.read_text("utf-8")).links if "mybinder" in link or "codespaces" in link]

    assert links_of("") == []  # the control: no address, no link that leads nowhere
    assert links_of("https://git.example.org/who/arion/blob/main") == []
    binder, codespaces = links_of("https://github.com/who/arion/blob/main")
    assert binder == "https://mybinder.org/v2/gh/who/arion/main?urlpath=lab/tree/work/START.md"
    assert codespaces == "https://codespaces.new/who/arion"
    monkeypatch.setattr(address, "ROOT", tmp_path)
    assert address.known_source() == ""
    (tmp_path / "CITATION.cff").write_text("title: x\nrepository-code: https://github.com/who/arion/\n", "utf-8")
    assert address.known_source() == "https://github.com/who/arion/blob/main"


def test_every_link_to_a_file_on_the_web_names_a_file_that_is_there(tmp_path: Path) -> None:
    source = "https://github.com/who/arion/blob/main"
    found = {
        unquote(link.removeprefix(f"{source}/").partition("#")[0]): path.name
        for path in site.build(tmp_path, source)
        for link in Seen(path.read_text("utf-8")).links
        if link.startswith(source)
    }
    for part in ("pipeline", "resources", "contracts", "lazy", "scheduler"):
        assert any(file.startswith(f"arion_lib/{part}/") for file in found), f"no page links to the code of {part}"
    for file, page in found.items():
        assert (ROOT / file).exists(), f"{page} links to {file}"


@pytest.mark.parametrize("stored", [True, False])
def test_the_page_of_figures_is_there_only_when_some_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    monkeypatch.setattr(pages, "FIGURES", tmp_path)
    if stored:
        (tmp_path / "lazy.txt").write_text("ours 1x", "utf-8")
    written = site.build(tmp_path / "site")
    assert (tmp_path / "site" / "figures.html" in written) is stored
    for path in written:
        assert ("figures.html" in Seen(path.read_text("utf-8")).links) is stored, path.name


MEASURED = """30 November 2026 · python -m arion_lib bench lazy
2 cores · Python 3.11.7 · Linux x86_64

map: 1,000 <elements>
name |    best | speed
-----+---------+------
ours | 4.99 us | 17.2x
PPE  | 80.2 us |    1x
  met     ours: speed at least 8x PPE: 17.2x

only words
"""


def test_what_a_benchmark_printed_is_a_table_with_its_machine_and_its_verdicts() -> None:
    text = figures.as_html(MEASURED, "lazy")
    page = Seen(text)
    assert [page.tags.count(tag) for tag in ("table", "tr", "td", "li")] == [1, 3, 4, 1]
    assert "<p>2 cores · Python 3.11.7 · Linux x86_64</p>" in text
    assert '<h3 id="lazy-1">map: 1,000 &lt;elements&gt;</h3>' in text
    assert '<th scope="row">ours</th><td>4.99 us</td><td>17.2x</td>' in text
    assert "<li><strong>met</strong> ours: speed at least 8x PPE: 17.2x</li>" in text
    assert "only words</pre>" in text
    assert "---" not in text


@pytest.mark.parametrize("path", sorted(pages.FIGURES.glob("*.txt")), ids=lambda path: path.stem)
def test_every_line_that_is_stored_is_on_the_page(path: Path) -> None:
    printed = path.read_text("utf-8")
    words = Words(figures.as_html(printed, path.stem)).words
    for line in printed.splitlines():
        for piece in line.split("|") if not line.startswith("--") else ():
            assert " ".join(piece.split()) in words, line
    assert words.count("Python 3.") >= 1, "the machine is named"


OPEN = "document.querySelectorAll('details').forEach(folded => folded.open = true)"


@pytest.mark.thorough
@pytest.mark.parametrize("width", [360, 1280])
def test_a_real_browser_shows_every_page_without_scrolling_sideways(width: int, tmp_path: Path) -> None:
    with browser() as window:
        window.resize(width, 800)
        for path in site.build(tmp_path):
            window.open(path.as_uri())
            window.run(OPEN)
            assert window.run("return document.documentElement.scrollWidth") <= width, path.name
            assert window.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)"), path.name


@pytest.mark.thorough
def test_text_stands_out_from_its_paper_in_both_colours(tmp_path: Path) -> None:
    contrast = """
      const light = c => { const v = c.match(/[\\d.]+/g).map(Number).slice(0, 3).map(x => x / 255)
        .map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126*v[0] + .7152*v[1] + .0722*v[2] };
      const paper = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (!/, 0\\)$/.test(c)) return c } return 'rgb(255, 255, 255)' };
      const low = [];
      for (const e of document.querySelectorAll('p, li, h1, h2, h3, a, td, th, pre, pre span, summary, code')) {
        if (!e.textContent.trim() || !e.checkVisibility() || e.closest('svg')) continue;
        const a = light(getComputedStyle(e).color), b = light(paper(e));
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) low.push([e.tagName, e.className, e.textContent.slice(0, 30), ratio.toFixed(2)].join(' '));
      }
      return [...new Set(low)].slice(0, 12)"""
    with browser() as window:
        for on in (False, True):
            window.dark(on)
            for path in site.build(tmp_path):
                window.open(path.as_uri())
                window.run(OPEN)
                assert window.run(contrast) == [], (path.name, "dark" if on else "light")
