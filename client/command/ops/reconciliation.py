"""The operators' command that compares the books with the exchange, and shows what came of it."""

from datetime import datetime
from typing import Annotated, Final

import typer

from client.command.exit_codes import ExitCode
from client.command.ops.app import operator_session
from client.command.options import JsonOption, UserOption
from client.command.paging import gathered, note_rest
from client.command.render import NOTHING, Cell, Column, count, moment, show_line, show_table
from client.command.session import Session
from client.reconciliation import Difference, ReconciliationReport

DIFFERENCES: Final = (
    Column("State"),
    Column("Kind"),
    Column("Subject"),
    Column("What"),
    Column("Ours"),
    Column("Theirs"),
    Column("Done"),
    Column("User", is_optional=True),
)
LATEST: Final = "latest"


def reconcile(
    context: typer.Context,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Start a run, and keep why with it.")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="SECONDS", min=0, help="Wait this long for its report."),
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option("--day", formats=["%Y-%m-%d"], help="Show the report of this day instead."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most differences.")] = 200,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the newest report of our books against the exchange's; with --reason, make one now."""
    session = operator_session(context, as_json=as_json, user=user)
    if reason is None:
        if wait is not None:
            raise typer.BadParameter("--wait needs a run, and a run a --reason")
        _show(session, f"{day:%Y-%m-%d}" if day else LATEST, limit)
        return
    if day is not None:
        raise typer.BadParameter("a run compares what is now: --day shows an older report")
    run_id = session.run(lambda sherwood: sherwood.ops.reconciliation.start(reason=reason)).run_id
    seconds = wait or 0.0
    report = session.run(lambda sherwood: sherwood.ops.reconciliation.wait(run_id, seconds))
    if report is not None:
        _show(session, run_id, limit)
        return
    if as_json:
        session.show_json({"runId": run_id})
    else:
        show_line(session.out, run_id)
    session.note("it runs; `sherwood ops reconcile` shows the report once it has ended")
    if wait is not None:
        raise typer.Exit(ExitCode.OUTCOME_UNKNOWN)


def _show(session: Session, run: str, limit: int) -> None:
    report = session.run(
        lambda sherwood: gathered(
            lambda wanted, cursor: sherwood.ops.reconciliation.report(
                run, limit=wanted, cursor=cursor
            ),
            limit,
        )
    )
    if session.as_json:
        session.show_json(report)
        return
    for line in _summary(report):
        show_line(session.out, line)
    if report.items:
        session.out.print()
        show_table(session.out, DIFFERENCES, map(_row, report.items))
    note_rest(session.note, report, limit)


def _summary(report: ReconciliationReport) -> list[str]:
    why = f": {report.reason}" if report.reason else ""
    return [
        f"{report.day}: {report.verdict or 'under way'}",
        f"run {report.run_id}, {moment(report.started_at)} UTC, by {report.started_by}{why}",
        f"{count(report.orders)} orders and {count(report.reports)} reports compared "
        f"at message {count(report.sequence)}",
        f"{count(report.healed)} healed, {count(report.waiting)} wait for a person",
    ]


def _row(one: Difference) -> list[Cell]:
    return [
        one.state,
        one.kind,
        one.subject,
        one.key or NOTHING,
        one.ours or NOTHING,
        one.theirs or NOTHING,
        one.note or NOTHING,
        one.user_id or NOTHING,
    ]
