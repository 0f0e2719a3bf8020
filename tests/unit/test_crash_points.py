"""The catalogue of crash points: its page, its calls, and how a fault is armed and fired."""

import importlib
from operator import attrgetter
from pathlib import Path

import pytest

from tests.faults.crash_arming import Arsenal
from tests.faults.crash_catalogue import BY_NAME, POINTS
from tests.faults.crash_points import HANG_SECONDS, Point
from tests.faults.crash_process import Striker, wrap
from tests.faults.crash_stories import STORIES
from tests.faults.test_crash_sample import SAMPLE


def test_every_point_has_a_name_of_its_own_and_a_story() -> None:
    assert len(BY_NAME) == len(POINTS)
    assert {point.story for point in POINTS} == set(STORIES)
    assert {point.process for point in POINTS} == set(HANG_SECONDS)
    assert {name for name, _ in SAMPLE} <= set(BY_NAME)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_the_call_of_a_point_exists(point: Point) -> None:
    module, _, name = point.seam.call.partition(":")

    assert callable(attrgetter(name)(importlib.import_module(module)))


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_the_call_of_a_point_is_looked_up_by_its_name(point: Point) -> None:
    """What a router was given when it was defined, no wrapping reaches any more."""
    module, _, name = point.seam.call.partition(":")
    router = getattr(importlib.import_module(module), "router", None)

    assert name not in {route.name for route in getattr(router, "routes", [])}


async def test_a_fault_strikes_the_call_that_names_its_order_and_only_once(tmp_path: Path) -> None:
    point = BY_NAME["claim-after"]
    arsenal = Arsenal(tmp_path)
    calls: list[str] = []

    async def claim(order_id: str) -> str:
        calls.append(order_id)
        return "claimed"

    struck = wrap(claim, Striker(arsenal, [point]))
    fault = arsenal.arm(point, "error", "order-1")

    assert await struck("order-2") == "claimed"
    assert fault.fired() is None
    with pytest.raises(type(point.error())):
        await struck("order-1")
    assert fault.fired() is not None
    assert await struck("order-1") == "claimed"
    assert calls == ["order-2", "order-1", "order-1"]


async def test_a_fault_of_another_point_and_one_that_was_disarmed_strike_nothing(
    tmp_path: Path,
) -> None:
    arsenal = Arsenal(tmp_path)

    async def claim(order_id: str) -> str:
        return "claimed"

    struck = wrap(claim, Striker(arsenal, [BY_NAME["claim-after"]]))
    other = arsenal.arm(BY_NAME["claim-before"], "error", "order-1")
    disarmed = arsenal.arm(BY_NAME["claim-after"], "error", "order-1")
    disarmed.disarm()

    assert await struck("order-1") == "claimed"
    assert (other.fired(), disarmed.fired()) == (None, None)
