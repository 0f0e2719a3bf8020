"""What the API and the executions process ask of an order's workflow, and what it answers."""

from dataclasses import dataclass

from brokerage.contracts.events import ExecutionReport


@dataclass(frozen=True, slots=True)
class StartOrder:
    """The whole request, as the claim of its key fixed it; travels once, in the workflow's start.

    `claimed_at_ms` and `last_price_cents` come from the claim, so that every attempt decides with
    the same time and price. With `adopt`, the order's row exists already: the run reads it and
    reserves nothing, and only `order_id` and `user_id` are set.
    """

    order_id: str
    user_id: str
    symbol: str = ""
    side: str = ""
    shares: int = 0
    limit_price_cents: int | None = None
    time_in_force: str = "day"
    idempotency_key: str = ""
    claimed_at_ms: int = 0
    last_price_cents: int = 0
    address: str = ""
    adopt: bool = False


def adopt_order(order_id: str, user_id: str) -> StartOrder:
    """The start of a run that takes over an order from its row."""
    return StartOrder(order_id=order_id, user_id=user_id, adopt=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer that is kept for good: status and body, replayed byte for byte."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class OrderState:
    """What a workflow needs to know of its order's row; it adopts this and computes nothing.

    `settled` is true when the order has ended and all its executions are booked; `ended` when the
    exchange said that it ended there; `unanswered` while its answer to the placement is needed.
    `created` is true for the call that wrote the row. `reply` is the first definitive reply, where
    the call stored or read it. `shares`, `filled_shares` and `changed_at_ms`, the order's last
    change, are for the eyes of operators; 0 in what was recorded before they were told.
    """

    status: str
    version: int
    settled: bool
    ended: bool = False
    unanswered: bool = False
    created: bool = False
    external_order_id: str | None = None
    reply: Reply | None = None
    shares: int = 0
    filled_shares: int = 0
    changed_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class SettleRequest:
    """Book these reports of one order."""

    order_id: str
    user_id: str
    reports: list[ExecutionReport]


@dataclass(frozen=True, slots=True)
class SettleResult:
    """The ids that are booked now, these or before, and the order after it."""

    settled_ids: list[str]
    state: OrderState


@dataclass(frozen=True, slots=True)
class OrderKey:
    """Which order; the user names the partition it lies in."""

    order_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """Send the order's stored terms. `repeated`: an earlier attempt may have reached the exchange,
    so that a refusal of this one proves nothing.
    """

    order_id: str
    user_id: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """A customer's wish to cancel; `actor` and `address` go into the order's events."""

    actor: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The same for the activity that records it.

    `seen_version` is the order's version that the workflow knows: at another one nothing is
    recorded, so that a worker that was frozen meanwhile cannot record an old wish. None: at any.
    """

    order_id: str
    user_id: str
    actor: str
    address: str
    seen_version: int | None = None
