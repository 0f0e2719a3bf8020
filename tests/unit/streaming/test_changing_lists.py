"""Viewers that come, go and change their symbols while a pass is on its way."""

import asyncio
from collections.abc import Callable

import pytest

from streaming import flusher
from streaming.viewers import Message, Viewer, WatchList
from tests.support.eventually import eventually
from tests.support.screens import Room, Screen, room

pytestmark = pytest.mark.usefixtures("every_write_lets_the_loop_turn")


@pytest.fixture
def every_write_lets_the_loop_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher, "BATCH_SECONDS", 0.0)


def after_its_next_write(viewer: Viewer, screen: Screen, act: Callable[[], object]) -> None:
    """Call `act` when the loop turns after the next write to `viewer`, before the pass goes on."""

    async def send(message: Message) -> None:
        viewer.send = screen.send
        await screen.send(message)
        asyncio.get_running_loop().call_soon(act)

    viewer.send = send


def move(here: Room, viewer: Viewer, *symbols: str) -> None:
    """Do as the hub does when the symbols of a live stream are changed."""
    topics = [here.topics[symbol] for symbol in symbols]
    after = here.flusher.lists.setdefault(frozenset(topics), WatchList(topics))
    for topic in topics:
        topic.lists.add(after)
    viewer.owed = after.topics - viewer.watch_list.topics
    viewer.watch_list.viewers.discard(viewer)
    after.viewers.add(viewer)
    viewer.watch_list = after
    here.flusher.catch_up(viewer)


async def test_viewer_that_changes_its_symbols_during_a_pass_misses_none_of_its_new_ones() -> None:
    async with room("AAPL", "META") as here:
        viewers = [here.view("AAPL") for _ in range(3)]
        moved: list[tuple[Screen, int, int]] = []

        def move_another() -> None:
            if not moved:
                viewer, screen = next(one for one in viewers if one[0].stamp < old)
                move(here, viewer, "META")
                moved.append((screen, here.tick("META"), len(screen.events)))

        for viewer, screen in viewers:
            after_its_next_write(viewer, screen, move_another)
        here.tick("AAPL")
        old = here.flusher.stamp
        await eventually(lambda: bool(moved), "one has changed its symbols")
        screen, newest, told = moved[0]
        await eventually(lambda: screen.versions("META")[-1:] == [newest], "it is shown the newest")

        assert [ticks[0]["symbol"] for _, ticks in screen.events[told:]] == ["META"]


async def test_list_of_one_viewer_can_be_joined_and_left_while_that_is_written_to() -> None:
    async with room("AAPL") as here:
        viewer, screen = here.view("AAPL")
        joined: list[Screen] = []
        after_its_next_write(viewer, screen, lambda: joined.append(here.view("AAPL")[1]))
        here.tick("AAPL")
        await eventually(lambda: bool(joined), "another has joined")
        v = here.tick("AAPL")
        await eventually(lambda: v in joined[0].versions("AAPL"), "the other is told")

        assert v in screen.versions("AAPL")
