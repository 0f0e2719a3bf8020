"""What a member had at one sequence of its messages: its orders page by page, and its positions."""

from collections.abc import Iterable, Sequence

import msgspec

from exchange.journal import Journal
from exchange.protocol import (
    STATEMENT_MESSAGES_MAX,
    MemberMessage,
    PositionStatement,
    StatedOrder,
    StatementPage,
)
from exchange.records import Order

_decode_message = msgspec.json.Decoder(MemberMessage).decode


def statement_page(
    journal: Journal, found: Sequence[Order], sequence: int, next_after: str | None
) -> StatementPage:
    """State these orders, as many as fit on a page, at least one."""
    items: list[StatedOrder] = []
    room = STATEMENT_MESSAGES_MAX
    for order in found:
        told = journal.messages_of_order(order, sequence, STATEMENT_MESSAGES_MAX + 1)
        if items and len(told) > room:
            return StatementPage(sequence, items, items[-1].order.client_order_id)
        listed = [_decode_message(body) for body in told[:STATEMENT_MESSAGES_MAX]]
        room -= len(listed)
        items.append(StatedOrder(order.report(), listed, is_cut=len(listed) < len(told)))
    return StatementPage(sequence, items, next_after)


def position_statement(
    journal: Journal, member: str, symbols: Iterable[str], sequence: int
) -> PositionStatement:
    """State what the member's executions come to."""
    at = {symbol: journal.position(member, symbol, sequence) for symbol in symbols}
    return PositionStatement(
        sequence,
        cash_cents=sum(cents for _, cents in at.values()),
        shares={symbol: shares for symbol, (shares, _) in at.items() if shares},
    )
