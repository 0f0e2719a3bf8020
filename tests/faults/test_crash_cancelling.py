"""A process dies, fails or freezes at each step of cancelling an order."""

from collections.abc import Callable

import pytest

from tests.faults.crash_cancelling import CANCELLING
from tests.faults.crash_cases import Case, Crashable
from tests.faults.crash_points import ACTIONS, Action, Point


@pytest.mark.crash_matrix
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("point", CANCELLING, ids=lambda one: one.name)
async def test_a_cancel_ends_in_the_truth_whatever_happens_at(
    point: Point,
    action: Action,
    case: Callable[[Point, Action], Case],
    crashable: Crashable,
) -> None:
    await crashable.run(case(point, action))
