"""Problem documents."""

from __future__ import annotations

import json

from arion_lib.web.problems import Problem


def test_a_problem_says_what_must_be_what_was_got_and_what_to_do() -> None:
    problem = Problem(429, "posts in flight must be <= 2", "3", "try again", headers={"retry-after": "1"}, accepted=4)
    document = json.loads(problem.body())
    assert document == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "posts in flight must be <= 2, got 3: try again",
        "must": "posts in flight must be <= 2",
        "got": "3",
        "do": "try again",
        "accepted": 4,
    }
    assert problem.headers == {"retry-after": "1"}
