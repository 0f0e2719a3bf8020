"""Operators read and set limits over HTTP; every change is kept with its author and reason."""

from collections.abc import AsyncIterator

import pytest

from devstack.stack import DevStack
from tests.support.accounts import Account, account


@pytest.fixture
async def operator(stack: DevStack) -> AsyncIterator[Account]:
    """An operator of this test's own."""
    async with account(stack.api_url, scope="operator") as operator:
        yield operator


async def test_limits_are_listed_page_by_page(operator: Account) -> None:
    whole = (await operator.http.get("/ops/limits")).json()
    seen: list[dict[str, object]] = []
    cursor = ""
    while cursor is not None:
        answer = await operator.http.get("/ops/limits", params={"limit": 2, "cursor": cursor})
        page = answer.json()
        assert len(page["items"]) <= 2
        seen += page["items"]
        cursor = page["nextCursor"]

    assert seen == whole["items"]
    assert {"name": "order-shares", "subject": None, "value": 100_000} in seen


async def test_who_is_no_operator_may_not_look(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        refused = await alice.http.get("/ops/limits")

    assert (refused.status_code, refused.json()["code"]) == (403, "operator-only")
