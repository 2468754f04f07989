"""The word `site`: the workbook as pages to read in a browser, without Python.

Idea        What stands in the repository, laid out: the notebooks with their stored outputs, the teacher's guide, the
            readers' maps of the library, the benchmark tables. Nothing is written for the site alone.
Invariant   The folder works from `file://`: every link inside it leads somewhere, nothing is fetched from anywhere.
When wrong  A notebook without outputs is refused with the command that stores them.
See         README.md · tests/workbook/test_site.py

Read in this order: pages (what there is), cells (a notebook's cells as HTML), figures (a benchmark's tables),
frame.html.j2 and style.css.
"""

from arion_lib.workbook.site.pages import build

__all__ = ["build"]
