"""The orders, executions and members of the exchange, and the numbers it gives them."""

from collections.abc import Iterable
from typing import Final

import msgspec

from exchange.protocol import End, Execution, MemberMessage, Placement
from exchange.records import LIVE, Archive, ExecutionRecord, MemberState, NoArchive, Order


class Counters(msgspec.Struct):
    """The last numbers given."""

    order: int = 0
    execution: int = 0
    bust: int = 0
    correction: int = 0
    rank: int = 0


class Changes(msgspec.Struct):
    """What the journal has yet to write, newest state of each record."""

    orders: dict[int, Order] = {}
    executions: dict[int, ExecutionRecord] = {}
    cancelled_ahead: list[tuple[str, str]] = []
    moves: list["Move"] = []


class Move(msgspec.Struct, frozen=True):
    """What the message `seq` of a member changed of its position in a symbol, and of its cash."""

    member: str
    symbol: str
    seq: int
    shares: int
    cents: int


class Registry:
    """Finds and makes records; writes every member's sequence of messages.

    `session` names the journal: it is part of every id, so that no id is used twice even after a
    journal was thrown away. Records not in memory are looked up in the archive.
    """

    def __init__(self, session: str, archive: Archive | None = None) -> None:
        self.session: Final = session
        self.archive: Archive = NoArchive() if archive is None else archive
        self.counters = Counters()
        self.members: dict[str, MemberState] = {}
        self.messages: list[tuple[str, MemberMessage]] = []
        self.changes = Changes()
        self._since_checkpoint: dict[int, Order] = {}
        self._orders: dict[int, Order] = {}
        self._by_client_id: dict[tuple[str, str], Order] = {}
        self._executions: dict[int, ExecutionRecord] = {}
        self._cancelled_ahead: set[tuple[str, str]] = set()

    def member(self, name: str) -> MemberState:
        """Return the member's state; a new name is a new member."""
        state = self.members.get(name)
        if state is None:
            state = self.members[name] = MemberState()
        return state

    def order(self, order_id: str) -> Order | None:
        """Return the order the exchange named so."""
        number = self._number_of(order_id, "X")
        if number is None:
            return None
        found = self._orders.get(number)
        return self.archive.order(number) if found is None else found

    def order_by_client_id(self, member: str, client_order_id: str) -> Order | None:
        """Return what the member placed, or tried to place, under its own id."""
        found = self._by_client_id.get((member, client_order_id))
        return self.archive.order_by_client_id(member, client_order_id) if found is None else found

    def execution(self, execution_id: str) -> ExecutionRecord | None:
        """Return the execution as it stands now."""
        number = self._number_of(execution_id, "E")
        if number is None:
            return None
        found = self._executions.get(number)
        return self.archive.execution(number) if found is None else found

    def live_orders(self) -> list[Order]:
        """Return all live orders, the earliest first."""
        return sorted(
            (order for order in self._orders.values() if order.status == LIVE),
            key=lambda order: order.number,
        )

    def live_order(self, number: int) -> Order | None:
        """Return the live order of that number."""
        order = self._orders.get(number)
        return order if order is not None and order.status == LIVE else None

    def new_order(self, member: str, placement: Placement, at_ms: int) -> Order:
        """Make an order of a placement; it is on no book yet."""
        self.counters.order += 1
        number = self.counters.order
        order = Order(
            number=number,
            order_id=f"X{self.session}-{number}",
            member=member,
            client_order_id=placement.client_order_id,
            account=placement.account,
            symbol=placement.symbol,
            side=placement.side,
            price_cents=placement.price_cents,
            shares=placement.shares,
            time_in_force=placement.time_in_force,
            placed_at_ms=at_ms,
            leaves_shares=placement.shares,
        )
        self.changed(order)
        self.member(member).orders += 1
        return order

    def hold_in_memory(self, order: Order) -> None:
        """Keep the order at hand, as all live ones are."""
        self._orders[order.number] = order
        self._by_client_id[order.member, order.client_order_id] = order

    def changed(self, order: Order) -> None:
        """Note that the journal must write the order; until then, what it has is out of date."""
        self.hold_in_memory(order)
        self.changes.orders[order.number] = order
        self._since_checkpoint[order.number] = order

    def cancel_ahead(self, member: str, client_order_id: str) -> None:
        """Remember a cancel that came before its order."""
        self._cancelled_ahead.add((member, client_order_id))
        self.changes.cancelled_ahead.append((member, client_order_id))

    def is_cancelled_ahead(self, member: str, client_order_id: str) -> bool:
        """Whether a cancel for this id came before any placement of it."""
        key = (member, client_order_id)
        return key in self._cancelled_ahead or self.archive.is_cancelled_ahead(*key)

    def execute(self, order: Order, price_cents: int, shares: int, at_ms: int) -> str:
        """Book one match of an order, tell its member, return its id; a full order is `filled`."""
        order.leaves_shares = max(0, order.leaves_shares - shares)
        order.cumulative_shares += shares
        order.cumulative_notional_cents += shares * price_cents
        if order.leaves_shares == 0 and order.status == LIVE:
            order.status = "filled"
        self.changed(order)
        self.counters.execution += 1
        number = self.counters.execution
        member = self.member(order.member)
        member.executions += 1
        execution = Execution(
            seq=self.next_seq(order.member),
            execution_id=f"E{self.session}-{number}",
            order_id=order.order_id,
            account=order.account,
            symbol=order.symbol,
            side=order.side,
            price_cents=price_cents,
            shares=shares,
            cumulative_shares=order.cumulative_shares,
            at_ms=at_ms,
        )
        self.moved(order, execution.seq, shares, shares * price_cents)
        record = ExecutionRecord(number=number, member=order.member, execution=execution)
        self.execution_changed(record)
        self.messages.append((order.member, execution))
        return execution.execution_id

    def moved(self, order: Order, seq: int, shares: int, notional_cents: int) -> None:
        """Note that a message gave the member so many more shares of its order, at so much."""
        sign = 1 if order.side == "buy" else -1
        move = Move(order.member, order.symbol, seq, sign * shares, -sign * notional_cents)
        self.changes.moves.append(move)

    def execution_changed(self, record: ExecutionRecord) -> None:
        """Note that the journal must write the execution."""
        self._executions[record.number] = record
        self.changes.executions[record.number] = record

    def tell_end(self, order: Order, reason: str, at_ms: int) -> None:
        """Tell the member that its order left the book without its asking."""
        end = End(
            seq=self.next_seq(order.member),
            order_id=order.order_id,
            account=order.account,
            symbol=order.symbol,
            status="expired" if order.status == "expired" else "cancelled",
            cumulative_shares=order.cumulative_shares,
            reason=reason,
            at_ms=at_ms,
        )
        self.messages.append((order.member, end))

    def next_seq(self, member: str) -> int:
        """Return the next number of the member's messages."""
        state = self.member(member)
        state.seq += 1
        return state.seq

    def take_messages(self) -> list[tuple[str, MemberMessage]]:
        """Return the messages written since the last call."""
        messages, self.messages = self.messages, []
        return messages

    def take_changes(self) -> Changes:
        """Return what changed since the last call, for the journal."""
        changes, self.changes = self.changes, Changes()
        return changes

    def take_changed_orders(self) -> list[Order]:
        """Return the orders that changed since the last call, for a checkpoint."""
        changed, self._since_checkpoint = self._since_checkpoint, {}
        return [*changed.values()]

    def forget_ended(self) -> None:
        """Drop from memory what the archive has: all but live orders."""
        self._orders = {n: order for n, order in self._orders.items() if order.status == LIVE}
        self._by_client_id = {
            (order.member, order.client_order_id): order for order in self._orders.values()
        }
        self._executions = {}
        self._cancelled_ahead = set()

    def held_records(self) -> int:
        """How many records are in memory."""
        return len(self._orders) + len(self._executions)

    def restore(
        self, counters: Counters, members: dict[str, MemberState], orders: Iterable[Order]
    ) -> None:
        """Go on from a checkpoint; all orders in it are live."""
        self.counters = counters
        self.members = members
        for order in orders:
            self.hold_in_memory(order)

    def _number_of(self, record_id: str, letter: str) -> int | None:
        prefix = f"{letter}{self.session}-"
        digits = record_id.removeprefix(prefix)
        if not record_id.startswith(prefix) or not digits.isascii() or not digits.isdigit():
            return None
        return int(digits) if len(digits) < 19 else None
