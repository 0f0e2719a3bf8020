"""Orders that the exchange has and our rows lost, or know less of: written down from what it says.

For a start from a loss alone: nothing else writes orders then, and no workflow runs.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from activities.reports import EXCHANGE, adopt_external, book_reports
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.gateway import ExternalOrder
from brokerage.contracts.placements import terms_hash
from brokerage.contracts.statements import StatedOrder
from brokerage.domain import booking
from brokerage.domain.orders import Order, OrderStatus, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from brokerage.storage.writes import OrderWriter

RECOVERY: Final = "recovery"
"""The actor of a row that came back."""
TRACE: Final = {"run": {"activity": "recovery"}}
"""How all of it came about: no workflow had a part in it."""


class RestoringActivities:
    """One transaction an order; a repeat finds the row and changes nothing."""

    def __init__(self, orders: "OrderWriter") -> None:
        self._orders = orders

    async def take_over(self, user_id: str, stated: StatedOrder) -> bool:
        """Have a row say what the exchange says of the order, but for its executions; true if there
        was none.
        """
        order = lost_order(user_id, stated)
        async with self._orders.transaction(
            user_id, order.order_id, order.symbol, trace=TRACE
        ) as books:
            is_lost = books.order is None
            if is_lost:
                change = booking.restore(order, books.books, _shares_at_stake(stated))
                key = await books.restores.key_of(order, _body_hashes(order))
                await books.store(change, actor=RECOVERY, idempotency_key=key)
            if stated.status != "rejected":
                await adopt_external(books, _external(stated))
            elif books.order is not None and books.order.status is OrderStatus.PENDING:
                code, now = stated.reason or "refused-by-exchange", datetime.now(UTC)
                await books.store(
                    booking.refuse(books.order, books.books, code, now), actor=EXCHANGE
                )
        return is_lost

    async def book(self, user_id: str, order_id: str, report: ExecutionReport) -> None:
        """Book one report of the exchange, if it is not booked yet."""
        async with self._orders.transaction(
            user_id, order_id, reports=[report.report_id], trace=TRACE
        ) as books:
            await book_reports(books, [report])


def lost_order(user_id: str, stated: StatedOrder) -> Order:
    """The order as it can be known from the exchange. A market order was sent as a limit order at
    its collar, so it comes back as that; it is at the exchange, so it is never sent again.
    """
    placed_at = datetime.fromtimestamp(stated.placed_at_ms / 1000, UTC)
    return Order(
        order_id=stated.client_order_id,
        user_id=user_id,
        symbol=stated.symbol,
        side=Side(stated.side),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce(stated.time_in_force),
        shares=stated.shares,
        limit_price_cents=stated.price_cents,
        price_cents=stated.price_cents,
        send_by=placed_at,
        created_at=placed_at,
        updated_at=placed_at,
    )


def _shares_at_stake(stated: StatedOrder) -> int:
    """What the order may cost in all: of one that has ended, what was executed."""
    return stated.shares if stated.status == "open" else stated.cumulative_shares


def _body_hashes(order: Order) -> Sequence[bytes]:
    """Those of the two requests that were sent to the exchange in the same terms."""
    return [
        terms_hash(
            position=order.side.value,
            symbol=order.symbol,
            shares=order.shares,
            price_cents=price_cents,
            time_in_force=order.time_in_force.value,
        )
        for price_cents in (order.price_cents, None)
    ]


def _external(stated: StatedOrder) -> ExternalOrder:
    return ExternalOrder(
        external_order_id=stated.external_order_id,
        client_order_id=stated.client_order_id,
        status=stated.status,
        cumulative_shares=stated.cumulative_shares,
        reason=stated.reason,
    )
