import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.streams import STREAMS, TICKET_SECONDS, TICKETS, ensure_stream, ensure_streams
from brokerage.bus.tickets import (
    TICKET_CHARS,
    TICKETS_PER_USER_MAX,
    TicketInvalid,
    Tickets,
    TooManyTickets,
)
from brokerage.contracts.problems import PROBLEMS
from brokerage.contracts.subjects import TICKETS_BUCKET
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.feeds import PATIENT, following_feed
from tests.support.nats_server import NatsServer
from tests.support.prices import Node, price_node, signed_by
from tests.support.scripted_feed import ScriptedFeed, scripted_feed

LASTING_SECONDS = 600
"""So long that no ticket gets too old during a test, however slow the machine is."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is late is waited for: only a NATS that is away makes tickets unavailable."""
    monkeypatch.setattr("brokerage.bus.tickets.ANSWER_SECONDS", 60.0)


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    async with open_bus(nats.url, "test") as bus:
        await bucket_of(bus, max_age=LASTING_SECONDS)
        yield bus


@pytest.fixture
async def exchange() -> AsyncIterator[ScriptedFeed]:
    async with scripted_feed() as feed:
        feed.trade("AAPL", 15_000)
        yield feed


@pytest.fixture
async def nodes(
    exchange: ScriptedFeed, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Node, Node]]:
    lasting = [one.evolve(max_age=LASTING_SECONDS) if one is TICKETS else one for one in STREAMS]
    monkeypatch.setattr("brokerage.bus.streams.STREAMS", lasting)
    async with (
        following_feed(exchange.url, nats.url, timing=PATIENT),
        price_node(nats.url) as one,
        price_node(nats.url) as other,
    ):
        yield one, other


async def bucket_of(bus: Bus, **changes: object) -> None:
    await ensure_stream(bus, TICKETS.evolve(**changes))


async def stored(bus: Bus) -> int:
    return (await bus.jetstream.stream_info(TICKETS.name or "")).state.messages


async def redeem_or_none(tickets: Tickets, ticket: str) -> str | None:
    try:
        return await tickets.redeem(ticket)
    except TicketInvalid:
        return None


async def test_ticket_is_good_once(bus: Bus) -> None:
    tickets = Tickets(bus)
    ticket = await tickets.issue("alice")

    assert await tickets.redeem(ticket) == "alice"
    with pytest.raises(TicketInvalid):
        await tickets.redeem(ticket)


async def test_of_many_who_redeem_at_once_one_succeeds(nats: NatsServer, bus: Bus) -> None:
    async with open_bus(nats.url, "another node") as another:
        for _ in range(20):
            ticket = await Tickets(bus).issue("alice")

            async with asyncio.TaskGroup() as tasks:
                tried = [
                    tasks.create_task(redeem_or_none(Tickets(one), ticket))
                    for one in (bus, another) * 5
                ]

            assert [task.result() for task in tried].count("alice") == 1
            assert [task.result() for task in tried].count(None) == 9


async def test_old_ticket_is_not_good(bus: Bus) -> None:
    await bucket_of(bus, max_age=1, duplicate_window=1)
    tickets = Tickets(bus)
    ticket = await tickets.issue("alice")

    async def is_gone() -> bool:
        return await stored(bus) == 0

    await eventually(is_gone, "the server forgets it")
    await bucket_of(bus, max_age=LASTING_SECONDS)
    with pytest.raises(TicketInvalid):
        await tickets.redeem(ticket)
    assert await tickets.redeem(await tickets.issue("alice")) == "alice"


