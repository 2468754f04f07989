"""What of the parts works in a subinterpreter (Python 3.14 and later), as the README's *Limits* says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from arion_lib.setup.environment import ROOT

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters came with Python 3.14")

PARTS = {
    "lazy": "from arion_lib.lazy import lazy; assert lazy(range(3)).map(lambda n: n * n).to_list() == [0, 1, 4]",
    "resources": "from arion_lib.resources import Resources\nwith Resources(): pass",
    "contracts": "from arion_lib.contracts import contract\nclass Part(contract.Contract, kind='part'): pass",
}
LEFT_OUT = {
    "pipeline": ("import arion_lib.pipeline.ndjson", "does not support loading in subinterpreters"),  # msgspec
    "scheduler": (
        "from arion_lib.scheduler import Scheduler\nwith Scheduler(1) as s: s.submit(abs, 1).result()",
        "daemon threads are disabled",
    ),
}


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a subinterpreter of a fresh process."""
    outer = (
        "import sys; from concurrent import interpreters; inner = interpreters.create(); "
        f"inner.exec(f'import sys; sys.path[:] = {{sys.path!r}}'); inner.exec({code!r}); inner.close()"
    )
    return subprocess.run([sys.executable, "-c", outer], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_starts_no_process_and_parses_nothing_works_in_a_subinterpreter(part: str) -> None:
    done = run(PARTS[part])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("part", LEFT_OUT)
def test_the_others_say_why_they_do_not(part: str) -> None:
    code, why = LEFT_OUT[part]
    done = run(code)
    assert done.returncode != 0
    assert why in done.stderr
