"""What operators are told of one order, and of what is at risk."""

from datetime import datetime
from uuid import UUID

from client.models import Answer, Order


class Run(Answer, frozen=True, kw_only=True):
    """The order's newest run in Temporal; `step` is an activity that is repeated."""

    state: str
    task_failures: int
    attempt: int
    step: str | None = None
    next_attempt_at: datetime | None = None
    last_failure: str | None = None


class There(Answer, frozen=True, kw_only=True):
    """What the exchange answers about the order."""

    answer: str
    cumulative_shares: int
    status: str | None = None


class Standing(Answer, frozen=True, kw_only=True):
    """Where an order is, why, and what to do; `order` is None where there is no row of it, what
    could not be read is None too.
    """

    order_id: UUID
    at: datetime
    next_act: str
    because: str
    run: Run
    exchange: There
    user_id: str | None = None
    order: Order | None = None
    waits_for: str | None = None
    explanation: str | None = None
    not_before: datetime | None = None
    parked_reports: int | None = None
    dead_letters: int | None = None
    switch_level: int | None = None


class Exposure(Answer, frozen=True, kw_only=True):
    """What is at risk for one cause; `amount_cents` is None where a symbol has no price."""

    place: str
    cause: str
    count: int
    cash_cents: int
    is_complete: bool
    amount_cents: int | None = None
    oldest_at: datetime | None = None


class Risk(Answer, frozen=True, kw_only=True):
    """What is at risk, by place and cause."""

    at: datetime
    items: tuple[Exposure, ...]
    total_cents: int | None = None
