"""Health checks: each resource answers for itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arion_lib.resources import Resources, resource
from tests.resources.probes import MODES, Log, manager, run

pytestmark = pytest.mark.usefixtures("no_leaks")


def ill(value: Any) -> None:
    raise OSError("cannot reach redis://:s3cret@host")


@pytest.mark.parametrize("mode", MODES)
def test_each_resource_answers_for_itself(mode: str) -> None:
    log = Log()
    managed = manager(
        mode,
        well=resource(log.probe("well"), check=len),
        sick=resource(log.probe("sick"), check=ill),
        plain=log.probe("plain"),
        gone=resource(log.probe("gone", on_open=OSError("down")), optional=True),
    )
    answers = run(mode, managed, lambda r: r.check())
    assert {name: (a.ok, a.checked) for name, a in answers.items()} == {
        "well": (True, True),
        "sick": (False, True),
        "plain": (True, False),
        "gone": (False, True),
    }
    assert answers["sick"].error == "OSError: cannot reach redis://:***@host"
    assert answers["gone"].error == "absent: OSError: down"


def test_checks_may_be_awaited_and_a_synchronous_check_of_them_is_refused() -> None:
    async def ping(value: str) -> None:
        await asyncio.sleep(0)
        if value == "b":
            raise OSError("down")

    async def main() -> None:
        probes = {name: resource(probe, check=ping) for name, probe in Log().probes("a b").items()}
        async with Resources(**probes) as r:
            assert {name: health.ok for name, health in (await r.acheck()).items()} == {"a": True, "b": False}
            with pytest.raises(TypeError, match=r"await acheck\(\) instead"):
                r.check()

    asyncio.run(main())
