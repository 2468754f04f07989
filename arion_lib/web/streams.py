"""What holds for each stream: what is kept of it, who may send, how a delivery is recognised.

Idea        A sender may ask for a recipe in its query; where the service's owner has decided, that holds instead.
Invariant   The rules of a stream are the same from the start to the end of the service. A secret is good for one
            stream: no signature covers the address, so a captured request could be sent to every stream that has the
            same secret, and would count in each. Where a signature covers an id, that is the delivery's.
When wrong  A secret that two streams share is a `ValueError` when the rules are made. A stream that is not taken is a
            `Problem` 404, a query where none may be a 400.
See         arion_lib/web/startup/config.py (the file that says it) · tests/web/test_config.py
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from arion_lib.pipeline.decoder import BAD_RECORD, parser
from arion_lib.pipeline.projection import getter, projection
from arion_lib.pipeline.shapes.meta import describe
from arion_lib.pipeline.shapes.recipe import Recipe
from arion_lib.pipeline.shapes.rows import event_id
from arion_lib.web.problems import Problem
from arion_lib.web.signatures import GOOD_FOR, HmacVerifier, Verifier


class IdIn:
    """Where a body holds its delivery's id: in this (dotted) field, which is text or an integer.

    >>> IdIn("event.id")(b'{"event": {"id": "evt_1", "type": "paid"}}')
    'evt_1'
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"it must be a field's name, got {name!r:.60}")
        self._name, self._get = name, getter(name)
        self._parse = parser(projection(keys=[name]))

    def __call__(self, body: bytes) -> str:
        """Return the id. Raises `Problem` 422."""
        try:
            return event_id(self._get(self._parse(body)))
        except (ValueError, *BAD_RECORD) as error:
            must = f"the body must be one JSON object with {self._name}, its delivery's id"
            raise Problem(422, must, str(error)[:200], "send one delivery a post") from None


@dataclass(frozen=True)
class Rules:
    """What holds for a stream. `recipe` None: the sender's query says; `verifier` None: posts need no signature.

    A delivery's id stands in `delivery_header`, or where `id_in` says. `keep_headers` are those that are kept beside
    each row, with the time it came and its delivery's id; None: nothing is. `keep` is the age in seconds at which rows
    and dead letters are forgotten; `math.inf`: never; None: as those of other streams.
    """

    recipe: Recipe | None = None
    verifier: Verifier | HmacVerifier | None = None
    delivery_header: bytes = b"webhook-id"
    id_in: IdIn | None = None
    keep_headers: tuple[str, ...] | None = None
    keep: float | None = None

    def __post_init__(self) -> None:
        """Look whether the delivery's id is what the signature covers. Raises `ValueError`."""
        if isinstance(self.verifier, Verifier) and self.id_in is None:
            covered, header = self.verifier.id_header.decode(), self.delivery_header.decode()
            if header != covered:
                raise ValueError(
                    f"delivery_header must be {covered}, which is signed, got {header}: a captured post could be sent "
                    "again under other ids, and would count each time"
                )

    def beside(self, delivery: str | None, headers: Mapping[bytes, bytes]) -> str | None:
        """Return what is kept beside each row of a post that comes now, where anything is."""
        if self.keep_headers is None:
            return None
        there = {name: headers.get(name.encode()) for name in self.keep_headers}
        kept = {name: value.decode("latin-1") for name, value in there.items() if value is not None}
        return describe(time.time(), delivery, kept)


@dataclass(frozen=True, eq=False)
class Streams:
    """The rules of each stream by its name; `others` are those of a stream that is not named (None: it is refused).

    Raises `ValueError` where one secret would be good for several streams.
    """

    named: Mapping[str, Rules] = field(default_factory=dict)
    others: Rules | None = Rules()
    queries: bool = True

    def __post_init__(self) -> None:
        """Look at the secrets."""
        for sentence in shared_secrets(self.named, self.others):
            raise ValueError(sentence)

    def of(self, stream: str) -> Rules:
        """Return the rules. Raises `Problem` 404 for a stream that is not taken."""
        rules = self.named.get(stream, self.others)
        if rules is None:
            raise Problem(404, "the stream must be one that this service takes", repr(stream[:80]), "ask its owner")
        return rules

    @property
    def good_for(self) -> float:
        """Seconds for which a captured post could be sent again, where signatures hold a time; 0.0 where none does."""
        return GOOD_FOR if any(isinstance(rules.verifier, Verifier) for rules in self.named.values()) else 0.0

    @property
    def ages(self) -> dict[str, float]:
        """Return the streams that keep rows and dead letters for a time of their own, in seconds."""
        return {name: rules.keep for name, rules in self.named.items() if rules.keep is not None}

    def check_query(self, rules: Rules, query: bytes) -> None:
        """Refuse a query where the owner has decided. Raises `Problem` 400."""
        if query and (rules.recipe is not None or not self.queries):
            raise Problem(400, "the query must be empty for this stream", repr(query[:80].decode("latin-1")), "drop it")


def shared_secrets(named: Mapping[str, Rules], others: Rules | None) -> Iterator[str]:
    """Yield a sentence for each secret that would be good for more than one stream.

    >>> one = Rules(verifier=Verifier(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]))
    >>> print(*shared_secrets({"a": one, "b": one}, None))
    [streams.b] must have a secret of its own, got one of [streams.a]: what is signed for one would count in both
    """
    if others and others.verifier:
        yield (
            "a secret must belong to one stream, got one for all: what is signed for one would count in each; name the "
            "stream, or give each its own"
        )
    owners: dict[bytes, str] = {}
    for name, rules in named.items():
        for key in sorted(rules.verifier.keys) if rules.verifier else ():
            if (owner := owners.setdefault(key, name)) != name:
                yield (
                    f"[streams.{name}] must have a secret of its own, got one of [streams.{owner}]: what is signed for "
                    "one would count in both"
                )
