"""python -m arion_lib WORD: the door to the workbook, with nothing but Python 3.11+.

Idea        An old Python must understand this file well enough to say that it is too old: no newer syntax here.
Invariant   Nothing outside the standard library is imported before the environment stands.
When wrong  An old Python gets one sentence; everything else is told by `arion_lib.setup.words`.
See         README.md, tests/test_setup.py
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "The workbook needs Python 3.11 or newer, got {0[0]}.{0[1]} ({1}): "
        "run this again with a newer one, such as python3.12.".format(sys.version_info, sys.executable)
    )

from arion_lib.setup.words import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
