"""Where the repository lies on the web, and what can be started from there without installing anything.

Idea        One place holds the address: `repository-code` in CITATION.cff. The workflow that publishes the pages knows
            it by itself.
Invariant   Without an address no link is written; a link to Binder or Codespaces only for an address of their kind.
When wrong  A CITATION.cff without the line, or none at all, means: no address.
See         .github/workflows/site.yml · tests/workbook/test_site.py
"""

from __future__ import annotations

import re

from arion_lib.setup.environment import ROOT


def known_source() -> str:
    """Return where the repository's files can be read on the web, or nothing when CITATION.cff does not say it."""
    path = ROOT / "CITATION.cff"
    text = path.read_text("utf-8") if path.exists() else ""
    found = re.search(r'^repository-code:\s*"?(https://[^"\s]+?)/?"?$', text, re.MULTILINE)
    return f"{found.group(1)}/blob/main" if found else ""


def without_installing(source: str) -> str:
    """Return the sentence with links to Binder and Codespaces, in Markdown; nothing where they cannot be.

    >>> without_installing("https://github.com/o/r/blob/main").count("](https://")
    2
    >>> without_installing("https://git.example.org/o/r/blob/main"), without_installing("")
    ('', '')
    """
    found = re.fullmatch(r"https://github\.com/([^/]+/[^/]+)/blob/([^/]+)", source)
    if not found:
        return ""
    repository, branch = found.groups()
    return f"Without installing anything, in your browser: {binder(repository, branch)} or {codespaces(repository)}."


def binder(repository: str, branch: str = "main") -> str:
    """Return the link that opens the notebooks' start page on Binder."""
    page = "urlpath=lab/tree/work/START.md"  # the learner's copies, which postBuild makes
    return f"[the notebooks on Binder](https://mybinder.org/v2/gh/{repository}/{branch}?{page})"


def codespaces(repository: str) -> str:
    """Return the link that opens the dev container."""
    return f"[all of it in Codespaces](https://codespaces.new/{repository})"
