"""What the exchange does of its own accord: halts, busts, corrections, ends. Pure."""

from msgspec.structs import replace

from exchange.inputs import (
    BustExecution,
    ControlReply,
    CorrectExecution,
    EndDay,
    EndOrder,
    ExecuteOrder,
    Halt,
    Release,
)
from exchange.protocol import Bust, Correction
from exchange.records import LIVE, ExecutionRecord, Order
from exchange.registry import Registry
from exchange.trading import Floor

Administrative = (
    Release | Halt | BustExecution | CorrectExecution | ExecuteOrder | EndOrder | EndDay
)


def carry_out(registry: Registry, floor: Floor, one: Administrative, at_ms: int) -> ControlReply:
    """Carry out one input that is not a member's."""
    match one:
        case Release(order_number=number):
            return release(registry, floor, number, at_ms)
        case Halt():
            return halt(floor, one)
        case BustExecution(execution_id=execution_id):
            return bust(registry, execution_id, at_ms)
        case CorrectExecution():
            return correct(registry, one, at_ms)
        case ExecuteOrder():
            return execute_order(registry, floor, one, at_ms)
        case EndOrder():
            return end_order(registry, floor, one, at_ms)
        case EndDay(cutoff_ms=cutoff_ms):
            count = end_day(registry, floor, cutoff_ms, at_ms)
            return ControlReply(done=True, reason=f"{count} orders expired")


def release(registry: Registry, floor: Floor, number: int, at_ms: int) -> ControlReply:
    """Let a held order come to the book; what it may not rest, ends, and its member is told."""
    order = registry.live_order(number)
    if order is None or not order.held:
        return ControlReply(done=False, code="not-held", reason="no such order is held")
    order.held = False
    floor.enter(order, at_ms)
    if order.status == "cancelled":
        registry.tell_end(order, "immediate or cancel", at_ms)
    return ControlReply(done=True, id=order.order_id)


def halt(floor: Floor, change: Halt) -> ControlReply:
    """Stop trading in a symbol, or let it go on. Resting orders stay, and can be cancelled."""
    state = floor.symbol(change.symbol)
    if state is None:
        return ControlReply(done=False, code="unknown-symbol", reason="no such symbol is listed")
    state.halted = change.halted
    return ControlReply(done=True)


def bust(registry: Registry, execution_id: str, at_ms: int) -> ControlReply:
    """Undo an execution. Its shares do not come back to the book; an ended order stays so."""
    found = _standing(registry, execution_id)
    if isinstance(found, ControlReply):
        return found
    record, order = found
    execution = record.execution
    order.cumulative_shares -= execution.shares
    order.cumulative_notional_cents -= execution.shares * execution.price_cents
    registry.changed(order)
    record.busted = True
    registry.execution_changed(record)
    registry.counters.bust += 1
    message = Bust(
        seq=registry.next_seq(order.member),
        bust_id=f"B{registry.session}-{registry.counters.bust}",
        execution_id=execution_id,
        order_id=order.order_id,
        account=order.account,
        symbol=order.symbol,
        cumulative_shares=order.cumulative_shares,
        at_ms=at_ms,
    )
    notional_cents = execution.shares * execution.price_cents
    registry.moved(order, message.seq, -execution.shares, -notional_cents)
    registry.messages.append((order.member, message))
    return ControlReply(done=True, id=message.bust_id)


def correct(registry: Registry, change: CorrectExecution, at_ms: int) -> ControlReply:
    """Replace an execution's price and shares, within the limit and the size of its order."""
    found = _standing(registry, change.execution_id)
    if isinstance(found, ControlReply):
        return found
    record, order = found
    old = record.execution
    cumulative_shares = order.cumulative_shares - old.shares + change.shares
    worse = (
        change.price_cents > order.price_cents
        if order.side == "buy"
        else change.price_cents < order.price_cents
    )
    if worse or change.price_cents < 1 or change.shares < 1:
        return ControlReply(
            done=False, code="invalid-terms", reason="outside the order's limit, or not positive"
        )
    if cumulative_shares + order.leaves_shares > order.shares:
        return ControlReply(done=False, code="invalid-terms", reason="it would overfill the order")
    order.cumulative_shares = cumulative_shares
    more_cents = change.shares * change.price_cents - old.shares * old.price_cents
    order.cumulative_notional_cents += more_cents
    registry.changed(order)
    record.execution = replace(old, price_cents=change.price_cents, shares=change.shares)
    registry.execution_changed(record)
    registry.counters.correction += 1
    message = Correction(
        seq=registry.next_seq(order.member),
        correction_id=f"C{registry.session}-{registry.counters.correction}",
        execution_id=change.execution_id,
        order_id=order.order_id,
        account=order.account,
        symbol=order.symbol,
        price_cents=change.price_cents,
        shares=change.shares,
        cumulative_shares=order.cumulative_shares,
        at_ms=at_ms,
    )
    registry.moved(order, message.seq, change.shares - old.shares, more_cents)
    registry.messages.append((order.member, message))
    return ControlReply(done=True, id=message.correction_id)


def execute_order(registry: Registry, floor: Floor, one: ExecuteOrder, at_ms: int) -> ControlReply:
    """Execute an order as no exchange should: late if it has ended, too much if it is full."""
    order = registry.order(one.order_id)
    if order is None:
        return ControlReply(done=False, code="unknown-order", reason="no order has this id")
    if order.status == LIVE and one.shares >= order.leaves_shares:
        floor.leave(order)
    execution_id = registry.execute(order, one.price_cents, one.shares, at_ms)
    return ControlReply(done=True, id=execution_id)


def end_order(registry: Registry, floor: Floor, end: EndOrder, at_ms: int) -> ControlReply:
    """Take a live order off the book without its member asking, and tell it."""
    order = registry.order(end.order_id)
    if order is None:
        return ControlReply(done=False, code="unknown-order", reason="no order has this id")
    if order.status != LIVE:
        return ControlReply(done=False, code="too-late", reason=f"the order is {order.status}")
    _end(registry, floor, order, expired=end.expired, reason=end.reason, at_ms=at_ms)
    return ControlReply(done=True, id=order.order_id)


def end_day(registry: Registry, floor: Floor, cutoff_ms: int, at_ms: int) -> int:
    """Let the `day` orders placed before the cutoff expire; return how many there were."""
    count = 0
    for order in registry.live_orders():
        if order.time_in_force == "day" and order.placed_at_ms < cutoff_ms:
            _end(registry, floor, order, expired=True, reason="end of the day", at_ms=at_ms)
            count += 1
    return count


def _end(
    registry: Registry, floor: Floor, order: Order, *, expired: bool, reason: str, at_ms: int
) -> None:
    floor.leave(order)
    order.status = "expired" if expired else "cancelled"
    order.reason = reason
    registry.changed(order)
    registry.tell_end(order, reason, at_ms)


def _standing(
    registry: Registry, execution_id: str
) -> tuple[ExecutionRecord, Order] | ControlReply:
    """Return an execution that was not busted, with its order; or why there is none."""
    record = registry.execution(execution_id)
    order = None if record is None else registry.order(record.execution.order_id)
    if record is None or order is None:
        return ControlReply(done=False, code="unknown-execution", reason="no execution has this id")
    if record.busted:
        return ControlReply(done=False, code="busted", reason="the execution was busted before")
    return record, order
