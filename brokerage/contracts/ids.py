"""Names that are derived, never drawn: the same request is the same order, everywhere, for ever."""

import hashlib
from typing import Final
from uuid import UUID, uuid5

SHERWOOD_NAMESPACE: Final = UUID("6f0f6e0a-3d0c-5b53-9d5c-8f0d1c1e7a11")
"""Changing this changes the id of every order ever placed: it is part of the data."""

PLACED_UPDATE_ID: Final = "placed"
ORDERS_TASK_QUEUE: Final = "orders"
RECONCILIATION_ID: Final = "reconciliation"
"""The schedule of the daily run, and the beginning of its runs' workflow ids."""
RECONCILIATION_ON_DEMAND_ID: Final = "reconciliation-on-demand"
"""The workflow of those that operators start: one at a time, who asks meanwhile joins it."""


def order_id_for(user_id: str, idempotency_key: str) -> str:
    """The order that this user means by this key."""
    return str(uuid5(SHERWOOD_NAMESPACE, f"{user_id}:{idempotency_key}"))


def is_order_id(text: str) -> bool:
    """Whether an order of ours can be called so; the exchange's other members call theirs as they
    like.
    """
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def account_ref_for(user_id: str) -> str:
    """The account as the exchange knows it: stable, and tells nothing about the person."""
    return str(uuid5(SHERWOOD_NAMESPACE, f"account:{user_id}"))


def workflow_id_for(order_id: str) -> str:
    """The one workflow of an order."""
    return f"order-{order_id}"


def fill_update_id(report_ids: list[str]) -> str:
    """Equal reports are one update: Temporal then answers a repeat without asking the workflow."""
    return "fill-" + hashlib.sha256("\n".join(report_ids).encode()).hexdigest()[:32]
