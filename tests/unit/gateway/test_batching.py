"""Placements gather while a request is under way, and only then."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from brokerage.contracts.gateway import GatewayReply, PlaceRequest
from brokerage.gateway.batching import PlacementBatcher, SendAlone


def placement(order: str, send_by_ms: int = 2_000, shares: int = 1) -> PlaceRequest:
    return PlaceRequest(order, "account", "META", "buy", 52_210, shares, "day", send_by_ms)


class Exchange:
    """Answers when told to, and remembers each request it got."""

    def __init__(self, *, held: bool = False) -> None:
        self.requests: list[list[str]] = []
        self.began = asyncio.Event()
        self.release = asyncio.Event()
        if not held:
            self.release.set()

    async def place(self, requests: Sequence[PlaceRequest]) -> list[GatewayReply]:
        self.requests.append([request.client_order_id for request in requests])
        self.began.set()
        await self.release.wait()
        return [GatewayReply("accepted", code=request.client_order_id) for request in requests]


@asynccontextmanager
async def running(batcher: PlacementBatcher) -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as tasks:
        sender = tasks.create_task(batcher.run())
        yield tasks
        sender.cancel()


async def turns(count: int = 20) -> None:
    """Let everything that can run without waiting for time run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_lone_order_is_sent_without_waiting_for_time() -> None:
    exchange = Exchange()
    batcher = PlacementBatcher(exchange.place, lambda: 1_000, gather_seconds=3_600)

    async with running(batcher) as tasks:
        reply = tasks.create_task(batcher.place(placement("a")))
        await turns()

        assert reply.done()
        assert reply.result().outcome == "accepted"


async def test_orders_that_arrive_during_a_request_leave_in_the_next_one_together() -> None:
    exchange = Exchange(held=True)
    batcher = PlacementBatcher(exchange.place, lambda: 1_000)

    async with running(batcher) as tasks:
        first = tasks.create_task(batcher.place(placement("a")))
        await exchange.began.wait()
        later = [tasks.create_task(batcher.place(placement(name))) for name in "bcd"]
        await turns()
        exchange.release.set()
        replies = [await reply for reply in [first, *later]]

    assert exchange.requests == [["a"], ["b", "c", "d"]]
    assert [reply.code for reply in replies] == ["a", "b", "c", "d"]


async def test_an_order_right_after_an_answer_waits_for_company_and_leaves_when_full() -> None:
    exchange = Exchange()
    batcher = PlacementBatcher(exchange.place, lambda: 1_000, gather_seconds=3_600)

    async with running(batcher) as tasks:
        await batcher.place(placement("first"))
        gathering = [tasks.create_task(batcher.place(placement(f"o{n}"))) for n in range(49)]
        await turns()
        assert len(exchange.requests) == 1
        gathering.append(tasks.create_task(batcher.place(placement("last"))))
        replies = [await reply for reply in gathering]

    assert [len(request) for request in exchange.requests] == [1, 50]
    assert {reply.outcome for reply in replies} == {"accepted"}


async def test_gathering_ends_by_itself() -> None:
    exchange = Exchange()
    batcher = PlacementBatcher(exchange.place, lambda: 1_000, gather_seconds=0.02)

    async with running(batcher):
        await batcher.place(placement("a"))
        async with asyncio.timeout(60):
            reply = await batcher.place(placement("b"))

    assert reply.outcome == "accepted"


async def test_a_request_never_carries_more_than_fifty_orders() -> None:
    exchange = Exchange()
    batcher = PlacementBatcher(exchange.place, lambda: 1_000)

    async with running(batcher) as tasks:
        replies = [tasks.create_task(batcher.place(placement(f"o{n}"))) for n in range(500)]
        for reply in replies:
            await reply

    assert sum(len(request) for request in exchange.requests) == 500
    assert max(len(request) for request in exchange.requests) == 50
    assert len(exchange.requests) <= 20


async def test_an_order_that_is_under_way_is_joined_and_sent_once() -> None:
    exchange = Exchange(held=True)
    batcher = PlacementBatcher(exchange.place, lambda: 1_000)

    async with running(batcher) as tasks:
        first = tasks.create_task(batcher.place(placement("a")))
        await exchange.began.wait()
        second = tasks.create_task(batcher.place(placement("a")))
        await turns()
        exchange.release.set()

        assert await first == await second
    assert exchange.requests == [["a"]]


async def test_the_same_id_with_other_terms_is_declined_while_under_way() -> None:
    exchange = Exchange(held=True)
    batcher = PlacementBatcher(exchange.place, lambda: 1_000)

    async with running(batcher) as tasks:
        first = tasks.create_task(batcher.place(placement("a")))
        await exchange.began.wait()
        other = await batcher.place(placement("a", shares=2))
        exchange.release.set()
        await first

    assert other == GatewayReply("declined", code="terms-differ")


async def test_a_caller_that_goes_away_leaves_the_answer_to_the_others() -> None:
    exchange = Exchange(held=True)
    batcher = PlacementBatcher(exchange.place, lambda: 1_000)

    async with running(batcher) as tasks:
        first = tasks.create_task(batcher.place(placement("a")))
        await exchange.began.wait()
        second = tasks.create_task(batcher.place(placement("a")))
        await turns()
        first.cancel()
        exchange.release.set()

        assert (await second).outcome == "accepted"


