"""May an order be taken now: what is known of its symbol decides, before anything is stored."""

from types import SimpleNamespace
from typing import cast

import pytest

from api.admissible import last_price_cents
from api.errors import ProblemError
from api.node import NodeState


async def test_no_order_is_taken_for_a_symbol_that_never_traded() -> None:
    async def get(symbol: str) -> None:
        return None

    node = SimpleNamespace(
        hub=SimpleNamespace(feed_is_live=True), last_prices=SimpleNamespace(get=get)
    )

    with pytest.raises(ProblemError, match="no-price"):
        await last_price_cents(cast(NodeState, node), "SPY")
