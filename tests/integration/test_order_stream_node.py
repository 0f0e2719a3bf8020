"""An API node and its order streams: how many it opens, and how they end with it."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from api.auth import issue_token
from brokerage.runtime.settings import Settings
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.api_node import api_node
from tests.support.eventually import eventually
from tests.support.order_follower import PATH, following


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert 2 <= int(answer.headers["retry-after"]) <= 10
    return answer.status_code, answer.json()["code"]


async def test_node_opens_so_many_streams_and_takes_back_what_is_over(
    stack: DevStack, tmp_path: Path
) -> None:
    limits = {"order_streams_max": 3, "order_streams_per_user_max": 2}
    async with api_node(stack, tmp_path / "log", **limits) as (_, url), AsyncExitStack() as held:
        alice, bob = [await held.enter_async_context(account(url)) for _ in range(2)]
        async with AsyncExitStack() as hers:
            for _ in range(2):
                await hers.enter_async_context(following(alice.http))
            one_too_many = await alice.http.get(PATH)
            await held.enter_async_context(following(bob.http))
            full = await bob.http.get(PATH)
        # A stream that was refused for another reason counts for nothing.
        wrong = await alice.http.get(PATH, params={"after": "x"})
        for _ in range(2):
            await eventually(lambda: follow(held, alice), "the node has noticed")

    assert refusal(one_too_many) == (503, "too-many-streams")
    assert refusal(full) == (503, "node-full")
    assert wrong.status_code == 422


async def follow(held: AsyncExitStack, user: Account) -> None:
    """Hold one more stream."""
    await held.enter_async_context(following(user.http))


async def test_node_opens_so_many_streams_in_a_second(stack: DevStack, tmp_path: Path) -> None:
    async with (
        api_node(stack, tmp_path / "log", order_stream_openings_per_second_max=1) as (_, url),
        account(url) as alice,
    ):

        async def one_too_soon() -> httpx.Response | bool:
            began = time.monotonic()
            for _ in range(2):
                async with alice.http.stream("GET", PATH) as answer:
                    if answer.status_code != 200:
                        await answer.aread()
                        return answer
            assert time.monotonic() - began > 1, "both were opened within a second"
            return False

        too_soon = await eventually(one_too_soon, "two come within a second")

    assert refusal(too_soon) == (503, "too-many-openings")


async def test_stop_ends_streams_properly(stack: DevStack, tmp_path: Path) -> None:
    async with (
        api_node(stack, tmp_path / "log") as (api, url),
        account(url) as alice,
        following(alice.http) as follower,
    ):
        exit_code = await api.stop()
        # Raises if the connection was cut instead of ended.
        await eventually(lambda: follower.ended, "the stream ends")

    assert exit_code == 0, api.said()


@pytest.mark.parametrize("path", [PATH, "/orders/events"])
async def test_who_has_no_account_has_no_log(stack: DevStack, path: str) -> None:
    secret = SecretStr(stack.home.secret("token-secret"))
    token, _ = issue_token(Settings(token_secret=secret), "nobody-with-an-account", None)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=stack.api_url, trust_env=False) as http:
        answer = await http.get(path, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "no-account")