async def test_an_answered_order_can_be_sent_again() -> None:
    exchange = Exchange()
    batcher = PlacementBatcher(exchange.place, lambda: 1_000)

    async with running(batcher):
        await batcher.place(placement("a"))
        await batcher.place(placement("a"))

    assert exchange.requests == [["a"], ["a"]]


async def test_lateness_is_judged_when_sent_not_when_taken() -> None:
    exchange = Exchange(held=True)
    clock = [1_000]
    batcher = PlacementBatcher(exchange.place, lambda: clock[0])

    async with running(batcher) as tasks:
        first = tasks.create_task(batcher.place(placement("a")))
        await exchange.began.wait()
        late = tasks.create_task(batcher.place(placement("b", send_by_ms=1_500)))
        in_time = tasks.create_task(batcher.place(placement("c", send_by_ms=1_600)))
        await turns()
        clock[0] = 1_501
        exchange.release.set()
        await first

        assert await late == GatewayReply("declined", code="past-send-by")
        assert (await in_time).outcome == "accepted"
    assert exchange.requests == [["a"], ["c"]]


async def test_beyond_the_bound_of_the_queue_orders_are_declined() -> None:
    exchange = Exchange(held=True)
    batcher = PlacementBatcher(exchange.place, lambda: 1_000, queue_max=2)

    async with running(batcher) as tasks:
        first = tasks.create_task(batcher.place(placement("a")))
        await exchange.began.wait()
        waiting = [tasks.create_task(batcher.place(placement(name))) for name in "bc"]
        await turns()
        beyond = await batcher.place(placement("d"))
        exchange.release.set()
        for reply in [first, *waiting]:
            assert (await reply).outcome == "accepted"

    assert beyond == GatewayReply("declined", code="gateway-overloaded")


async def test_a_defect_of_one_request_is_unknown_and_the_next_is_sent() -> None:
    exchange = Exchange()
    broken = [True]

    async def send(requests: Sequence[PlaceRequest]) -> list[GatewayReply]:
        if broken.pop():
            broken.append(False)
            raise ValueError("defect")
        return await exchange.place(requests)

    batcher = PlacementBatcher(send, lambda: 1_000)

    async with running(batcher):
        failed = await batcher.place(placement("a"))
        sent = await batcher.place(placement("b"))

    assert (failed.outcome, failed.code) == ("unknown", "gateway-defect")
    assert sent.outcome == "accepted"


async def test_the_end_declines_what_was_not_sent_and_leaves_what_was_sent_unknown() -> None:
    exchange = Exchange(held=True)
    batcher = PlacementBatcher(exchange.place, lambda: 1_000)

    async with asyncio.TaskGroup() as tasks:
        sender = tasks.create_task(batcher.run())
        under_way = tasks.create_task(batcher.place(placement("a")))
        await exchange.began.wait()
        in_queue = tasks.create_task(batcher.place(placement("b")))
        await turns()
        sender.cancel()

    assert under_way.result().outcome == "unknown"
    assert in_queue.result() == GatewayReply("declined", code="gateway-stopping")


async def test_a_stopping_batcher_takes_nothing_new_but_sends_what_it_has() -> None:
    exchange = Exchange(held=True)
    batcher = PlacementBatcher(exchange.place, lambda: 1_000)

    async with running(batcher) as tasks:
        first = tasks.create_task(batcher.place(placement("a")))
        await exchange.began.wait()
        taken = tasks.create_task(batcher.place(placement("b")))
        await turns()
        batcher.stop()
        new = await batcher.place(placement("c"))
        exchange.release.set()

        assert (await first).outcome == (await taken).outcome == "accepted"
    assert new == GatewayReply("declined", code="gateway-stopping")


async def test_what_is_forbidden_is_declined_and_the_others_leave() -> None:
    exchange = Exchange()
    stopped = {"b": "kill-switch"}
    batcher = PlacementBatcher(
        exchange.place, lambda: 1_000, forbidden=lambda order: stopped.get(order.client_order_id)
    )

    async with running(batcher) as tasks:
        asked = [tasks.create_task(batcher.place(placement(name))) for name in "abc"]
        replies = [await reply for reply in asked]

    assert [(reply.outcome, reply.code) for reply in replies] == [
        ("accepted", "a"),
        ("declined", "kill-switch"),
        ("accepted", "c"),
    ]
    assert exchange.requests == [["a", "c"]]


async def test_orders_that_go_one_by_one_are_asked_about_again_before_each() -> None:
    sent: list[str] = []

    async def send(requests: Sequence[PlaceRequest]) -> list[GatewayReply]:
        if len(requests) > 1:
            raise SendAlone
        sent.append(requests[0].client_order_id)
        return [GatewayReply("accepted")]

    # The switch is set while the first of them is under way.
    batcher = PlacementBatcher(
        send, lambda: 1_000, forbidden=lambda order: "kill-switch" if sent else None
    )

    async with running(batcher) as tasks:
        asked = [tasks.create_task(batcher.place(placement(name))) for name in "ab"]
        replies = [await reply for reply in asked]

    assert sent == ["a"]
    assert [reply.outcome for reply in replies] == ["accepted", "declined"]
