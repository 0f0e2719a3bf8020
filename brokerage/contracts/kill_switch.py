"""The kill switch: what it forbids at which level, for whom, and the act that set it so.

Level 1 takes no new orders, 2 also cancels all that is open, 3 also holds back the booking of
executions. A cancel passes at every level.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

Scope = Literal["global", "user", "symbol"]

NO_NEW_ORDERS: Final = 1
CANCEL_ALL: Final = 2
PAUSE_EXECUTIONS: Final = 3
LEVEL_MAX: Final = PAUSE_EXECUTIONS
SUBJECTS_MAX: Final = 1_000
"""Users and symbols switched at one time. More of them are no exception any more: switch all."""


@dataclass(frozen=True, slots=True)
class SwitchAct:
    """Who set the switch of which scope from what to what, when, and why.

    `subject` is the user or the symbol, empty for everybody. `before` is None for the first.
    """

    act_id: str
    at_ms: int
    operator: str
    address: str
    reason: str
    scope: Scope
    subject: str
    level: int
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Switches:
    """The whole state, and the act that made it so. Users and symbols at level 0 are left out."""

    act: SwitchAct
    everybody: int = 0
    users: Mapping[str, int] = field(default_factory=dict)
    symbols: Mapping[str, int] = field(default_factory=dict)

    def level(self, user_id: str, symbol: str) -> int:
        """What counts for orders of the user in the symbol: the strictest of the three."""
        return max(self.everybody, self.users.get(user_id, 0), self.symbols.get(symbol, 0))

    def level_of(self, scope: Scope, subject: str) -> int:
        """What this one switch is set to."""
        if scope == "global":
            return self.everybody
        return (self.users if scope == "user" else self.symbols).get(subject, 0)

    def after(self, act: SwitchAct) -> "Switches":
        """The state that the act makes of this one."""
        act = replace(act, before=self.level_of(act.scope, act.subject))
        if act.scope == "global":
            return replace(self, act=act, everybody=act.level)
        before = self.users if act.scope == "user" else self.symbols
        others = {name: level for name, level in before.items() if name != act.subject}
        after = others | ({act.subject: act.level} if act.level else {})
        if act.scope == "user":
            return replace(self, act=act, users=after)
        return replace(self, act=act, symbols=after)
