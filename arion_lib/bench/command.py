"""`python -m arion_lib bench NAME`: ours and the installed peers, measured side by side.

Idea        A benchmark is a file or folder of this folder with `run(args) -> int`, one a part, under its own name.
Invariant   Every printed table stands under a line that names the machine, the Python and the peers' versions; the last
            lines say which targets were missed. What `--save` keeps for the site is what was printed, with the date.
When wrong  An unknown name exits with 2 and the nearest name; a peer that is not installed is named, not crashed on.
See         tests/bench/test_command.py

A benchmark module is short:

    from arion_lib.bench.command import finish, options

    def run(args: list[str]) -> int:
        chosen = options("pipeline", "Parse and store.", SECTIONS).parse_args(args)  # --only, --rounds, --json ...
        return finish(measured(SECTIONS, chosen.only, chosen), chosen, peers=["orjson"])  # machine, versions, tables

    def parse(chosen: argparse.Namespace) -> Iterator[Table]:
        yield compare({...}, baseline="json", rounds=chosen.rounds)

    SECTIONS = {"parse": parse, "store": store}
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from arion_lib.nearest import did_you_mean

if TYPE_CHECKING:
    from arion_lib.bench.verdicts import Table  # it imports more than `--help` may need

How = TypeVar("How")

FIGURES = Path(__file__).parents[2] / ".github" / "figures"
"""What `--save` keeps, a file a benchmark: run on a quiet machine, for the site to show."""


def run(args: list[str]) -> int:
    """Run the benchmark that the first argument names, or list the names. Returns the exit code."""
    chosen = refuse_wrong(args)
    if chosen.name is None:
        print("benchmarks:", ", ".join(benchmarks()) or "none")
        return 0
    return int(importlib.import_module(f"arion_lib.bench.{chosen.name}").run(chosen.rest))


def refuse_wrong(args: list[str]) -> argparse.Namespace:
    """Leave by `SystemExit` for `--help` and for an unknown name; needs nothing but the standard library."""
    names = benchmarks()
    known = ", ".join(names) or "none"
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib bench",
        description="Measure ours and the installed peers side by side.",
        epilog=f"example: python -m arion_lib bench lazy --rounds 3 --json lazy.json    benchmarks: {known}",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="benchmark to run; without one, list them")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="options of the benchmark (NAME --help)")
    chosen = parser.parse_args(args)
    if chosen.name is not None and chosen.name not in names:
        hint = did_you_mean(chosen.name, names, str)
        print(f"{parser.prog}: NAME must be one of {known}, got {chosen.name!r}{hint}", file=sys.stderr)
        raise SystemExit(2)
    return chosen


def benchmarks() -> list[str]:
    """List the names that `python -m arion_lib bench` knows: the files and folders here that define `run`."""
    here = Path(__file__).parent
    folders = [path.parent.name for path in here.glob("*/__init__.py") if _is_benchmark(path)]
    return sorted(folders + [path.stem for path in here.glob("*.py") if _is_benchmark(path)])


def machine(peers: Sequence[str] = ()) -> str:
    """Describe in one line what the figures were measured on; `peers` are distributions whose version belongs to it.

    >>> machine(["no-such-peer"]).split(" · ")[3:]
    ['no-such-peer not installed']
    """

    def version(peer: str) -> str:
        try:
            return metadata.version(peer)
        except metadata.PackageNotFoundError:
            return "not installed"

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # a container's
    facts = [f"{cores} cores", f"Python {platform.python_version()}", f"{platform.system()} {platform.machine()}"]
    return " · ".join([*facts, *(f"{peer} {version(peer)}" for peer in peers)])


def options(name: str, description: str, sections: Iterable[str] = ()) -> argparse.ArgumentParser:
    """Make the parser that every benchmark starts from: `--only`, `--rounds N`, `--json FILE`, `--save`, `--strict`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m arion_lib bench {name}",
        description=description,
        epilog=f"example: python -m arion_lib bench {name} --rounds 3 --json {name}.json",
    )
    parser.set_defaults(name=name)
    words = list(sections)
    if words:
        parser.add_argument("--only", nargs="+", choices=words, metavar="PART", help=f"measure only {', '.join(words)}")
    parser.add_argument("--rounds", type=_at_least_one, default=5, help="interleaved rounds (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE as well")
    parser.add_argument(
        "--save", action="store_true", help="keep what is printed, with the date, for the site (.github/figures)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    return parser


def measured(
    sections: Mapping[str, Callable[[How], Iterable[Table]]], only: Container[str] | None, how: How
) -> Iterator[Table]:
    """Measure the sections asked for (`None`: all) in their own order; the standard error names the one that runs."""
    for name, section in sections.items():
        if only is None or name in only:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            yield from section(how)


def finish(results: Iterable[Table], chosen: argparse.Namespace, peers: Sequence[str] = ()) -> int:
    """Print the machine, each table once it is there, and what was missed; write `--json`; return the exit code."""
    from arion_lib.bench.verdicts import summary  # it imports more than `--help` may need

    said, found = [machine(peers)], []
    print(said[0])
    for result in results:
        said.append(f"\n{result.table()}")
        print(said[-1], flush=True)
        found.append(result)
    said.append(f"\n{summary(found)}{load()}")
    print(said[-1], flush=True)
    if chosen.json is not None:
        document = {"machine": machine(peers), "results": [result.as_dict() for result in found]}
        chosen.json.write_text(json.dumps(document, indent=2), encoding="utf-8")
    if chosen.save:
        print(f"kept in {save(chosen.name, said)}")
    return 1 if chosen.strict and not all(result.ok for result in found) else 0


def save(name: str, said: Sequence[str]) -> Path:
    """Keep what a benchmark said in the file that the site shows, under the date and the command line."""
    command = " ".join(["python -m arion_lib", *(word for word in sys.argv[1:] if word != "--save")])
    path = FIGURES / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"{date.today():%d %B %Y} · {command}", *said, ""]), encoding="utf-8", newline="\n")
    return path


def load() -> str:
    """Say how busy the machine has been, this run included; nothing where the system does not say."""
    if not hasattr(os, "getloadavg"):
        return ""
    return "\nload of the last 1, 5, 15 minutes, this run included: " + ", ".join(f"{x:.1f}" for x in os.getloadavg())


def _is_benchmark(path: Path) -> bool:
    # Read, not imported: listing the names must not cost the import of every peer.
    return path.stem != "command" and "\ndef run(" in path.read_text(encoding="utf-8")


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1, got {number}")
    return number
