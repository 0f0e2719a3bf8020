"""What is parked while all that is parked is looked through is known too."""

from collections.abc import Callable
from typing import cast

import pytest

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.executions import Delivery, Parking
from brokerage.contracts.subjects import route_subject
from streaming.executions import Executions
from streaming.parking import ParkedOrders, Release


class Aside:
    """A parking stream that is empty when it is read, and in which something then happens."""

    def __init__(self, meanwhile: Callable[[], None], listed: list[str]) -> None:
        self.meanwhile = meanwhile
        self.listed = listed

    async def external_order_ids(self) -> list[str]:
        if not self.listed:
            self.meanwhile()
        return [*self.listed]

    async def buried(self) -> int:
        return 0

    async def of(self, external_order_id: str, deliveries_max: int) -> list[Delivery]:
        self.meanwhile()
        return []


class Idle:
    """Executions that work on no order."""

    def busy(self, external_order_id: str) -> bool:
        return False

    def notice(self, external_order_id: str) -> bool:
        return False


def release_of(aside: Aside, parked: ParkedOrders) -> Release:
    return Release(cast(Parking, aside), cast(Executions, Idle()), parked)


async def test_an_order_parked_during_the_look_is_released_by_its_notice() -> None:
    parked = ParkedOrders()
    release = release_of(Aside(lambda: parked.add("X1", False), []), parked)

    await release.look()
    await release.noticed(route_subject("X1"), b"")

    assert parked.late == ["X1"]


async def test_an_order_parked_again_while_nothing_of_it_was_found_is_still_known() -> None:
    parked = ParkedOrders()
    parked.add("X1", False)
    release = release_of(Aside(lambda: parked.add("X1", False), ["X1"]), parked)

    await release.look()

    assert parked.ids == {"X1"}


async def test_an_order_of_which_nothing_is_parked_any_more_is_forgotten() -> None:
    parked = ParkedOrders()
    parked.add("X1", False)
    release = release_of(Aside(lambda: None, ["X1"]), parked)

    await release.look()
    await release.noticed(route_subject("X1"), b"")

    assert parked.ids == set()
    assert parked.late == []


async def test_an_order_that_could_not_be_read_stays_known() -> None:
    parked = ParkedOrders()
    parked.add("X1", False)

    def away() -> None:
        raise BusUnavailable("away")

    await release_of(Aside(away, ["X1"]), parked).look()

    assert parked.ids == {"X1"}


async def test_a_look_that_fails_ends_the_releasing_instead_of_only_itself() -> None:
    def broken() -> None:
        raise ValueError("nobody expected it")

    with pytest.raises(ExceptionGroup, match="unhandled") as failed:
        await release_of(Aside(broken, []), ParkedOrders()).run()

    assert isinstance(failed.value.exceptions[0], ValueError)
