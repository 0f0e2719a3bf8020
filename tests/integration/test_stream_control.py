import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial

import pytest

from brokerage.bus import stream_control
from brokerage.bus.connection import Bus, BusUnavailable, NobodyListens, Respond, open_bus
from brokerage.bus.stream_control import (
    GOOD_SECONDS,
    PER_STREAM_MAX,
    StreamControl,
    open_stream_control,
)
from brokerage.contracts.subjects import streams_subject
from brokerage.runtime.tasks import TaskSet
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer


class Streams:
    """Streams by id: whose they are, and what was made of them, in order."""

    def __init__(self, **owners: str) -> None:
        self._owners = owners
        self.made: list[tuple[str, tuple[str, ...]]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.is_away = False
        self.begun = 0

    async def change(self, stream_id: str, user_id: str, symbols: Sequence[str]) -> bool:
        self.begun += 1
        await self.may_go_on.wait()
        if self.is_away:
            raise BusUnavailable("no snapshot")
        if self._owners.get(stream_id.partition(".")[2]) != user_id:
            return False
        self.made.append((stream_id, tuple(symbols)))
        return True


class Nodes:
    """Nodes on one NATS, each with a connection of its own, named by their place."""

    def __init__(self, url: str, nodes: AsyncExitStack) -> None:
        self._url = url
        self._nodes = nodes

    async def add(
        self, node_id: str, streams: Streams, now_ms: Callable[[], int] = lambda: 0
    ) -> StreamControl:
        bus = await self.bus(node_id)
        control = await self._nodes.enter_async_context(
            open_stream_control(bus, node_id, streams, now_ms)
        )
        await bus.flush()
        return control

    async def bus(self, name: str) -> Bus:
        return await self._nodes.enter_async_context(open_bus(self._url, name))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is late is waited for: a slow machine makes no change unavailable."""
    monkeypatch.setattr(stream_control, "CHANGE_SECONDS", 60.0)
    monkeypatch.setattr(stream_control, "ANSWER_SECONDS", 90.0)


@pytest.fixture
async def nodes(nats: NatsServer) -> AsyncIterator[Nodes]:
    async with AsyncExitStack() as stack:
        yield Nodes(nats.url, stack)


@pytest.fixture
def streams() -> Streams:
    return Streams(one="alice", other="bob")


@pytest.mark.usefixtures("patience")
async def test_stream_is_changed_through_its_own_node_and_through_another(
    nodes: Nodes, streams: Streams
) -> None:
    holder = await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())

    assert await holder.change("a1.one", "alice", ["AAPL"])
    assert await another.change("a1.one", "alice", ["META", "BRK.B"])

    assert streams.made == [("a1.one", ("AAPL",)), ("a1.one", ("META", "BRK.B"))]


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    "stream_id",
    [
        "a1.other",  # bob's
        "a1.ended",
        "c3.one",  # no such node
        "b2.one",
        "",
        "a1",
        "a1.",
        ".one",
        "a1.one.two",
        "*.one",
        ">.one",
        "A1.one",
        "a1.o ne",
        "a1.one\n",
        "a" * 33 + ".one",
        "a1." + "o" * 65,
    ],
)
async def test_stream_that_is_not_the_users_is_not_found_whatever_its_id(
    nodes: Nodes, streams: Streams, stream_id: str
) -> None:
    holder = await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())

    assert not await holder.change(stream_id, "alice", ["AAPL"])
    assert not await another.change(stream_id, "alice", ["AAPL"])

    assert streams.made == []


@pytest.mark.usefixtures("patience")
async def test_node_that_has_ended_is_not_found(nats: NatsServer, nodes: Nodes) -> None:
    streams = Streams(one="alice")
    another = await nodes.add("b2", Streams())
    async with AsyncExitStack() as life:
        await Nodes(nats.url, life).add("a1", streams)
        assert await another.change("a1.one", "alice", ["AAPL"])

    assert not await another.change("a1.one", "alice", ["META"])


@pytest.mark.usefixtures("patience")
async def test_changes_of_one_stream_are_made_one_after_the_other_as_they_came(
    nodes: Nodes, streams: Streams
) -> None:
    holder = await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())
    streams.may_go_on.clear()

    async with asyncio.TaskGroup() as tasks:
        for number in range(PER_STREAM_MAX):
            via = (holder, another)[number % 2]
            tasks.create_task(via.change("a1.one", "alice", [f"S{number}"]))
            await eventually(partial(_have_arrived, holder, number + 1), "it has arrived")
        begun = streams.begun
        streams.may_go_on.set()

    assert begun == 1
    assert [symbols for _, symbols in streams.made] == [
        (f"S{number}",) for number in range(PER_STREAM_MAX)
    ]
    assert _asked(holder) == 0


def _asked(control: StreamControl) -> int:
    return sum(turn.count for turn in control._turns.values())


def _have_arrived(control: StreamControl, count: int) -> bool:
    return _asked(control) == count


@pytest.mark.usefixtures("patience")
async def test_change_that_waits_holds_up_no_other_stream_and_no_other_user(
    nodes: Nodes, streams: Streams
) -> None:
    holder = await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())
    streams.may_go_on.clear()

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(another.change("a1.one", "alice", ["AAPL"]))
        await eventually(lambda: streams.begun == 1, "the first has begun")
        others = [
            tasks.create_task(another.change("a1.other", "bob", ["AAPL"])),
            tasks.create_task(holder.change("a1.one", "mallory", ["AAPL"])),
        ]
        await eventually(lambda: streams.begun == 3, "the others have begun")
        assert not first.done()
        streams.may_go_on.set()

    assert [task.result() for task in (first, *others)] == [True, True, False]


@pytest.mark.usefixtures("patience")
async def test_more_changes_of_a_stream_than_may_wait_are_refused_at_once(
    nodes: Nodes, streams: Streams
) -> None:
    holder = await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())
    streams.may_go_on.clear()

    async with asyncio.TaskGroup() as tasks:
        waiting = [
            tasks.create_task(another.change("a1.one", "alice", [f"S{number}"]))
            for number in range(PER_STREAM_MAX)
        ]
        await eventually(lambda: _asked(holder) == PER_STREAM_MAX, "so many wait")
        for control in (holder, another):
            with pytest.raises(BusUnavailable):
                await control.change("a1.one", "alice", ["ONE TOO MANY"])
        streams.may_go_on.set()

    assert all(task.result() for task in waiting)
    assert len(streams.made) == PER_STREAM_MAX


@pytest.mark.usefixtures("patience")
async def test_holder_that_cannot_change_it_now_says_so(nodes: Nodes, streams: Streams) -> None:
    holder = await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())
    streams.is_away = True

    for control in (holder, another):
        with pytest.raises(BusUnavailable):
            await control.change("a1.one", "alice", ["AAPL"])

    streams.is_away = False
    assert await another.change("a1.one", "alice", ["AAPL"])


async def test_change_that_takes_too_long_is_given_up_and_is_not_made_afterwards(
    nodes: Nodes, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Until the holder has said that it gave up: what it was only late to hear of is still good.
    monkeypatch.setattr(stream_control, "ANSWER_SECONDS", 90.0)
    holder = await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())
    streams.may_go_on.clear()

    async def is_given_up(control: StreamControl) -> None:
        with pytest.raises(BusUnavailable):
            await control.change("a1.one", "alice", ["OLD"])

    async with asyncio.TaskGroup() as tasks:
        for control in (holder, another):
            tasks.create_task(is_given_up(control))
    streams.may_go_on.set()
    monkeypatch.setattr(stream_control, "CHANGE_SECONDS", 60.0)

    assert streams.begun
    assert await another.change("a1.one", "alice", ["NEW"])
    assert streams.made == [("a1.one", ("NEW",))]


@pytest.mark.usefixtures("patience")
async def test_change_that_arrives_too_late_is_void(nodes: Nodes, streams: Streams) -> None:
    await nodes.add("a1", streams, lambda: int(GOOD_SECONDS * 1000) + 1)
    another = await nodes.add("b2", Streams(), lambda: 0)
    abreast = await nodes.add("c3", Streams(), lambda: 1)

    with pytest.raises(BusUnavailable):
        await another.change("a1.one", "alice", ["OLD"])
    assert await abreast.change("a1.one", "alice", ["NEW"])

    assert streams.made == [("a1.one", ("NEW",))]


@pytest.mark.usefixtures("patience")
async def test_holder_that_answers_nonsense_is_unavailable_and_so_is_one_asked_nonsense(
    nodes: Nodes, streams: Streams
) -> None:
    await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())
    bus = await nodes.bus("strange")

    async with TaskSet() as answers:

        def answer(payload: bytes, respond: Respond) -> None:
            answers.spawn(_say(respond, b"what?"), "answer")

        await bus.serve(streams_subject("d4"), "", answer)
        await bus.flush()
        with pytest.raises(BusUnavailable):
            await another.change("d4.one", "alice", ["AAPL"])
    with pytest.raises(BusUnavailable):
        await bus.request(streams_subject("a1"), b"what?", 0.2)

    assert await another.change("a1.one", "alice", ["AAPL"])


async def _say(respond: Respond, words: bytes) -> None:
    await respond(words)


async def test_without_nats_a_node_still_changes_its_own_streams_and_calls_no_other_gone(
    nats: NatsServer, nodes: Nodes, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the holder can take to come back.
    monkeypatch.setattr(stream_control, "SETTLE_SECONDS", 60.0)
    holder = await nodes.add("a1", streams)
    another = await nodes.add("b2", Streams())
    await nats.kill()

    assert await holder.change("a1.one", "alice", ["AAPL"])
    with pytest.raises(BusUnavailable):
        await another.change("a1.one", "alice", ["META"])

    await nats.start()

    found: list[bool] = []

    async def is_answered() -> bool:
        with suppress(BusUnavailable):
            found.append(await another.change("a1.one", "alice", ["META"]))
        return bool(found)

    await eventually(is_answered, "the holder is reached again")
    assert found == [True]
    assert streams.made[-1] == ("a1.one", ("META",))


async def test_node_not_heard_of_right_after_nats_was_away_is_not_yet_called_gone(
    nats: NatsServer, nodes: Nodes
) -> None:
    control = await nodes.add("b2", Streams())
    assert not await control.change("gone.one", "alice", ["AAPL"])
    await nats.kill()
    await nats.start()
    # However slow the machine is: until it was seen that this is "right after".
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stream_control, "SETTLE_SECONDS", 60.0)

        async def nobody_listens() -> bool:
            try:
                await control.change("gone.one", "alice", ["AAPL"])
            except NobodyListens:
                return True
            except BusUnavailable:
                return False
            raise RuntimeError("it is called gone")

        await eventually(nobody_listens, "the link is back")

    async def is_called_gone() -> bool:
        with suppress(BusUnavailable):
            return not await control.change("gone.one", "alice", ["AAPL"])
        return False

    await eventually(is_called_gone, "it is called gone")
