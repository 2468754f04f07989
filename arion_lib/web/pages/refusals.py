"""The framework's own refusals, as problem documents: a wrong parameter, no such page, another method.

Idea        Whatever a route or the framework raises goes through one door, and comes out as a `Problem`.
Invariant   A page's answer of 400 or more is a problem document; its `Allow` names every method of the path.
When wrong  Of several wrong parameters the sentence names the first, the member `errors` all.
See         arion_lib/web/problems.py · tests/web/test_problems.py · tests/web/test_pages.py
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from arion_lib.pipeline.broker import BrokerError
from arion_lib.pipeline.store import StoreError
from arion_lib.web.problems import MEDIA_TYPE, Problem, as_problem

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response  # imported where they are needed: the command line needs none

SEE = "see /docs for the pages and their parameters"

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "Refused: a problem document (RFC 9457) that says what must be, what was got and what to do.",
        "content": {
            MEDIA_TYPE.decode(): {
                "schema": {
                    "type": "object",
                    "properties": {
                        **{name: {"type": "string"} for name in ("type", "title", "detail", "must", "got", "do")},
                        "status": {"type": "integer"},
                    },
                }
            }
        },
    }
}
"""What the docs say of every route's refusals."""


def answer_problems(api: FastAPI) -> None:
    """Have `api` answer its refusals with problem documents."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    for kind in (Problem, StoreError, BrokerError, Exception):
        api.add_exception_handler(kind, _problem)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(RequestValidationError, _parameters)


def parameter_problem(must: str, got: str) -> Problem:
    """Make the refusal of a page's parameter."""
    return Problem(422, must, got, SEE)


def _respond(problem: Problem) -> Response:
    from fastapi import Response

    return Response(problem.body(), problem.status, problem.headers, media_type=MEDIA_TYPE.decode())


def _problem(request: Request, error: Exception) -> Response:  # noqa: ARG001  the framework's signature
    return _respond(as_problem(error))


def _http(request: Request, error: Any) -> Response:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == 405:
        allowed = ", ".join(_methods(request)) or "another"
        headers, must = {**headers, "allow": allowed}, f"the method must be {allowed}"
        return _respond(Problem(405, must, request.method, SEE, headers=headers))
    if error.status_code == 404 and error.detail == "Not Found":
        return _respond(Problem(404, "the path must be a page's", repr(request.url.path[:100]), SEE))
    return _respond(Problem.of(error.status_code, "the request must fit", Exception(error.detail), SEE))


def _methods(request: Request) -> list[str]:
    """Return all methods that the path has, not only those of the first route that has it."""
    from starlette.routing import Match

    asked = {name: request.scope[name] for name in ("type", "path", "root_path", "headers")}
    found = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches({**asked, "method": method})[0] == Match.FULL for route in request.app.routes)
    ]
    return sorted([*found, "HEAD"] if "GET" in found else found)


def _parameters(request: Request, error: Any) -> Response:  # noqa: ARG001
    errors = [_wrong(one) for one in error.errors()[:20]]  # more would be longer than what was sent
    problem = parameter_problem(**errors[0])
    problem.members = {"errors": errors}
    return _respond(problem)


def _wrong(error: dict[str, Any]) -> dict[str, str]:
    """Say one of pydantic's errors as rule and value.

    >>> _wrong({"type": "missing", "loc": ("query", "stream"), "msg": "Field required", "input": None})
    {'must': 'stream must be given', 'got': 'nothing'}
    >>> _wrong({"type": "", "loc": ("query", "limit"), "msg": "Input should be at most 9", "input": "10"})
    {'must': 'limit must be at most 9', 'got': "'10'"}
    >>> _wrong({"type": "", "loc": ("body", "tags", 1), "msg": "String should have at most 2 letters", "input": "abc"})
    {'must': 'tags.1 must have at most 2 letters', 'got': "'abc'"}
    """
    # The first place says where in the request (query, body) it is: told only where there is no other.
    name = ".".join(str(place) for place in error["loc"][1:]) or str(error["loc"][0])
    if error["type"] == "missing":
        return {"must": f"{name} must be given", "got": "nothing"}
    if error["type"] == "extra_forbidden":
        return {"must": f"{name} must be left out", "got": f"{error['input']!r:.80}"}
    if error["type"] == "json_invalid":
        return {"must": "body must be JSON", "got": f"{error['ctx']['error']} at byte {error['loc'][-1]}"}
    rule = re.sub(r"^\w+ should ", "", error["msg"]).partition(", unable to parse")[0]
    return {"must": f"{name} must {rule}", "got": f"{error['input']!r:.80}"}
