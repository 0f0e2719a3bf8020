"""The Idempotency-Key header: one UUID, as an RFC 8941 string or bare."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from api.errors import ProblemError
from api.schemas import PlaceOrder

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
    """SHA-256 of the order that is meant: spaces, field order and spelt-out defaults do not count.

    Kept beside every key: a change of this text makes every known key look reused.
    """
    canonical = {
        "numShares": order.num_shares,
        "position": order.position,
        "priceInCents": order.price_in_cents,
        "symbol": order.symbol,
        "timeInForce": order.time_in_force,
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()
