"""The claim of a placement: its key, its tokens, its turn among the user's orders of a symbol."""

import asyncio
import math
from dataclasses import dataclass
from typing import Final

from api.errors import ProblemError, no_account
from api.idempotency import body_hash
from api.node import NodeState
from api.order_watch import order_notices
from api.schemas import PlaceOrder
from brokerage.contracts.ids import order_id_for
from brokerage.storage import admission
from brokerage.storage.admission import Claim, RateRefusal

TURN_SECONDS: Final = 0.25
"""How long an order waits for the one before it: the same user, the same symbol."""
LOOK_SECONDS: Final = 0.05
QUEUE_SECONDS: Final = 2.0
"""How long a claim waits for the claims of the same user that came to this node before it."""
SCOPES: Final = {
    "user": "you place",
    "symbol": "all users together place, of this symbol,",
    "global": "all users together place",
}


@dataclass(frozen=True, slots=True)
class Placement:
    """One request to place: who, under which key, from where, what."""

    user_id: str
    key: str
    address: str
    order: PlaceOrder

    @property
    def order_id(self) -> str:
        """The order that this user means by this key, whether it exists or not."""
        return order_id_for(self.user_id, self.key)


async def claim(node: NodeState, placement: Placement, last_price_cents: int) -> Claim:
    """A claim that stands, new or known.

    Raises `ProblemError` idempotency-key-reused, no-account, rate-limited, placing-in-progress;
    then nothing was claimed and no token taken. Raises DatabaseUnavailable.
    """
    found = await _ask(node, placement, last_price_cents)
    if found.state == "placing":
        found = await _in_turn(node, placement, last_price_cents)
    if found.rate is not None:
        node.order_rates.learn(placement.user_id, found.rate)
    if found.state == "mismatch":
        raise key_reused()
    if found.state == "no-account":
        raise no_account()
    if found.refusal is not None:
        raise _rate_limited(found.refusal)
    if found.state == "placing":
        raise ProblemError(
            "placing-in-progress",
            f"another order of yours for {placement.order.symbol} is on its way to the exchange",
            retry_after_seconds=1,
        )
    return found


def key_reused() -> ProblemError:
    """The same key with another body."""
    return ProblemError("idempotency-key-reused", "the key belongs to an order with other terms")


async def _ask(node: NodeState, placement: Placement, last_price_cents: int) -> Claim:
    try:
        async with node.claim_turns.of(placement.user_id, QUEUE_SECONDS):
            return await admission.claim_key(
                node.pool,
                user_id=placement.user_id,
                key=placement.key,
                order_id=placement.order_id,
                symbol=placement.order.symbol,
                body_hash=body_hash(placement.order),
                last_price_cents=last_price_cents,
            )
    except TimeoutError as error:
        raise ProblemError("overloaded", "more of your orders are before this one") from error


async def _in_turn(node: NodeState, placement: Placement, last_price_cents: int) -> Claim:
    """Ask again when an order of the user moved, and now and then, holding nothing meanwhile."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + TURN_SECONDS
    async with order_notices(node, placement.user_id) as notices:
        while True:
            remaining_seconds = deadline - clock()
            await notices.wait(min(LOOK_SECONDS, max(0.0, remaining_seconds)))
            found = await _ask(node, placement, last_price_cents)
            if found.state != "placing" or remaining_seconds <= 0:
                return found


def _rate_limited(refusal: RateRefusal) -> ProblemError:
    return ProblemError(
        "rate-limited",
        f"{SCOPES[refusal.scope]} more than {refusal.per_second} orders a second",
        retry_after_seconds=max(1, math.ceil(refusal.retry_after_seconds)),
        scope=refusal.scope,
        limitPerSecond=refusal.per_second,
    )
