"""The operators' commands about what is not settled: one order, and the cents at risk."""

from typing import Annotated, Final
from uuid import UUID

import typer

from client.command.ops.app import operator_session
from client.command.options import JsonOption, UserOption
from client.command.render import (
    NOTHING,
    Column,
    count,
    dollars,
    moment,
    order_line,
    show_facts,
    show_line,
    show_table,
)
from client.standing import Standing

RISK: Final = (
    Column("Where"),
    Column("Cause"),
    Column("Count", is_number=True),
    Column("At risk", is_number=True),
    Column("Cash", is_number=True),
    Column("Oldest (UTC)"),
)


def order(
    context: typer.Context,
    order_id: Annotated[UUID, typer.Argument(metavar="ORDER", help="The order's id.")],
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where ORDER is and why, whoever's it is, and the next safe action."""
    session = operator_session(context, as_json=as_json, user=user)
    standing = session.run(lambda sherwood: sherwood.ops.order(order_id))
    if as_json:
        session.show_json(standing)
        return
    show_line(session.out, f"next: {_next(standing)}")
    show_line(session.out, standing.because)
    show_line(session.out, "")
    show_facts(session.out, _facts(standing))


def risk(context: typer.Context, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Show the cents at risk now, by cause: an upper bound, and how long the oldest has stood."""
    session = operator_session(context, as_json=as_json, user=user)
    answer = session.run(lambda sherwood: sherwood.ops.risk())
    if as_json:
        session.show_json(answer)
        return
    if not answer.items:
        session.note("nothing is at risk")
        return
    show_table(
        session.out,
        RISK,
        [
            [
                one.place,
                one.cause,
                count(one.count),
                dollars(one.amount_cents) + ("" if one.is_complete else " or more"),
                dollars(one.cash_cents),
                moment(one.oldest_at),
            ]
            for one in answer.items
        ],
    )
    show_line(session.out, f"together {dollars(answer.total_cents)}")


def _next(standing: Standing) -> str:
    if standing.not_before is None:
        return standing.next_act
    return f"{standing.next_act}, until {moment(standing.not_before)} UTC"


def _facts(standing: Standing) -> tuple[tuple[str, str], ...]:
    run, there = standing.run, standing.exchange
    step = f", {run.step} attempt {run.attempt}" if run.step else ""
    status = f", {there.status} with {count(there.cumulative_shares)} executed"
    return (
        ("order", order_line(standing.order).plain if standing.order else "no row"),
        ("of", standing.user_id or NOTHING),
        ("waits for", standing.waits_for or NOTHING),
        ("why", standing.explanation or NOTHING),
        ("run", f"{run.state}{step}"),
        ("last failure", run.last_failure or NOTHING),
        ("exchange", f"{there.answer}{status if there.status else ''}"),
        ("parked reports", _known(standing.parked_reports)),
        ("dead letters", _known(standing.dead_letters)),
        *(() if standing.switch_level == 0 else (("kill switch", _switch(standing.switch_level)),)),
    )


def _known(reports: int | None) -> str:
    return NOTHING if reports is None else count(reports)


def _switch(level: int | None) -> str:
    return "cannot be read: no order passes" if level is None else f"level {level}"
