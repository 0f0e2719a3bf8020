"""Requests of one user take turns; those of others go on."""

import asyncio

import pytest

from api.turns import Turns

LONG = 30.0


async def test_requests_of_a_user_come_one_by_one_in_the_order_they_came() -> None:
    turns, log = Turns(), []

    async def request(number: int) -> None:
        async with turns.of("alice", LONG):
            log.append(f"{number} in")
            await asyncio.sleep(0)
            log.append(f"{number} out")

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(request(number))

    assert log == ["0 in", "0 out", "1 in", "1 out", "2 in", "2 out"]


async def test_another_user_does_not_wait() -> None:
    turns = Turns()

    async with turns.of("alice", LONG), turns.of("bob", LONG):
        pass


async def test_whose_turn_does_not_come_is_told_so_and_holds_up_nobody() -> None:
    turns = Turns()
    async with turns.of("alice", LONG):
        with pytest.raises(TimeoutError):
            async with turns.of("alice", 0.01):
                pass

    async with turns.of("alice", LONG):
        pass


async def test_a_turn_that_failed_is_over() -> None:
    turns = Turns()
    with pytest.raises(RuntimeError):
        async with turns.of("alice", LONG):
            raise RuntimeError

    async with turns.of("alice", LONG):
        pass
