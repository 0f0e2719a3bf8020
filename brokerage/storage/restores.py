"""The key of an order that came back from the exchange, which alone does not know it."""

from collections.abc import Sequence

import asyncpg

from brokerage.domain.orders import Order
from brokerage.storage.pool import Connection


class Restores:
    """Within the transaction of one order's books."""

    def __init__(self, database: "Connection[asyncpg.Record]") -> None:
        self._database = database

    async def key_of(self, order: Order, body_hashes: Sequence[bytes]) -> str:
        """The key that the order is written under: the one that was claimed for it, if that is
        known. Else the order's id stands in for it, until a request with a body of one of these
        hashes that means this order gives it back.
        """
        claimed = await self._database.fetchval(
            "SELECT key FROM idempotency_keys WHERE user_id = $1 AND order_id = $2",
            order.user_id,
            order.order_id,
        )
        if claimed is not None:
            return str(claimed)
        await self._database.execute(
            "INSERT INTO restored_orders (order_id, user_id, body_hashes) VALUES ($1, $2, $3)",
            order.order_id,
            order.user_id,
            list(body_hashes),
        )
        await self._database.execute(
            "INSERT INTO idempotency_keys "
            "(user_id, key, order_id, body_hash, claimed_at, last_price_cents) "
            "VALUES ($1, $2, $2, $3, $4, $5)",
            order.user_id,
            order.order_id,
            body_hashes[0],
            order.created_at,
            order.price_cents,
        )
        return order.order_id
