"""Functions that may be run by name, and the arguments each takes: read once from its signature.

Idea        A signature is a description of JSON: names, types, bounds, what may be left out; pydantic checks it.
Invariant   A call that was accepted cannot fail for its arguments' names or types; nothing is converted silently.
When wrong  A function that no JSON object can call (`*args`, positional only) is refused when it is registered.
See         arion_lib/web/scheduling/pages.py · tests/web/test_scheduler_pages.py
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, NotRequired, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

_CALLABLE_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class UnknownFunctionError(KeyError):
    """A function that nobody registered."""


class ArgumentsError(ValueError):
    """Arguments that the function does not take; `errors` are pydantic's, one for each."""

    def __init__(self, function: str, errors: list[Any]) -> None:
        super().__init__(f"arguments must fit {function}'s signature, got {len(errors)} that do not")
        self.errors = errors


class RegisteredFunction:
    """One function, its name here, and the JSON object that it takes. Raises `TypeError` for one that takes none."""

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name, self.call = name, call
        self.about = (inspect.getdoc(call) or "").partition("\n")[0]
        self._arguments = TypeAdapter(_arguments(name, call))

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as the function wants them. Raises `ArgumentsError` with every one that does not fit.

        Strict: "5" is no int and 1 no bool; what JSON lacks (tuples, sets, dates) is read from what JSON has.
        """
        try:
            checked: dict[str, Any] = self._arguments.validate_json(json.dumps(arguments), strict=True)
        except ValidationError as error:
            raise ArgumentsError(self.name, list(error.errors(include_url=False))) from None
        return checked

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return self._arguments.json_schema()


def _arguments(name: str, call: Callable[..., Any]) -> Any:
    """Make the type of the JSON object whose members are the function's parameters."""
    hints, fields = get_type_hints(call, include_extras=True), {}
    for parameter in inspect.signature(call).parameters.values():
        if parameter.kind not in _CALLABLE_BY_NAME:
            raise TypeError(f"parameters of {name!r} must be given by name, got {parameter}: wrap it in a function")
        kind = hints.get(parameter.name, Any)
        fields[parameter.name] = kind if parameter.default is inspect.Parameter.empty else NotRequired[kind]
    make: Any = TypedDict
    made = make(f"{name}_arguments", fields)
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    return made


class RegisteredFunctions:
    """The functions that may be run, by name."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.all = {name: RegisteredFunction(name, call) for name, call in functions.items()}

    def find(self, name: str) -> RegisteredFunction:
        """The function of that name. Raises `UnknownFunctionError`."""
        try:
            return self.all[name]
        except KeyError:
            known = ", ".join(self.all) or "none"
            raise UnknownFunctionError(f"function must be one of {known}, got {name[:80]!r}") from None
