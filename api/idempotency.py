"""The Idempotency-Key header: one UUID, as an RFC 8941 string or bare."""

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from api.errors import ProblemError
from api.schemas import PlaceOrder
from brokerage.contracts.placements import terms_hash

KEY: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE
)


def parse_key(values: Sequence[str]) -> str:
    """The key of these header values, in lower case with hyphens; raises `ProblemError`."""
    if not values:
        raise ProblemError("idempotency-key-missing", "the request has no Idempotency-Key header")
    if len(values) > 1:
        raise ProblemError("idempotency-key-malformed", "there is more than one Idempotency-Key")
    text = values[0].strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not KEY.fullmatch(text):
        raise ProblemError("idempotency-key-malformed", "the Idempotency-Key is not a UUID")
    return str(UUID(text))


def body_hash(order: PlaceOrder) -> bytes:
    """What is kept of a body beside its key."""
    return terms_hash(
        position=order.position,
        symbol=order.symbol,
        shares=order.num_shares,
        price_cents=order.price_in_cents,
        time_in_force=order.time_in_force,
    )
