"""`sherwood events`: what happens to your orders, as it happens."""

import asyncio
from contextlib import aclosing
from datetime import UTC
from typing import Annotated

import msgspec
import typer

from client._options import JsonOption, UserOption
from client._session import Session, Wiring
from client.exit_codes import ExitCode
from client.money import format_dollars
from client.order_events import Begun, Heartbeat, OrderEvent, OrderStreamEvent, Reset
from client.reconnecting import Disconnected
from client.render import NOTHING, order_line, show_line
from client.sherwood import Sherwood


def events(
    context: typer.Context,
    after: Annotated[
        int | None,
        typer.Option("--after", metavar="SEQ", min=0, help="Begin after this event; 0: all."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="End after this many events.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, help="End after this time.")
    ] = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow what happens to your orders, a line an event; Ctrl-C ends it.

    Every event once, in order, none left out: a lost connection goes on after the last one. With
    --count and --seconds, exit code 7 says that the events did not come in that time.
    """
    session = Session(context.ensure_object(Wiring), as_json=as_json, user=user)

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

    try:
        came = session.run(follow)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.OK) from None  # the ordinary way to stop watching
    raise typer.Exit(ExitCode.OK if came else ExitCode.UNAVAILABLE)


def show(session: Session, event: OrderStreamEvent) -> None:
    """Write an event as a line; what is none of an order's is said beside them."""
    if session.as_json:
        show_line(session.out, msgspec.json.encode(_document(event)).decode())
        return
    match event:
        case OrderEvent():
            show_line(session.out, event_line(event))
        case Reset(last_seq=last_seq):
            session.note(f"reset: the log ends at {last_seq}; what followed never was")
        case Heartbeat(last_seq=None):
            session.note("the server cannot tell now whether there is more")
        case Disconnected(reason, retry_seconds):
            session.note(f"disconnected: {reason}; trying again in {retry_seconds:.1f} s")


def event_line(event: OrderEvent) -> str:
    """Return an event as a line: number, time, kind, order, and the execution if there is one."""
    at = event.order.updated_at
    clock = NOTHING if at is None else f"{at.astimezone(UTC):%H:%M:%S.%f}"[:-3]
    line = f"{event.seq:>6}  {clock:<12}  {event.kind:<16}  {event.order.id}  "
    line += str(order_line(event.order))
    if event.execution is not None:
        price = format_dollars(event.execution.price_cents)
        line += f"; {event.execution.shares:,} at {price}"
    return line


def _document(event: OrderStreamEvent) -> dict[str, object]:
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
