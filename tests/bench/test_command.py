"""The bench command."""

from __future__ import annotations

import argparse
import json
import re
import sys
import types

import pytest

from arion_lib.bench import command
from arion_lib.bench.compare import at_most, compare


@pytest.fixture
def nap(monkeypatch):
    """A benchmark called "nap" that notes its arguments and returns 7."""
    bench = types.ModuleType("arion_lib.bench.nap")
    bench.seen = []
    bench.run = lambda args: bench.seen.append(args) or 7
    monkeypatch.setitem(sys.modules, "arion_lib.bench.nap", bench)
    monkeypatch.setattr(command, "benchmarks", lambda: ["lazy", "nap"])
    return bench


def test_a_benchmark_gets_the_rest_of_the_arguments_and_gives_the_exit_code(nap):
    assert command.run(["nap", "--rounds", "3", "x"]) == 7
    assert nap.seen == [["--rounds", "3", "x"]]


def test_a_wrong_name_is_answered_with_the_nearest_and_exit_code_2(nap, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.run(["nsp"])
    assert "got 'nsp'; did you mean nap?" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        command.run(["zzzzzz"])
    error = capsys.readouterr().err
    assert "must be one of lazy, nap" in error
    assert "did you mean" not in error
    assert nap.seen == []


def test_without_a_name_the_names_are_listed(nap, capsys):
    assert command.run([]) == 0
    assert capsys.readouterr().out == "benchmarks: lazy, nap\n"


def test_help_has_an_example(nap, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run(["--help"])
    assert stopped.value.code == 0
    assert "example: python -m arion_lib bench" in capsys.readouterr().out


@pytest.mark.parametrize("name", command.benchmarks())
def test_each_benchmark_explains_its_options(name, capsys):
    """A lone % in a help text is a TypeError, and only where the help is asked for."""
    with pytest.raises(SystemExit) as stopped:
        command.run([name, "--help"])
    assert stopped.value.code == 0
    assert f"bench {name}" in capsys.readouterr().out


def test_a_benchmark_is_a_module_that_defines_run_and_helpers_are_none():
    names = command.benchmarks()
    assert not {"command", "compare", "memory", "ratios", "__init__"} & set(names)


def test_the_first_line_says_on_which_machine_and_which_peers(capsys, tmp_path):
    chosen = command.options("nap", "Nap.").parse_args(["--json", str(tmp_path / "figures.json")])
    result = compare({"a": lambda: 1}, baseline="a", rounds=1, min_seconds=1e-6)
    assert command.finish([result], chosen, peers=["psutil", "no-such-peer"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+ cores · Python 3\.\d+\.\S+ · .+ · psutil [\d.]+ · no-such-peer not installed", first)
    assert any(line.startswith("a ") for line in rest)
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["machine"] == first
    assert written["results"][0]["baseline"] == "a"


def test_what_is_saved_for_the_site_is_what_was_printed_with_date_and_command(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(sys, "argv", ["x", "bench", "nap", "--rounds", "1", "--save"])
    result = compare({"a": lambda: 1}, baseline="a", rounds=1, min_seconds=1e-6)
    assert command.finish([result], command.options("nap", "Nap.").parse_args([])) == 0
    assert not (tmp_path / "figures").exists()  # the control: only on request
    capsys.readouterr()
    assert command.finish([result], command.options("nap", "Nap.").parse_args(["--save"])) == 0
    printed = capsys.readouterr().out
    first, kept = (tmp_path / "figures" / "nap.txt").read_text("utf-8").split("\n", 1)
    assert re.fullmatch(r"\d\d \w+ 20\d\d · python -m arion_lib bench nap --rounds 1", first)
    assert printed.startswith(kept)
    assert len(kept) > 100


def test_a_missed_target_fails_the_command_only_when_strict():
    missed = compare({"a": lambda: 1}, baseline="a", rounds=1, min_seconds=1e-6, targets={"a": at_most(0.001)})
    parser = command.options("nap", "Nap.")
    assert command.finish([missed], parser.parse_args([])) == 0
    assert command.finish([missed], parser.parse_args(["--strict"])) == 1


def test_only_the_parts_that_are_asked_for_are_measured_in_their_own_order(capsys):
    sections = {name: lambda times, name=name: [name] * times for name in ("parse", "store", "http")}
    parser = command.options("nap", "Nap.", sections)
    assert list(command.measured(sections, parser.parse_args([]).only, 1)) == ["parse", "store", "http"]
    assert capsys.readouterr().err.count("measuring") == 3
    chosen = parser.parse_args(["--only", "http", "parse"])
    assert list(command.measured(sections, chosen.only, 2)) == ["parse", "parse", "http", "http"]
    with pytest.raises(SystemExit):
        parser.parse_args(["--only", "nap"])
    assert "parse" in capsys.readouterr().err


def test_rounds_must_be_at_least_one(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.options("nap", "Nap.").parse_args(["--rounds", "0"])
    assert stopped.value.code == 2
    assert "must be >= 1, got 0" in capsys.readouterr().err
    assert isinstance(command.options("nap", "Nap.").parse_args([]), argparse.Namespace)