async def test_made_up_and_damaged_tickets_are_not_good_and_spoil_none(bus: Bus) -> None:
    tickets = Tickets(bus)
    ticket = await tickets.issue("alice")
    other = "B" if ticket[-1] != "B" else "C"

    for made_up in (
        "",
        "A",
        "A" * TICKET_CHARS,
        "A" * 100_000,
        "*" * TICKET_CHARS,
        ticket[:-1],
        ticket[:-1] + other,
        ticket + "A",
        other * 4 + ticket[4:],
        "é" * TICKET_CHARS,
        ticket[:-1] + "\n",
    ):
        with pytest.raises(TicketInvalid):
            await tickets.redeem(made_up)

    assert await tickets.redeem(ticket) == "alice"


async def test_ticket_names_nobody_and_what_is_kept_is_not_the_ticket(bus: Bus) -> None:
    ticket = await Tickets(bus).issue("alice")

    [subject] = (
        await bus.jetstream.stream_info(TICKETS.name or "", subjects_filter=">")
    ).state.subjects or {}
    kept = await bus.jetstream.get_msg(TICKETS.name or "", subject=subject)
    assert "alice" not in subject
    assert ticket.encode() not in (kept.data or b"")
    assert ticket not in subject


async def test_user_has_so_many_unused_tickets_and_others_are_not_in_the_way(bus: Bus) -> None:
    tickets = Tickets(bus)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_issue_or_none(tickets)) for _ in range(40)]
    good = [ticket for task in asked if (ticket := task.result()) is not None]

    assert len(good) == len(set(good)) == TICKETS_PER_USER_MAX
    assert await tickets.issue("bob")
    assert await tickets.redeem(good[3]) == "alice"
    again = await tickets.issue("alice")
    with pytest.raises(TooManyTickets):
        await tickets.issue("alice")
    for ticket in (*good[:3], *good[4:], again):
        assert await tickets.redeem(ticket) == "alice"


async def _issue_or_none(tickets: Tickets) -> str | None:
    try:
        return await tickets.issue("alice")
    except TooManyTickets:
        return None


async def test_using_tickets_up_keeps_no_more_than_a_users_places(bus: Bus) -> None:
    tickets = Tickets(bus)
    for _ in range(5 * TICKETS_PER_USER_MAX):
        assert await tickets.redeem(await tickets.issue("alice")) == "alice"

    assert await stored(bus) <= TICKETS_PER_USER_MAX


async def test_full_bucket_refuses_new_tickets_and_still_takes_those_it_has(bus: Bus) -> None:
    await bucket_of(bus, max_bytes=4096, max_age=LASTING_SECONDS)
    tickets = Tickets(bus)
    good: dict[str, str] = {}

    async def fill() -> None:
        for number in range(1_000):
            good[f"user-{number}"] = await tickets.issue(f"user-{number}")

    with pytest.raises(BusUnavailable):
        await fill()

    assert good
    for user, ticket in good.items():
        assert await tickets.redeem(ticket) == user


async def test_bucket_of_another_age_is_changed_and_keeps_its_tickets(bus: Bus) -> None:
    ticket = await Tickets(bus).issue("alice")

    await ensure_streams(bus)

    info = await bus.jetstream.stream_info(f"KV_{TICKETS_BUCKET}")
    assert info.config.max_age == TICKET_SECONDS
    assert await Tickets(bus).redeem(ticket) == "alice"


async def test_first_who_asks_after_nats_lost_its_memory_makes_the_bucket_anew(
    nats: NatsServer, bus: Bus
) -> None:
    tickets = Tickets(bus)
    lost = await tickets.issue("alice")
    await nats.kill()
    with pytest.raises(BusUnavailable):
        await tickets.redeem(lost)
    with pytest.raises(BusUnavailable):
        await tickets.issue("alice")

    await nats.start()

    async def issued() -> str:
        try:
            return await tickets.issue("alice")
        except BusUnavailable as error:
            raise AssertionError from error

    ticket = await eventually(issued, "a ticket is given out")
    with pytest.raises(TicketInvalid):
        await tickets.redeem(lost)
    assert await tickets.redeem(ticket) == "alice"


