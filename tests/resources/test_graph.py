"""The order of opening."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.resources.graph import GraphError, order

graphs = st.integers(0, 8).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            f"r{i}": st.lists(st.sampled_from([f"r{j}" for j in range(i)]), unique=True, max_size=4)
            if i
            else st.just([])
            for i in range(n)
        }
    )
)


@given(graphs, st.randoms(use_true_random=False))
def test_each_name_comes_once_and_after_everything_it_needs(graph: dict[str, list[str]], shuffle: object) -> None:
    names = list(graph)
    shuffle.shuffle(names)  # type: ignore[attr-defined]
    placed = order({name: graph[name] for name in names})
    assert sorted(placed) == sorted(graph)
    assert all(placed.index(need) < placed.index(name) for name in graph for need in graph[name])


@given(st.permutations("abcde"))
def test_names_without_needs_keep_the_order_of_the_definition(names: list[str]) -> None:
    assert list(order({name: [] for name in names})) == names


@given(st.integers(1, 6), st.integers(0, 5))
def test_a_cycle_is_spelled_out_from_its_first_name(length: int, tail: int) -> None:
    ring = {f"n{i}": [f"n{(i + 1) % length}"] for i in range(length)}
    outside = {f"t{i}": ["n0"] for i in range(tail)}
    spelled = " -> ".join([f"n{i}" for i in range(length)] + ["n0"])
    with pytest.raises(GraphError, match=f"got the cycle {spelled}$"):
        order({**outside, **ring})


def test_a_missing_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(GraphError, match="'api' needs 'databse', which is not defined; did you mean 'database'"):
        order({"api": ["databse"], "database": []})


def test_ten_thousand_in_a_chain_need_no_recursion() -> None:
    chain = {f"r{i}": [f"r{i + 1}"] for i in range(9_999)} | {"r9999": []}
    assert order(chain)[0] == "r9999"
