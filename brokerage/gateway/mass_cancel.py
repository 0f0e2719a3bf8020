"""Level 2 of the kill switch: the exchange is told to cancel, and told again.

Nothing else is needed for it: no database, no workflows. What became of the orders comes over the
feed, like every end that nobody asked for by name. A placement whose answer was lost may reach the
book after the first mass cancel: so there are more, ever more rarely, for as long as the level is
set. Every gateway sends its own, after what it has under way.
"""

import time
from dataclasses import dataclass
from typing import Final

import structlog

from brokerage.bus.kill_switch import KillSwitch
from brokerage.contracts.ids import account_ref_for
from brokerage.contracts.kill_switch import CANCEL_ALL, Scope, Switches
from brokerage.gateway.exchange import ExchangeClient, NoAnswer
from brokerage.gateway.metrics import MASS_CANCELS
from brokerage.runtime.backoff import Backoff

log = structlog.get_logger()

AGAIN: Final = Backoff(0.5, 60.0)
UNANSWERED: Final = Backoff(0.1, 1.0)
LOOK_SECONDS: Final = 0.25
"""Whether the state can still be read shows only when it is looked at."""

Target = tuple[Scope, str]


@dataclass(slots=True)
class _Due:
    at: float = float("-inf")
    answers: int = 0
    failures: int = 0


class MassCancels:
    """Sends what the switch asks for, through `exchange`; `run` must run as long as the gateway."""

    def __init__(self, kill_switch: KillSwitch, exchange: ExchangeClient) -> None:
        self._kill_switch = kill_switch
        self._exchange = exchange
        self._due: dict[Target, _Due] = {}

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            wanted = targets(self._kill_switch.switches)
            self._due = {target: self._due.get(target, _Due()) for target in wanted}
            target = min(self._due, key=lambda one: self._due[one].at, default=None)
            if target is not None and self._due[target].at <= time.monotonic():
                await self._send(target, self._due[target])
                continue
            next_at = time.monotonic() + LOOK_SECONDS if target is None else self._due[target].at
            await self._kill_switch.changed(min(LOOK_SECONDS, next_at - time.monotonic()))

    async def _send(self, target: Target, due: _Due) -> None:
        scope, subject = target
        try:
            cancelled = await self._exchange.cancel_all(
                account_ref_for(subject) if scope == "user" else None,
                subject if scope == "symbol" else None,
            )
        except NoAnswer as error:
            MASS_CANCELS.labels(scope, error.code).inc()
            log.warning("mass_cancel_unanswered", scope=scope, subject=subject, error=str(error))
            due.failures += 1
            pause_seconds = UNANSWERED.pause_seconds(due.failures)
        else:
            MASS_CANCELS.labels(scope, "answered").inc()
            log.warning("mass_cancelled", scope=scope, subject=subject, orders=cancelled)
            due.answers, due.failures = due.answers + 1, 0
            pause_seconds = AGAIN.pause_seconds(due.answers)
        due.at = time.monotonic() + pause_seconds


def targets(switches: Switches | None) -> list[Target]:
    """For whom all is to be cancelled; everybody's stands for all others."""
    if switches is None:
        return []
    if switches.everybody >= CANCEL_ALL:
        return [("global", "")]
    users: list[Target] = [
        ("user", name) for name, level in switches.users.items() if level >= CANCEL_ALL
    ]
    symbols: list[Target] = [
        ("symbol", name) for name, level in switches.symbols.items() if level >= CANCEL_ALL
    ]
    return users + symbols
