"""What holds for each stream: what is kept of it, who may send, how a delivery is recognised.

Idea        A sender may ask for a recipe in its query; where the service's owner has decided, that holds instead.
Invariant   The rules of a stream are the same from the start to the end of the service.
When wrong  A stream that is not taken is a `Problem` 404, a query where none may be a 400.
See         arion_lib/web/config.py (the file that says it) · tests/web/test_config.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from arion_lib.pipeline.recipe import Recipe
from arion_lib.web.problems import Problem
from arion_lib.web.signatures import HmacVerifier, Verifier


@dataclass(frozen=True)
class Rules:
    """What holds for a stream. `recipe` None: the sender's query says; `verifier` None: posts need no signature."""

    recipe: Recipe | None = None
    verifier: Verifier | HmacVerifier | None = None
    delivery_header: bytes = b"webhook-id"


@dataclass(frozen=True, eq=False)
class Streams:
    """The rules of each stream by its name; `others` are those of a stream that is not named."""

    named: Mapping[str, Rules] = field(default_factory=dict)
    others: Rules | None = Rules()
    queries: bool = True

    def of(self, stream: str) -> Rules:
        """Return the rules. Raises `Problem` 404 for a stream that is not taken."""
        rules = self.named.get(stream, self.others)
        if rules is None:
            raise Problem(404, "the stream must be one that this service takes", repr(stream[:80]), "ask its owner")
        return rules

    def check_query(self, rules: Rules, query: bytes) -> None:
        """Refuse a query where the owner has decided. Raises `Problem` 400."""
        if query and (rules.recipe is not None or not self.queries):
            raise Problem(400, "the query must be empty for this stream", repr(query[:80].decode("latin-1")), "drop it")
