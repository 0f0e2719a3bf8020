"""`sherwood events`: what happens to your orders, as it happens."""

import asyncio
from contextlib import aclosing
from datetime import UTC
from typing import Annotated

import msgspec
import typer

from client.command.money import format_dollars
from client.command.options import CountOption, JsonOption, SecondsOption, UserOption
from client.command.render import NOTHING, order_line, show_line
from client.command.session import Session, session_of
from client.models import Order
from client.order_events import Begun, Heartbeat, OrderEvent, OrderStreamEvent, Reset
from client.reconnecting import Disconnected
from client.sherwood import Sherwood


def events(
    context: typer.Context,
    after: Annotated[
        int | None,
        typer.Option("--after", metavar="SEQ", min=0, help="Begin after this event; 0: all."),
    ] = None,
    count: CountOption = None,
    seconds: SecondsOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow what happens to your orders, a line an event; Ctrl-C ends it.

    Every event once, in order, none left out: a lost connection goes on after the last one. With
    --count and --seconds, exit code 7 says that the events did not come in that time.
    """
    session = session_of(context, as_json=as_json, user=user)

    async def follow(sherwood: Sherwood) -> bool:
        shown, begun = 0, False
        try:
            async with (
                asyncio.timeout(seconds),
                aclosing(sherwood.follow_orders(after)) as stream,
            ):
                async for event in stream:
                    begun = begun or isinstance(event, Begun)
                    show(session, event)
                    shown += isinstance(event, OrderEvent)
                    if shown == count:
                        return True
        except TimeoutError:
            pass
        return count is None and begun

    session.follow(follow)


def show(session: Session, event: OrderStreamEvent) -> None:
    """Write an event as a line; what is none of an order's is said beside them."""
    if session.as_json:
        show_line(session.out, msgspec.json.encode(document_of(event)).decode())
        return
    match event:
        case OrderEvent():
            show_line(session.out, event_line(event.order, event))
        case Reset(last_seq=last_seq):
            session.note(f"reset: the log ends at {last_seq}; what followed never was")
        case Heartbeat(last_seq=None):
            session.note("the server cannot tell now whether there is more")
        case Disconnected(reason, retry_seconds):
            session.note(f"disconnected: {reason}; trying again in {retry_seconds:.1f} s")


def event_line(order: Order, event: OrderEvent | None = None) -> str:
    """Return an order, after an event if it came by one, as a line: number, time, kind, order, and
    the execution if there is one.
    """
    at = order.updated_at
    clock = NOTHING if at is None else f"{at.astimezone(UTC):%H:%M:%S.%f}"[:-3]
    seq, kind = (NOTHING, NOTHING) if event is None else (str(event.seq), event.kind)
    line = f"{seq:>6}  {clock:<12}  {kind:<16}  {order.id}  {order_line(order)}"
    if event is not None and event.execution is not None:
        price = format_dollars(event.execution.price_cents)
        line += f"; {event.execution.shares:,} at {price}"
    return line


def document_of(event: OrderStreamEvent) -> dict[str, object]:
    """An event as one JSON object; `event` says what it is."""
    match event:
        case OrderEvent():
            return {"event": "order", **msgspec.to_builtins(event)}
        case Begun(after=after):
            return {"event": "begun", "after": after}
        case Heartbeat(last_seq=last_seq):
            return {"event": "heartbeat", "lastSeq": last_seq}
        case Reset(last_seq=last_seq):
            return {"event": "reset", "lastSeq": last_seq}
        case Disconnected(reason, retry_seconds):
            return {
                "event": "disconnected",
                "detail": reason,
                "retrySeconds": round(retry_seconds, 3),
            }
