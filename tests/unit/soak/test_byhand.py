import msgspec
import pytest

from bench.checks import ExchangeRecord
from exchange.protocol import Execution, OrderReport, OrderStatus
from tests.checker.venue import Venue
from tests.soak.byhand import ACTIONS, request_for


def order(order_id: str, status: OrderStatus) -> OrderReport:
    return OrderReport(
        order_id=order_id,
        client_order_id=f"ours-{order_id}",
        account="acct",
        symbol="IBM",
        side="buy",
        price_cents=100,
        shares=5,
        time_in_force="day",
        status=status,
        cumulative_shares=0,
        cumulative_notional_cents=0,
        placed_at_ms=0,
    )


EXECUTION = Execution(
    seq=1,
    execution_id="E1",
    order_id="X1",
    account="acct",
    symbol="IBM",
    side="buy",
    price_cents=99,
    shares=4,
    cumulative_shares=4,
    at_ms=0,
)
VENUE = Venue(
    ExchangeRecord(
        [
            order("X1", "filled"),
            order("X2", "open"),
            order("X3", "cancelled"),
            order("X4", "open"),
            order("X5", "expired"),
            order("X6", "rejected"),
        ],
        [EXECUTION, msgspec.structs.replace(EXECUTION, execution_id="E2", shares=1)],
    )
)


@pytest.mark.parametrize("action", ACTIONS)
def test_where_there_is_nothing_it_can_be_done_to_nothing_is_asked(action: str) -> None:
    assert request_for(action, Venue(), 0.5) is None


@pytest.mark.parametrize(
    ("action", "part", "what", "body"),
    [
        ("late-fill", 0.0, "executions", {"orderId": "X3", "priceCents": 100, "shares": 1}),
        ("late-fill", 0.99, "executions", {"orderId": "X5", "priceCents": 100, "shares": 1}),
        ("overfill", 0.5, "executions", {"orderId": "X1", "priceCents": 100, "shares": 1}),
        ("end", 0.0, "ends", {"orderId": "X2", "status": "cancelled"}),
        ("end", 0.5, "ends", {"orderId": "X4", "status": "cancelled"}),
        ("bust", 1.0, "busts", {"executionId": "E1"}),
        (
            "correction",
            0.0,
            "corrections",
            {"executionId": "E1", "priceCents": 99, "shares": 3},
        ),
    ],
)
def test_it_is_done_to_the_one_that_stands_there_of_those_it_can_be_done_to(
    action: str, part: float, what: str, body: dict[str, object]
) -> None:
    assert request_for(action, VENUE, part) == (what, body)
