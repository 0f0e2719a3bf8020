"""The logs of a stack on which people trade: who finds what in them, and what nobody finds."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
from temporalio.client import Client

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, rule, struck
from tests.support.trading import RESTING, ended, place, placed

Line = dict[str, Any]


def lines(stack: DevStack, name: str) -> Iterator[Line]:
    """What a process of ours has logged so far."""
    for text in stack.processes[name].log_path.read_text(errors="replace").splitlines():
        # One that was killed, or just writes, leaves a part of a line.
        with suppress(json.JSONDecodeError):
            if text.startswith('{"event"'):
                yield json.loads(text)


async def test_a_placement_has_one_line_with_request_order_and_user(
    stack: DevStack, alice: Account
) -> None:
    request_id, key = f"test-{uuid4()}", str(uuid4())
    alice.http.headers["x-request-id"] = request_id
    answer = await place(alice, RESTING, key)

    def said() -> Line:
        found = [one for one in lines(stack, "api") if one.get("request_id") == request_id]
        assert len(found) == 1
        return found[0]

    line: Line = await eventually(said, "the API has logged it")
    assert line["event"] == "request"
    assert (line["method"], line["route"]) == ("POST", "/order")
    assert line["status"] == answer.status_code
    assert line["user_id"] == alice.user
    assert line["order_id"] == order_id_for(alice.user, key)
    # A busy node may have said that nothing is on record yet.
    assert answer.status_code == 503 or answer.headers["location"] == f"/order/{line['order_id']}"
    assert line["process"] == "api"


async def test_what_the_gateway_says_of_an_order_names_it(stack: DevStack, alice: Account) -> None:
    key = str(uuid4())
    order_id = order_id_for(alice.user, key)
    async with (
        exchange_of(stack) as exchange,
        rule(exchange, "place", order_id, "error", times=1) as fired,
    ):
        await place(alice, RESTING, key)
        await struck(fired)

    def said() -> None:
        found = [one["event"] for one in lines(stack, "gateway") if one.get("order_id") == order_id]
        assert "gateway_no_answer" in found

    await eventually(said, "the gateway has logged it")
    # Or, on a busy machine, too late for its send-by.
    await ended(alice, order_id, "submitted", "failed")


async def test_no_log_has_a_token_a_ticket_or_a_secret(stack: DevStack, alice: Account) -> None:
    ticket = (await alice.http.post("/stream-ticket")).json()["ticket"]
    headers = {"authorization": f"Bearer {alice.token}x"}
    async with httpx.AsyncClient(base_url=stack.api_url, trust_env=False, timeout=30) as http:
        refused = [
            await http.get("/subscribe", params={"symbols": "SPY", "ticket": f"{ticket}x"}),
            await http.get("/orders", headers=headers),
            await http.get("/orders", params={"ticket": ticket, "limit": "none"}, headers=headers),
        ]
    await placed(alice, RESTING)
    secret = stack.home.secret("token-secret")

    assert {answer.status_code for answer in refused} <= {401, 422}
    for name, process in stack.processes.items():
        if not process.log_path.exists():
            continue
        text = process.log_path.read_text(errors="replace")
        for hidden in (alice.token, ticket, secret):
            assert hidden not in text, name


async def test_without_tracing_an_order_has_no_header_in_its_history(
    stack: DevStack, alice: Account
) -> None:
    order = await placed(alice, RESTING)
    client = await Client.connect(stack.env["SHERWOOD_TEMPORAL_ADDRESS"])

    history = await client.get_workflow_handle(f"order-{order['id']}").fetch_history()

    assert "_tracer-data" not in history.to_json()
