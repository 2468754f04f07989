"""The pages of challenge 3: the registry's plugins, typed: rows in, rows out.

Idea        A request names a plugin, how to make it and what to give it; the contract's guards judge each value, not
            this file. What they find is an answer that names the parameter and the promise.
Invariant   Only registered plugins are called, and only by the method that their contract promises.
When wrong  404 names what comes near; 422 a value that breaks the contract, options that make no plugin, or rows that
            do not fit it. A plugin that would run a stranger's regular expression is not called from here at all.
See         notebooks/3_contracts_and_plugins.ipynb · tests/web/test_plugin_pages.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from arion_lib.contracts.contract import registry as common
from arion_lib.contracts.plugins import processors, transformers, validators
from arion_lib.contracts.registry import Plugin, UnknownPlugin
from arion_lib.contracts.violations import ContractCallError
from arion_lib.pipeline.decoder import encode
from arion_lib.web.pages.refusals import SEE
from arion_lib.web.problems import Problem

LEFT_OUT = frozenset({"matches"})
"""Plugins that are not called over HTTP: a pattern may take for ever, and holds all other threads up meanwhile."""

Name = Annotated[str, Path(max_length=200, description="name of the plugin")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    arguments: list[Any] = Field(default=[], max_length=100, description="what the plugin is made with, in order")
    options: dict[str, Any] = Field(default={}, description="what it is made with, by name")
    version: str = Field(default="", max_length=100, description="specifier such as >=1.0,<2; the newest that fits")


class Process(_Asked):
    """What a processor gets."""

    rows: list[dict[str, Any]] = Field(max_length=10_000)
    scale: Any = Field(default=1, description="how many times the rows' weight counts; the contract says which type")
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"options": {"field": "id"}, "rows": [{"id": 1}, {"id": 1}], "scale": 1}},
    )


class Validate(_Asked):
    """What a validator gets."""

    rows: list[Any] = Field(max_length=10_000)
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"arguments": ["id", "amount"], "rows": [{"id": 1}]}}
    )


class Transform(_Asked):
    """What a transformer gets."""

    values: list[Any] = Field(max_length=10_000)
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"values": ["12.30", "-7"]}})


class Processed(BaseModel):
    """The new rows."""

    rows: list[dict[str, Any]]


class Validated(BaseModel):
    """For each row, a complaint for each broken rule."""

    complaints: list[list[str]]
    severity: str


class Transformed(BaseModel):
    """The values in their new form."""

    values: list[Any]


class Described(BaseModel):
    """One plugin of the registry."""

    kind: str
    name: str
    version: str
    tags: list[str]
    does: str = Field(description="the first line of its docstring")
    module: str
    called_here: bool = Field(description="whether a page calls it")
    metrics: dict[str, dict[str, Any]] = Field(description="calls, errors and seconds of each method")


def plugin_pages() -> APIRouter:
    """Make the router of the pages; importing it defines the plugins that ship."""
    router = APIRouter(prefix="/plugins", tags=["plugins"])

    @router.get("", summary="The registry: each plugin, and what was measured of it")
    def plugins() -> list[Described]:
        """Show the plugins by kind, name and version."""
        return [_described(one) for one in common.plugins()]

    @router.post("/processors/{name}/process", summary="Turn rows into others", response_model=Processed)
    def process(name: Name, asked: Process) -> Response:
        """Call a processor's `process` once, with all rows."""
        plugin = _made("processors", name, asked)
        return _answer({"rows": _called(lambda: plugin.process(asked.rows, asked.scale))})

    @router.post("/validators/{name}/validate", summary="Say what is wrong with rows", response_model=Validated)
    def validate(name: Name, asked: Validate) -> Response:
        """Call a validator's `validate` with each row."""
        plugin = _made("validators", name, asked)
        complaints = _called(lambda: [plugin.validate(row) for row in asked.rows])
        return _answer({"complaints": complaints, "severity": plugin.severity})

    @router.post("/transformers/{name}/transform", summary="Turn values into others", response_model=Transformed)
    def transform(name: Name, asked: Transform) -> Response:
        """Call a transformer's `transform` with each value."""
        plugin = _made("transformers", name, asked)
        return _answer({"values": _called(lambda: [plugin.transform(value) for value in asked.values])})

    return router


SHIPPED = (processors, validators, transformers)
"""Modules whose import defines the plugins."""


def _described(plugin: Plugin) -> Described:
    return Described(
        kind=plugin.kind,
        name=plugin.name,
        version=plugin.version,
        tags=sorted(plugin.tags),
        does=(plugin.cls.__doc__ or "").strip().partition("\n")[0],
        module=plugin.origin[0],
        called_here=plugin.kind in ("processors", "validators", "transformers") and plugin.name not in LEFT_OUT,
        metrics={name: asdict(figures) for name, figures in plugin.metrics().items()},
    )


def _made(kind: str, name: str, asked: _Asked) -> Any:
    if name in LEFT_OUT:
        raise Problem(422, "a plugin must be one that a page calls", repr(name), "call it in Python")
    try:
        cls = common.get(kind, name, asked.version)
    except UnknownPlugin as error:
        raise Problem.of(404, "the plugin must be registered", error, "see /plugins") from None
    except ValueError as error:
        raise Problem.of(422, "version must be a specifier", error, SEE) from None
    must = "arguments and options must make the plugin"
    return _judged(must, lambda: cls(*asked.arguments, **asked.options))


def _called(call: Callable[[], Any]) -> Any:
    return _judged("the rows must fit the plugin", call)


def _judged(must: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ContractCallError as error:
        rule = f"{error.parameter} must be {error.expected}"
        got = f"{error.value!r:.80} ({type(error.value).__name__})"
        name = error.parameter.removeprefix("parameter ").strip("'")
        problem = Problem(422, rule, got, f"keep what {error.member} promises")
        problem.members = {"parameter": name, "promise": error.expected, "member": error.member}
        raise problem from None
    except (TypeError, ValueError, LookupError, ArithmeticError, OSError) as error:
        raise Problem(422, must, f"{type(error).__name__}: {error}"[:300], SEE) from None


def _answer(document: dict[str, Any]) -> Response:
    return Response(encode(document), media_type="application/json")
