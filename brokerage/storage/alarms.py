"""What is counted of an order, and what an operator must hear of, once it is committed."""

from typing import Final

import structlog
from prometheus_client import Counter

from brokerage.domain.booking import Change
from brokerage.domain.ledger import CASH, LedgerAccount

log = structlog.get_logger()

ORDER_CHANGES: Final = Counter(
    "sherwood_order_changes",
    "Changes of orders that this process committed: what happened, and the status since.",
    ("kind", "status"),
)
ERROR_ACCOUNT_CENTS: Final = Counter(
    "sherwood_error_account_cents", "Cents posted to the error account, either way.", ("cause",)
)
ERROR_ACCOUNT_SHARES: Final = Counter(
    "sherwood_error_account_shares", "Shares posted to the error account, either way.", ("cause",)
)


def tell_of(change: Change) -> None:
    """Count a change; count and log every posting of it to the error account."""
    ORDER_CHANGES.labels(change.kind, change.order.status.value).inc()
    for posting in change.postings:
        if posting.account is not LedgerAccount.ERROR or posting.cause is None:
            continue
        counter = ERROR_ACCOUNT_CENTS if posting.asset == CASH else ERROR_ACCOUNT_SHARES
        counter.labels(posting.cause.value).inc(abs(posting.amount))
        log.error(
            "error_account_booked",
            cause=posting.cause.value,
            asset=posting.asset,
            amount=posting.amount,
            order_id=change.order.order_id,
            user_id=change.order.user_id,
            step=change.step,
        )
