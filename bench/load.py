"""`python -m bench.load`: the load generator, a process of its own.

Reads a `LoadSpec` from standard input and writes a `LoadResult` to standard output, as JSON lines.
"""

import sys
import time
from typing import Final, Literal
from uuid import uuid4

import msgspec
import uvloop

from bench.loops import Ask, Samples, closed_loop, open_loop
from bench.rawhttp import BadAnswer, Connection
from bench.shape_client import BareOrders

KEPT_SECONDS: Final = 3.0
"""Below the API's own limit, so that no request meets a connection that is just being closed."""


class Listed(msgspec.Struct):
    """A symbol and its last price, from which the limits are made."""

    symbol: str
    price_cents: int


class LoadSpec(msgspec.Struct):
    """What to do: `rate` orders a second, or as many as `clients` can.

    `http` places orders at `api_url` as the users of `tokens`; `bare` runs the workflow without
    activities at `temporal_address`.
    """

    kind: Literal["http", "bare"]
    seconds: float
    rate: float | None = None
    clients: int | None = None
    api_url: str = ""
    tokens: list[str] = []
    listed: list[Listed] = []
    temporal_address: str = ""


class LoadResult(msgspec.Struct):
    """What was measured, the orders answered 201 (bare: the workflows' ids), and what this process
    itself took.
    """

    samples: Samples
    order_ids: list[str]
    cpu_seconds: float = 0.0


LIMIT_PERCENT: Final = 7
"""How far limits are past the last price: they trade at once, wherever the market has gone."""


class HttpOrders:
    """Places one share at a time, each user buying and selling the same symbol in turns."""

    def __init__(self, spec: LoadSpec) -> None:
        self._url = spec.api_url
        self._heads = [f"Authorization: Bearer {token}\r\n" for token in spec.tokens]
        self._listed = spec.listed
        self._idle: list[Connection] = []
        self.order_ids: list[str] = []

    async def ask(self, number: int) -> str:
        """Place the order of this number on a connection that is free, or a new one."""
        user = number % len(self._heads)
        head = f"{self._heads[user]}Idempotency-Key: {uuid4()}\r\n".encode()
        try:
            connection = self._kept() or await Connection.open(self._url)
            answer = await connection.post("/order", head, self._body(number, user))
        except (BadAnswer, OSError) as error:
            return type(error).__name__
        self._idle.append(connection)
        if answer.status == 201:
            self.order_ids.append(msgspec.json.decode(answer.body)["id"])
        return str(answer.status)

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_seconds < KEPT_SECONDS:
                return connection
            connection.close()
        return None

    def _body(self, number: int, user: int) -> bytes:
        turn = number // len(self._heads)
        listed = self._listed[(user + turn // 2) % len(self._listed)]
        is_buy = turn % 2 == 0
        body: dict[str, str | int] = {
            "position": "buy" if is_buy else "sell",
            "symbol": listed.symbol,
            "numShares": 1,
        }
        if number % 2:
            percent = 100 + (LIMIT_PERCENT if is_buy else -LIMIT_PERCENT)
            body["priceInCents"] = max(1, listed.price_cents * percent // 100)
        return msgspec.json.encode(body)

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in self._idle:
            connection.close()


async def measure(spec: LoadSpec) -> LoadResult:
    """Run the loop that the spec describes."""
    began = time.process_time()
    if spec.kind == "http":
        orders = HttpOrders(spec)
        try:
            samples = await _loop(spec, orders.ask)
        finally:
            orders.close()
        return LoadResult(samples, orders.order_ids, time.process_time() - began)
    async with BareOrders.connected(spec.temporal_address) as bare:
        samples = await _loop(spec, bare.ask)
    return LoadResult(samples, bare.workflow_ids, time.process_time() - began)


async def _loop(spec: LoadSpec, ask: Ask) -> Samples:
    if spec.rate is not None:
        return await open_loop(ask, spec.rate, spec.seconds)
    return await closed_loop(ask, spec.clients or 1, spec.seconds)


def main() -> None:
    """Read, measure, write."""
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=LoadSpec)
    result = uvloop.run(measure(spec))
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
