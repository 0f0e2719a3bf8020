"""The `sherwood` command: its commands put together. Each lies in a module of its subject."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import typer

from client.command.account import portfolio, portfolio_history, token
from client.command.asking import clock, why
from client.command.disarming import cancel_after
from client.command.doctor import doctor
from client.command.events import events
from client.command.executions import executions
from client.command.exit_codes import MEANINGS
from client.command.market import bars, symbols, watch
from client.command.ops import app as ops
from client.command.ops import dead_letters
from client.command.ops.books import error_account
from client.command.ops.kill_switch import kill, kill_switch, release
from client.command.ops.orders import order, risk
from client.command.ops.queries import queries
from client.command.ops.reconciliation import reconcile
from client.command.ops.trails import timeline, verify
from client.command.orders import orders
from client.command.previewing import holds, preview
from client.command.trading import buy, cancel, sell

app = typer.Typer(
    name="sherwood",
    help="Trade at Sherwood: place and cancel orders, watch prices and your portfolio.",
    epilog="Exit codes: "
    + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items())
    + ".\n\nEnvironment: SHERWOOD_API_URL (http://127.0.0.1:8000), SHERWOOD_TOKEN, SHERWOOD_USER.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PANELS: Final[Mapping[str, Sequence[Callable[..., None]]]] = {
    "Trading": (buy, sell, preview, cancel, cancel_after, orders, why, events, executions),
    "Market": (symbols, watch, bars, clock),
    "Account": (portfolio, portfolio_history, holds, token),
    "Operating": (doctor,),
}
OPERATING: Final[Sequence[Callable[..., None]]] = (
    *(order, risk, queries, timeline, verify, error_account),
    *(kill_switch, kill, release, reconcile),
)

for panel, commands in PANELS.items():
    for command in commands:
        app.command(command.__name__.replace("_", "-"), rich_help_panel=panel)(command)
for command in OPERATING:
    ops.app.command(command.__name__.replace("_", "-"))(command)
ops.app.add_typer(dead_letters.app)
app.add_typer(ops.app, rich_help_panel="Operating")


def main() -> None:
    """Run the command; the entry point."""
    app()


if __name__ == "__main__":
    main()
