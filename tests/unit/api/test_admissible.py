"""May an order be taken now: what is known of its symbol decides, before anything is stored."""

from types import SimpleNamespace
from typing import cast

import pytest

from api.admissible import check_trading, last_tick
from api.errors import ProblemError
from api.node import NodeState
from brokerage.bus.beat import Beat, Trading

NOW_SECONDS = 1_790_000_000.0


def trading(*, is_open: bool = True, next_open_ms: int | None = None) -> Trading:
    return Trading(
        is_open=is_open,
        sessions="regular",
        next_open_ms=next_open_ms,
        next_close_ms=None,
        halted=frozenset({"AAPL"}),
    )


@pytest.mark.parametrize(
    ("opens_in_seconds", "retry_after_seconds"),
    [(90.2, 91), (2 * 86_400, 3_600), (None, 30), (0, 1), (-5, 1)],
)
def test_closed_market_says_when_it_opens_but_sends_nobody_away_for_more_than_an_hour(
    opens_in_seconds: float | None, retry_after_seconds: int
) -> None:
    opens_ms = None if opens_in_seconds is None else round((NOW_SECONDS + opens_in_seconds) * 1000)

    with pytest.raises(ProblemError) as refused:
        check_trading(trading(is_open=False, next_open_ms=opens_ms), "META", NOW_SECONDS)

    assert refused.value.code == "market-closed"
    assert refused.value.response().headers["retry-after"] == str(retry_after_seconds)


def test_halt_refuses_its_symbol_and_no_other() -> None:
    check_trading(trading(), "META", NOW_SECONDS)

    with pytest.raises(ProblemError) as refused:
        check_trading(trading(), "AAPL", NOW_SECONDS)

    assert refused.value.code == "symbol-halted"


async def test_no_order_is_taken_for_a_symbol_that_never_traded() -> None:
    async def get(symbol: str) -> None:
        return None

    beat = Beat(at=1, trade_seq=1, epoch=1, trading=trading())
    node = SimpleNamespace(hub=SimpleNamespace(beat=beat), last_prices=SimpleNamespace(get=get))

    with pytest.raises(ProblemError, match="no-price"):
        await last_tick(cast(NodeState, node), "SPY")
