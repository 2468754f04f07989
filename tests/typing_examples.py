"""What a type checker infers for the lines that learners write: mypy reads this file, nothing runs it.

Add a function per part: `assert_type` pins what a learner's editor will show, and a line that must be an error carries
`# type: ignore[code]`, which mypy --strict refuses once the error is gone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Literal, assert_type

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.contract import check as check_contract
from arion_lib.contracts.contract import registry as contract_registry
from arion_lib.contracts.plugins.transformers import Transformer
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import Violation
from arion_lib.lazy import LazyCollection, lazy
from arion_lib.pipeline.batch import Batch, DeadLetter
from arion_lib.resources import Resources, resource
from arion_lib.resources.connections.cache import Cache, Store
from arion_lib.resources.connections.database import AsyncConnection, Connection, Database


def a_lazy_collection_knows_what_it_holds(numbers: list[int]) -> None:
    assert_type(lazy(numbers), LazyCollection[int])
    assert_type(lazy(numbers).map(str), LazyCollection[str])
    assert_type(lazy(numbers).map(str).filter(str.isdigit).batch(2), LazyCollection[list[str]])
    assert_type(lazy(numbers)[0], int)
    assert_type(lazy(numbers)[1:3], LazyCollection[int])
    lazy(numbers).map(str.upper)  # type: ignore[arg-type]


def every_operation_keeps_the_type(numbers: LazyCollection[int], words: LazyCollection[str]) -> None:
    assert_type(lazy(lambda: iter(["a"])), LazyCollection[str])
    assert_type(LazyCollection([1]).map(lambda x: str(x)), LazyCollection[str])
    assert_type(numbers.map(str, threads=4), LazyCollection[str])
    assert_type(numbers.flat_map(lambda x: [str(x)]), LazyCollection[str])
    assert_type(numbers.reject(bool).take(2).skip(1).page(1, 5).cache().progress(), LazyCollection[int])
    assert_type(numbers.enumerate(), LazyCollection[tuple[int, int]])
    assert_type(numbers.zip(words), LazyCollection[tuple[int, str]])
    assert_type(numbers.zip(words, [1.5]), LazyCollection[tuple[int, str, float]])
    assert_type(numbers.window(2), LazyCollection[tuple[int, ...]])
    assert_type(numbers.scan(lambda total, x: total + x), LazyCollection[int])
    assert_type(numbers.scan(lambda text, x: text + str(x), ""), LazyCollection[str])
    assert_type(words.sort(len, reverse=True).distinct(len), LazyCollection[str])


async def length(word: str) -> int:
    return len(word)


async def lines() -> AsyncIterator[str]:
    yield "a"


def coroutines_give_the_type_of_their_results(words: LazyCollection[str]) -> None:
    assert_type(words.map(length, concurrency=4), LazyCollection[int])
    assert_type(words.map(len, processes=2, ordered=False), LazyCollection[int])
    assert_type(words.filter(length, concurrency=4), LazyCollection[str])
    assert_type(words.zip([1], strict=True), LazyCollection[tuple[str, int]])
    assert_type(words.concat([1]), LazyCollection[str | int])
    assert_type(words.chunk_by(len).flatten().map(len).catch(ValueError), LazyCollection[int])
    assert_type(lazy(lines), LazyCollection[str])
    assert_type(lazy(lines()), LazyCollection[str])


def every_result_has_the_type_of_its_elements(numbers: LazyCollection[int], words: LazyCollection[str]) -> None:
    assert_type(words.to_list(), list[str])
    assert_type(words.to_dict(len), dict[int, str])
    assert_type(numbers.zip(words).to_dict(), dict[int, str])
    assert_type(numbers.sum(), int)
    assert_type(numbers.reduce(lambda a, b: a + b), int)
    assert_type(words.reduce(lambda n, word: n + len(word), 0), int)
    assert_type(words.fold_by(len, lambda n, _: n + 1, 0), dict[int, int])
    assert_type(words.first(), str)
    assert_type(words.first(None), str | None)
    assert_type(words.find(str.isdigit), str | None)
    assert_type(words.min(len), str)
    assert_type(words.max(default=0), str | int)
    assert_type(words.group_by(len), dict[int, list[str]])
    assert_type(words.count_by(len), Counter[int])
    assert_type(words.top(3), list[str])
    assert_type(words.pages(10), Iterator[list[str]])
    assert_type(words[3], str)
    lazy([1j]).sort()  # type: ignore[call-arg]
    words.skip("1")  # type: ignore[arg-type]
    words.reduce(5)  # type: ignore[call-overload]


def a_collection_of_a_subtype_is_one_of_the_type(booleans: LazyCollection[bool]) -> LazyCollection[int]:
    return booleans


def a_batch_is_never_changed(batch: Batch) -> None:
    assert_type(batch.dead, Sequence[DeadLetter])
    batch.dead = []  # type: ignore[misc]


class Shop(Resources):
    db = resource(Database("sqlite:///:memory:"))
    cache = resource(Cache())
    later = resource(Database("sqlite:///:memory:").in_tasks)


def an_open_resource_has_the_type_that_it_opens_as() -> None:
    with Shop() as shop:
        assert_type(shop.db, Connection)
        assert_type(shop.cache, Store)
        assert_type(shop.later, AsyncConnection)
        assert_type(shop.db.execute("SELECT 1"), list[tuple[Any, ...]])
        shop.db.exeute("SELECT 1")  # type: ignore[attr-defined]
    resource(3)  # type: ignore[call-overload]


class Exporter(Contract, kind="exporters", registry=Registry()):
    suffix: str
    mode: Literal["text", "binary"] = "text"

    @abstractmethod
    def export(self, rows: list[int], limit: int = 10) -> str: ...


class Csv(Exporter, name="csv", version="1.0", tags=["text"], checks="all"):
    suffix = ".csv"

    def export(self, rows: list[int], limit: int = 10, sep: str = ",") -> str:
        return sep.join(map(str, rows[:limit]))


def a_class_that_keeps_a_contract_has_the_types_of_its_own(csv: Csv, any_exporter: Exporter) -> None:
    assert_type(csv.export([1], sep=";"), str)
    assert_type(any_exporter.export([1]), str)
    assert_type(check_contract(Csv), list[Violation])
    assert_type(contract_registry.get("exporters", "csv"), type)
    any_exporter.export([1], sep=";")  # type: ignore[call-arg]
    csv.mode = "neither"  # type: ignore[assignment]
    Exporter()  # type: ignore[abstract]


class Length(Transformer[str, int], name="length"):
    def transform(self, value: str) -> int:
        return len(value)


def a_generic_contract_gives_its_types_to_its_classes(length: Length, other: Transformer[bytes, float]) -> None:
    assert_type(length.transform("x"), int)
    assert_type(other.transform(b"x"), float)
