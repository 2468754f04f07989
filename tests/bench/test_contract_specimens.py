"""The broken classes that tools are compared on: each is broken, in one way; the whole one is not."""

from __future__ import annotations

import pytest

from arion_lib.bench._contract_specimens import MOMENTS, SPECIMENS, TOOLS, WHOLE, define, moment
from arion_lib.contracts.violations import ContractError


@pytest.mark.parametrize("tool", TOOLS)
def test_the_whole_class_passes_everywhere(tool: str) -> None:
    assert moment(tool, WHOLE) == "never"


@pytest.mark.parametrize("what", [what for what in SPECIMENS if "silently" not in what])
def test_a_contract_refuses_each_specimen_at_its_class_statement_and_no_other_tool_is_earlier(what: str) -> None:
    with pytest.raises(ContractError):
        define(SPECIMENS[what])
    moments = {tool: moment(tool, SPECIMENS[what]) for tool in TOOLS}
    assert moments["ours"] == "class"
    assert all(MOMENTS.index(other) > 0 for tool, other in moments.items() if tool != "ours")


def test_what_no_signature_shows_is_noticed_at_the_first_call() -> None:
    silent = SPECIMENS["returns nothing, silently"]
    assert (moment("ours", silent), moment("nothing", silent)) == ("call", "use")
