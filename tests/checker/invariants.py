"""Every invariant, in order: what docs/invariants.md lists is what is checked."""

from collections.abc import Callable, Iterable
from typing import Final

from tests.checker import agreed, money, orders, progress, told
from tests.checker.evidence import Evidence
from tests.checker.violations import Violation

INVARIANTS: Final[tuple[Callable[[Evidence], Iterable[Violation]], ...]] = (
    told.acknowledged_is_durable,
    told.one_order_a_key,
    agreed.sent_as_stored,
    agreed.written_before_sent,
    orders.transitions_are_legal,
    orders.shares_add_up,
    agreed.settled_once,
    money.price_is_protected,
    money.ledger_balances,
    money.balances_are_sums,
    money.holds_are_needed,
    money.executions_move_money_exactly,
    agreed.both_sides_agree,
    orders.every_change_has_its_event,
    told.reads_follow_writes,
    told.pages_are_whole,
    progress.stuck,
)


def check(evidence: Evidence) -> list[Violation]:
    """Everything that does not hold; nothing, of a system at rest that lost and doubled nothing."""
    return [violation for invariant in INVARIANTS for violation in invariant(evidence)]
