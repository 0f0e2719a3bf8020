"""`sherwood orders --watch`: orders as they stand, and three ways to show how they change."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol, Self
from uuid import UUID

import msgspec
from rich.console import Console

from client.command.events import document_of, event_line
from client.command.live_table import LiveTable
from client.command.render import ORDER_COLUMNS, Cell, order_row, show_line
from client.models import Order, OrderPage
from client.order_events import Begun, OrderEvent, OrderStreamEvent, Reset
from client.reconnecting import Disconnected

OPEN_STATUSES: Final = frozenset({"pending", "submitted", "partially_filled", "pending_cancel"})
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def wanted(status: str | None, symbol: str | None) -> Callable[[Order], bool]:
    """Whether `GET /orders` with these filters would list an order."""
    names = None if status is None else set(status.split(","))

    def lists(order: Order) -> bool:
        kind = "open" if order.status in OPEN_STATUSES else "closed"
        return (symbol is None or order.symbol == symbol) and (
            names is None or bool(names & {kind, order.status})
        )

    return lists


class OrderBoard:
    """The newest `limit` orders that are wanted, or were when they were first seen."""

    def __init__(self, lists: Callable[[Order], bool], limit: int) -> None:
        self.state = "connecting"
        self._lists = lists
        self._limit = limit
        self._orders: dict[UUID, Order] = {}

    def begin(self, orders: Iterable[Order]) -> list[Order]:
        """Take a list from the server in place of all that is known; returns it, oldest first."""
        self._orders.clear()
        return [order for order in reversed(list(orders)) if self.take(order)]

    def hear(self, event: OrderStreamEvent) -> None:
        """Note whether the stream goes on."""
        if isinstance(event, Disconnected):
            # Until the first stream is open there is nothing that could be out of date.
            self.state = "connecting" if self.state == "connecting" else "disconnected"
        else:
            self.state = "live"

    def take(self, order: Order) -> bool:
        """Take an order as it is now; False if that is no news, or not wanted."""
        known = self._orders.get(order.id)
        if known is None and not self._lists(order):
            return False
        if known is not None and order.version <= known.version:
            return False
        self._orders[order.id] = order
        if len(self._orders) > self._limit:
            del self._orders[self.orders()[-1].id]
        return True

    def orders(self) -> list[Order]:
        """Newest first."""
        return sorted(
            self._orders.values(), key=lambda order: order.created_at or _LONG_AGO, reverse=True
        )


class OrderView(Protocol):
    """A way to show a board as it changes; entered before the first event."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def begin(self, orders: Sequence[Order]) -> None:
        """Show what there is, oldest first."""
        ...

    def show(self, event: OrderStreamEvent) -> None:
        """Show one event; of an order only one that is news."""
        ...


class OrderTable(LiveTable):
    """A table that changes in place."""

    columns = ORDER_COLUMNS

    def __init__(self, console: Console, board: OrderBoard) -> None:
        self._board = board
        super().__init__(console)

    def rows(self) -> list[list[Cell]]:
        """Newest first."""
        return [order_row(order) for order in self._board.orders()]

    def state(self) -> str:
        """The board's."""
        return self._board.state

    def begin(self, orders: Sequence[Order]) -> None:
        """Nothing to do: the board has them."""

    def show(self, event: OrderStreamEvent) -> None:
        """Note what the table cannot say."""
        self.tell(event)


class OrderLines:
    """A line an order, and then a line a change, for a pipe or a file."""

    def __init__(self, console: Console, note: Callable[[str], None]) -> None:
        self._console = console
        self._note = note

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def begin(self, orders: Sequence[Order]) -> None:
        """A line each, in the columns of the changes."""
        for order in orders:
            show_line(self._console, event_line(order))

    def show(self, event: OrderStreamEvent) -> None:
        """A line a change; what is none of an order's is said beside them."""
        match event:
            case OrderEvent():
                show_line(self._console, event_line(event.order, event))
            case Reset():
                self._note("the server's log is shorter than it was: the orders are read anew")
            case Disconnected(reason, retry_seconds):
                self._note(f"disconnected: {reason}; trying again in {retry_seconds:.1f} s")


class OrderJson:
    """One JSON object a line, those of `events`; an order that is there at first has no `seq`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def begin(self, orders: Sequence[Order]) -> None:
        """A line each."""
        for order in orders:
            self._write({"event": "order", "order": order})

    def show(self, event: OrderStreamEvent) -> None:
        """A line an event."""
        self._write(document_of(event))

    def _write(self, document: dict[str, object]) -> None:
        show_line(self._console, msgspec.json.encode(document).decode())


async def watch_orders(
    events: AsyncIterator[OrderStreamEvent],
    read_orders: Callable[[], Awaitable[OrderPage]],
    board: OrderBoard,
    view: OrderView,
    count_max: int | None,
) -> bool:
    """Show the orders and then their changes until there were `count_max`; whether there were.

    The orders are read once the stream is open: what changes meanwhile comes by it, and an order's
    version tells which of the two is newer.
    """
    shown = 0
    async for event in events:
        if (board.state == "connecting" and isinstance(event, Begun)) or isinstance(event, Reset):
            view.begin(board.begin((await read_orders()).items))
        board.hear(event)
        if isinstance(event, OrderEvent):
            if not board.take(event.order):
                continue
            shown += 1
        view.show(event)
        if shown == count_max:
            return True
    return False
