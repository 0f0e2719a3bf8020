"""The kill switch at the moment a placement would leave.

Asked last, in the turn of the loop in which the bytes go: a gateway that was frozen finds here that
it knows the switch no more.
"""

from typing import Protocol

from brokerage.contracts.gateway import PlaceRequest
from brokerage.contracts.ids import account_ref_for
from brokerage.contracts.kill_switch import NO_NEW_ORDERS, Switches


class Known(Protocol):
    """`brokerage.bus.kill_switch.KillSwitch`, or what stands in for it."""

    @property
    def switches(self) -> Switches | None: ...


class Guard:
    """Says of a placement why it must not leave now."""

    def __init__(self, kill_switch: Known) -> None:
        self._kill_switch = kill_switch
        self._of: Switches | None = None
        self._accounts: frozenset[str] = frozenset()

    def forbidden(self, request: PlaceRequest) -> str | None:
        """The code of what forbids it: `kill-switch`, `kill-switch-unread`, or None."""
        switches = self._kill_switch.switches
        if switches is None:
            return "kill-switch-unread"
        if switches is not self._of:
            # An order names its account only, as it does at the exchange.
            self._accounts = frozenset(map(account_ref_for, switches.users))
            self._of = switches
        level = max(switches.everybody, switches.symbols.get(request.symbol, 0))
        is_stopped = level >= NO_NEW_ORDERS or request.account_ref in self._accounts
        return "kill-switch" if is_stopped else None