def asking(node: Node) -> httpx.AsyncClient:
    """A client that says of itself nothing of who asks."""
    return httpx.AsyncClient(base_url=node.url, trust_env=False, timeout=30)


async def ticket_from(node: Node, user: str = "alice") -> str:
    async with asking(node) as client:
        answer = await client.post("/stream-ticket", headers=signed_by(user))
    assert answer.status_code == 200, answer.text
    assert answer.json()["expiresInSeconds"] == TICKET_SECONDS
    assert answer.headers["cache-control"] == "no-store"
    ticket = answer.json()["ticket"]
    assert isinstance(ticket, str)
    return ticket


async def first_line(node: Node, ticket: str, symbols: str = "AAPL") -> str:
    """How a stream opened with the ticket begins, or the code of the refusal."""
    params = {"symbols": symbols, "ticket": ticket}
    async with (
        asking(node) as client,
        client.stream("GET", "/subscribe", params=params) as response,
    ):
        if response.status_code != 200:
            await response.aread()
            assert response.headers["content-type"] == "application/problem+json"
            code = response.json()["code"]
            assert response.status_code == PROBLEMS[code].status
            return str(code)
        return await anext(response.aiter_lines())


async def test_ticket_of_one_node_opens_one_stream_on_another(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    ticket = await ticket_from(one)

    assert (await first_line(other, ticket)).startswith("retry:")
    for node in nodes:
        assert await first_line(node, ticket) == "ticket-invalid"


async def test_nothing_tells_a_used_ticket_from_one_that_never_was(
    nodes: tuple[Node, Node],
) -> None:
    node, _ = nodes
    used = await ticket_from(node)
    assert (await first_line(node, used)).startswith("retry:")

    async with asking(node) as client:
        refused = [
            await client.get("/subscribe", params={"symbols": "AAPL", "ticket": ticket})
            for ticket in (used, "A" * TICKET_CHARS, "no ticket", "")
        ]

    assert {answer.status_code for answer in refused} == {401}
    assert len({answer.content for answer in refused}) == 1
    assert used not in refused[0].text
    assert refused[0].json()["code"] == "ticket-invalid"
    assert refused[0].headers["www-authenticate"].startswith("Bearer")


async def test_user_with_too_many_unused_tickets_is_told_when_to_ask_again(
    nodes: tuple[Node, Node],
) -> None:
    node, other = nodes
    for _ in range(TICKETS_PER_USER_MAX):
        await ticket_from(node)

    async with asking(other) as client:
        refused = await client.post("/stream-ticket", headers=signed_by("alice"))

    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-tickets")
    assert refused.headers["retry-after"] == str(TICKET_SECONDS)
    assert await ticket_from(other, "bob")


async def test_without_nats_tickets_are_unavailable_and_not_called_invalid(
    nats: NatsServer, nodes: tuple[Node, Node]
) -> None:
    node, _ = nodes
    ticket = await ticket_from(node)
    await nats.kill()

    async with asking(node) as client:
        refused = await client.post("/stream-ticket", headers=signed_by("alice"))

    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert await first_line(node, ticket) == "unavailable"


async def test_tickets_are_in_no_log_and_no_metric(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        tickets = [(await alice.http.post("/stream-ticket")).json()["ticket"] for _ in range(2)]
        del alice.http.headers["authorization"]
        for ticket, symbols in ((tickets[0], "SPY"), (tickets[0], "SPY"), (tickets[1], "NOSUCH")):
            params = {"symbols": symbols, "ticket": ticket}
            async with alice.http.stream("GET", "/subscribe", params=params) as stream:
                assert await anext(stream.aiter_bytes())
        metrics = (await alice.http.get("/metrics")).text

    logs = [path.read_text(errors="replace") for path in stack.home.logs.iterdir()]
    assert "/stream-ticket" in metrics
    assert any('"process":"api"' in log for log in logs)
    for ticket in tickets:
        assert ticket not in metrics
        assert not any(ticket in log for log in logs)
