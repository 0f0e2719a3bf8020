"""What a run of the demo shows at its end, as tables."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.checks import CASH, in_flight
from bench.faults import Strikes, never_struck
from bench.kills import Killed
from bench.traders import Outcome
from bench.trial import Trial

DIFFERENCES_SHOWN: Final = 20
STATUSES: Final = (
    "filled",
    "partially_filled",
    "submitted",
    "cancelled",
    "expired",
    "rejected",
    "failed",
    "pending",
    "pending_cancel",
)


def show_trial(console: Console, trial: Trial) -> None:
    """Print orders by state, what was traded, what was conserved, and what differs."""
    console.print(_orders(trial))
    console.print(_books(trial))
    if trial.outcome.cancels or trial.outcome.races:
        console.print(_cancels(trial.outcome))
    if trial.strikes:
        console.print(_strikes(trial.strikes))
    if trial.killed:
        console.print(_kills(trial.killed))
    told = ", ".join(f"{name} {n}" for name, n in trial.outcome.answers.most_common())
    console.print(f"users were told: {told}")
    if trial.outcome.repeated:
        again = ", ".join(f"{name} {n}" for name, n in trial.outcome.repeated.most_common())
        console.print(f"asked again: {again}")
    for name in never_struck(trial.strikes):
        console.print(f"[red]never struck[/]: {name}")
    for text in trial.outcome.lost[:DIFFERENCES_SHOWN]:
        console.print(f"[red]without an answer[/]: {text}")
    for difference in trial.differences[:DIFFERENCES_SHOWN]:
        console.print(f"[red]differs[/]: {difference}")
    hidden = len(trial.differences) - DIFFERENCES_SHOWN
    if hidden > 0:
        console.print(f"[red]and {hidden} more[/]")
    if trial.is_good:
        console.print(
            "[green]ours equals the exchange's own list, order by order and execution by "
            "execution; every cent and share is where it belongs[/]"
        )


def _orders(trial: Trial) -> Table:
    table = Table(title=f"{len(trial.wishes)} orders in {trial.trading_seconds:.1f} s")
    table.add_column("state")
    for heading in ("orders", "shares", "filled"):
        table.add_column(heading, justify="right")
    for status in STATUSES:
        orders = [order for order in trial.ours.orders if order.status == status]
        if orders:
            shares = sum(order.shares for order in orders)
            filled = sum(order.filled_shares for order in orders)
            table.add_row(status, f"{len(orders):,}", f"{shares:,}", f"{filled:,}")
    table.add_section()
    every = trial.ours.orders
    table.add_row(
        "all",
        f"{len(every):,}",
        f"{sum(order.shares for order in every):,}",
        f"{sum(order.filled_shares for order in every):,}",
    )
    reasons = Counter(order.reason for order in every if order.status in ("rejected", "failed"))
    if reasons:
        table.caption = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    return table


def _books(trial: Trial) -> Table:
    ours = trial.ours
    table = Table(title="the books")
    table.add_column("what")
    table.add_column("value", justify="right")
    volume = sum(one.shares * one.price_cents for one in ours.executions)
    table.add_row("executions", f"{len(ours.executions):,}")
    table.add_row("shares traded", f"{sum(one.shares for one in ours.executions):,}")
    table.add_row("traded for", f"{volume / 100:,.2f}")
    for (account, asset), amount in sorted(ours.ledger.items()):
        if asset == CASH:
            table.add_row(f"cash, {account}", f"{amount / 100:,.2f}")
    assets = {asset for _, asset in ours.ledger}
    off = [a for a in assets if sum(n for (_, one), n in ours.ledger.items() if one == a)]
    table.add_row("assets whose ledger sums to zero", f"{len(assets) - len(off)} of {len(assets)}")
    table.add_row("orders in flight", f"{len(in_flight(ours))}")
    table.add_row("contradictions in our tables", f"{len(ours.contradictions)}")
    table.add_row("differences from the exchange's list", f"{len(trial.differences)}")
    table.add_row("settled after the last order", f"{trial.settling_seconds:.1f} s")
    for member, counts in trial.exchange.members.items():
        table.add_row(
            f"connections of {member} at the exchange (open now, most)",
            f"{counts.open_connections}, {counts.connections_max}",
        )
    return table


def _cancels(outcome: Outcome) -> Table:
    table = Table(title="cancels")
    table.add_column("answer")
    table.add_column("of a resting order", justify="right")
    table.add_column("racing the fill", justify="right")
    for answer in dict.fromkeys((*outcome.cancels, *outcome.races)):
        table.add_row(answer, str(outcome.cancels[answer]), str(outcome.races[answer]))
    return table


def _strikes(strikes: Sequence[Strikes]) -> Table:
    """One line a fault, and how often it struck where."""
    places = list(dict.fromkeys(one.where for one in strikes))
    fired = {(one.action, one.where): one.fired for one in strikes}
    table = Table(title="what the exchange did wrong")
    table.add_column("fault")
    for place in places:
        table.add_column(place, justify="right")
    for action in dict.fromkeys(one.action for one in strikes):
        struck = (fired.get((action, place)) for place in places)
        table.add_row(action, *("" if n is None else str(n) for n in struck))
    return table


def _kills(killed: Sequence[Killed]) -> Table:
    table = Table(title="killed with SIGKILL")
    for heading in ("process", "after orders", "pid before", "pid after", "restarts"):
        table.add_column(heading, justify="right" if heading != "process" else "left")
    for one in killed:
        table.add_row(
            one.kill.name,
            str(one.kill.after_orders),
            str(one.before.pid),
            str(one.after.pid) if one.after and one.happened else "[red]did not come back[/]",
            str(one.after.restarts) if one.after else "",
        )
    return table
