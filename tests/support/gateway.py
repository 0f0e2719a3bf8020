"""Asking the gateway as those do who place orders: again, while its answer says nothing."""

from collections.abc import Awaitable, Callable
from typing import Final

from brokerage.contracts.gateway import GatewayReply
from tests.support.eventually import eventually

HELD_UP: Final = frozenset({"already-live", "egress-unread", "waited-too-long"})
"""Codes of what was not sent because the machine was busy, or with an attempt before."""
PATIENCE_SECONDS: Final = 60.0


async def heard(ask: Callable[[], Awaitable[GatewayReply]]) -> GatewayReply:
    """The first reply of a gateway that was not held up."""

    async def replied() -> GatewayReply:
        reply = await ask()
        assert reply.code not in HELD_UP, reply
        return reply

    reply: GatewayReply = await eventually(replied, "the gateway has the time", PATIENCE_SECONDS)
    return reply


async def definite(ask: Callable[[], Awaitable[GatewayReply]]) -> GatewayReply:
    """The first reply that says what became of it."""

    async def decided() -> GatewayReply:
        reply = await heard(ask)
        assert reply.outcome != "unknown", reply
        return reply

    reply: GatewayReply = await eventually(decided, "the gateway knows", PATIENCE_SECONDS)
    return reply
