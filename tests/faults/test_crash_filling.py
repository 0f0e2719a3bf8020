"""A process dies, fails or freezes at each step of booking what the exchange executed."""

from collections.abc import Callable

import pytest

from tests.faults.crash_cases import Case, Crashable
from tests.faults.crash_filling import FILLING
from tests.faults.crash_points import ACTIONS, Action, Point


@pytest.mark.crash_matrix
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("point", FILLING, ids=lambda one: one.name)
async def test_an_execution_is_booked_once_whatever_happens_at(
    point: Point,
    action: Action,
    case: Callable[[Point, Action], Case],
    crashable: Crashable,
) -> None:
    await crashable.run(case(point, action))
