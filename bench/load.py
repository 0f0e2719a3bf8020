"""`python -m bench.load`: the load generator, a process of its own.

Reads a `LoadSpec` from standard input and writes a `LoadResult` to standard output, as JSON lines.
"""

import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal
from uuid import uuid4

import msgspec
import uvloop

from bench.loops import Ask, Samples, closed_loop, open_loop
from bench.order_streams import order_streams
from bench.rawhttp import Answer, BadAnswer, Connection
from bench.shape_client import BareOrders

KEPT_SECONDS: Final = 3.0
"""Below the API's own limit, so that no request meets a connection that is just being closed."""


class Listed(msgspec.Struct):
    """A symbol and its last price, from which the limits are made."""

    symbol: str
    price_cents: int


class LoadSpec(msgspec.Struct):
    """What to do: `rate` requests a second, or as many as `clients` can.

    `place` places orders at `api_url` as the users of `tokens`, whose order streams are open if it
    is `watched`; `cancel` places as many that rest, unmeasured, and then cancels them; `bare` runs
    the workflow without activities at `temporal_address`.
    """

    kind: Literal["place", "cancel", "bare"]
    seconds: float
    rate: float | None = None
    clients: int | None = None
    watched: bool = False
    api_url: str = ""
    tokens: list[str] = []
    listed: list[Listed] = []
    temporal_address: str = ""


class LoadResult(msgspec.Struct):
    """What was measured, the orders answered 201 (bare: the workflows' ids), what this process
    itself took, and by execution the wall time in ms at which its owner's stream told it.
    """

    samples: Samples
    order_ids: list[str]
    cpu_seconds: float = 0.0
    arrived_ms: dict[str, float] = {}


LIMIT_PERCENT: Final = 7
"""How far limits are past the last price: they trade at once, wherever the market has gone."""


class HttpUsers:
    """Users in turns, on connections that are free, or new ones."""

    def __init__(self, spec: LoadSpec) -> None:
        self._url = spec.api_url
        self._heads = [f"Authorization: Bearer {token}\r\n" for token in spec.tokens]
        self._listed = spec.listed
        self._idle: list[Connection] = []
        self.placed: list[tuple[int, str]] = []
        """The number and the id of each order that was answered 201."""

    @property
    def order_ids(self) -> list[str]:
        """The orders answered 201."""
        return [order_id for _, order_id in self.placed]

    async def place(self, number: int) -> str:
        """Place one share, each user buying and selling the same symbol in turns."""
        return await self._place(number, self._trading(number))

    async def rest(self, number: int) -> str:
        """Place an order that never trades."""
        listed = self._listed[number % len(self._listed)]
        terms = {"position": "buy", "symbol": listed.symbol}
        return await self._place(number, {**terms, "numShares": 1, "priceInCents": 1})

    async def cancel(self, number: int) -> str:
        """Cancel the order that was placed as the one of this number, from 0."""
        user, order_id = self.placed[number]
        head = self._heads[user % len(self._heads)].encode()
        answer = await self._ask(lambda one: one.delete(f"/order/{order_id}", head))
        return answer if isinstance(answer, str) else str(answer.status)

    async def _place(self, number: int, body: Mapping[str, str | int]) -> str:
        head = f"{self._heads[number % len(self._heads)]}Idempotency-Key: {uuid4()}\r\n".encode()
        encoded = msgspec.json.encode(body)
        answer = await self._ask(lambda one: one.post("/order", head, encoded))
        if isinstance(answer, str):
            return answer
        if answer.status == 201:
            self.placed.append((number, msgspec.json.decode(answer.body)["id"]))
        return str(answer.status)

    async def _ask(self, ask: Callable[[Connection], Awaitable[Answer]]) -> Answer | str:
        """The answer, or what went wrong in a word."""
        try:
            connection = self._kept() or await Connection.open(self._url)
            answer = await ask(connection)
        except (BadAnswer, OSError) as error:
            return type(error).__name__
        self._idle.append(connection)
        return answer

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_seconds < KEPT_SECONDS:
                return connection
            connection.close()
        return None

    def _trading(self, number: int) -> dict[str, str | int]:
        user, turn = number % len(self._heads), number // len(self._heads)
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
        return body

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in self._idle:
            connection.close()


async def measure(spec: LoadSpec) -> LoadResult:
    """Do what the spec describes."""
    began = time.process_time()
    if spec.kind == "bare":
        async with BareOrders.connected(spec.temporal_address) as bare:
            samples = await _loop(spec, bare.ask)
        return LoadResult(samples, bare.workflow_ids, time.process_time() - began)
    users = HttpUsers(spec)
    try:
        async with order_streams(spec.api_url, spec.tokens if spec.watched else ()) as streams:
            if spec.kind == "cancel":
                rate = spec.rate or 1.0
                await _loop(spec, users.rest)
                samples = await open_loop(users.cancel, rate, len(users.placed) / rate)
            else:
                samples = await _loop(spec, users.place)
            if spec.watched:
                await streams.have_filled(users.order_ids)
    finally:
        users.close()
    cpu_seconds = time.process_time() - began
    return LoadResult(samples, users.order_ids, cpu_seconds, streams.arrived_ms)


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
