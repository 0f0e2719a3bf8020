"""The operators' commands that show an order's timeline, and verify that nobody changed it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Final
from uuid import UUID

import typer

from client.acts import Act
from client.command.exit_codes import ExitCode
from client.command.ops.app import operator_session
from client.command.options import JsonOption, UserOption
from client.command.paging import gathered
from client.command.render import (
    NOTHING,
    Cell,
    Column,
    count,
    dollars,
    moment,
    show_line,
    show_table,
)
from client.command.session import Session
from client.order_trail import Link, Tampered, Verified
from client.sherwood import Sherwood

TIMELINE: Final = (
    Column("At (UTC)"),
    Column("What"),
    Column("Who"),
    Column("Status"),
    Column("Filled", is_number=True),
    Column("Facts"),
    Column("From", is_optional=True),
    Column("Run", is_optional=True),
)
TAMPERED: Final = (Column("Table"), Column("Row"), Column("Problem"))


def timeline(
    context: typer.Context,
    order: Annotated[UUID, typer.Argument(metavar="ORDER", help="Any user's order.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Fail if a row is not as it was written.")
    ] = False,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that was said and done for an order: who, when, from where, with which result."""
    session = operator_session(context, as_json=as_json, user=user)

    found = session.run(
        lambda sherwood: gathered(
            lambda wanted, cursor: sherwood.ops.trails.timeline(order, limit=wanted, cursor=cursor)
        )
    )
    if as_json:
        session.show_json(found)
    else:
        show_line(
            session.out,
            f"{found.order_id} of {found.user_id}: {found.status}, version {found.version}, "
            f"workflow {found.workflow_id}, at the exchange {found.external_order_id or NOTHING}",
        )
        rows = [(link.at, _link_row(link)) for link in found.items]
        rows += [(act.at, _act_row(act)) for act in found.acts]
        show_table(session.out, TIMELINE, [row for _, row in sorted(rows, key=lambda row: row[0])])
        if verify and not found.tampered:
            session.note(f"verified: {found.links} links, all as they were written")
    if found.tampered and not as_json:
        _show_tampered(session, found.tampered)
    if verify and found.tampered:
        raise typer.Exit(ExitCode.UNEXPECTED)


def verify(context: typer.Context, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Verify the trails of all orders, and the acts of operators; fail if a row was changed."""
    session = operator_session(context, as_json=as_json, user=user)
    orders = 0
    tampered: list[Tampered] = []
    cursor: str | None = None
    while True:
        page = session.run(partial(_verify, cursor=cursor))
        orders += page.orders
        tampered += page.tampered
        cursor = page.next_cursor
        if cursor is None:
            break
    if as_json:
        session.show_json({"orders": orders, "tampered": tampered})
    elif tampered:
        _show_tampered(session, tampered)
    session.note(f"{orders} orders verified, {len(tampered)} rows are not as they were written")
    if tampered:
        raise typer.Exit(ExitCode.UNEXPECTED)


async def _verify(sherwood: Sherwood, cursor: str | None) -> Verified:
    return await sherwood.ops.trails.verify(cursor=cursor)


def _show_tampered(session: Session, tampered: Sequence[Tampered]) -> None:
    show_table(session.out, TAMPERED, [[one.table, one.row, one.problem] for one in tampered])


def _link_row(link: Link) -> list[Cell]:
    run = link.detail.get("run", {})
    return [
        moment(link.at),
        link.kind,
        link.actor,
        link.status or NOTHING,
        NOTHING if link.filled_shares is None else count(link.filled_shares),
        "; ".join(_facts(link)) or NOTHING,
        link.address or NOTHING,
        str(run.get("runId", NOTHING)),
    ]


def _act_row(act: Act) -> list[Cell]:
    return [
        moment(act.at),
        act.act,
        act.operator,
        NOTHING,
        NOTHING,
        act.reason,
        act.address,
        NOTHING,
    ]


def _facts(link: Link) -> Iterator[str]:
    """What a link says besides its columns, in the order in which it came about."""
    if claim := link.detail.get("claim"):
        yield f"key {claim['key']}, claimed {claim['claimedAt']}"
    for call in link.detail.get("exchange", ()):
        answer = call["answer"]
        said = [answer["outcome"], answer.get("code"), answer.get("order", {}).get("status")]
        yield f"{call['asked']} {call['askedAt']}: {' '.join(filter(None, said))}"
    if report := link.report:
        yield (
            f"{report.id}: {count(report.shares)} at {dollars(report.price_cents)}, "
            f"{count(report.booked_shares)} booked, feed {report.feed_seq}"
        )
    if link.entries:
        yield ", ".join(f"{one.account} {one.asset} {one.amount:+d}" for one in link.entries)
    if status := link.detail.get("replyStatus"):
        yield f"answered {status}"
