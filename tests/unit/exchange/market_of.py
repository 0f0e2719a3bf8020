"""A small market for tests: two recorded symbols, a few that walk, an engine over them."""

from collections.abc import Iterable

from exchange.directory import Security
from exchange.engine import Engine
from exchange.inputs import Entry, Input, Outcome, Place
from exchange.market import Market
from exchange.protocol import Placement, PlacementReply
from exchange.registry import Registry
from exchange.tape import Tape, parse_tape

SECURITIES = tuple(
    Security(symbol, f"{symbol} Inc.", cents)
    for symbol, cents in (("REC", 1000), ("TAP", 5000), ("WLK", 2000), ("RND", 300))
)
NOW_MS = 1_700_000_000_000


def tape_of(rows: Iterable[tuple[int, str, int, int]], name: str = "day-2013-10-07.csv") -> Tape:
    """Return a tape; times count from the opening, in ms."""
    lines = [f"{34_200_000 + at},{symbol},{cents},{shares}" for at, symbol, cents, shares in rows]
    content = "\n".join(["time_ms,symbol,price_cents,shares", *lines])
    return parse_tape(content.encode(), name)


TAPE = tape_of(
    (at * 1000, symbol, cents + (at * 7) % 11 - 5, 50 + (at * 37) % 400)
    for at in range(1, 400)
    for symbol, cents in (("REC", 1000), ("TAP", 5000))
)


def market_of(
    tape: Tape = TAPE, seed: int = 1, rate: float = 0.5, days_max: int | None = None
) -> Market:
    """Return a market at its first print."""
    return Market(SECURITIES, tape, seed=seed, walk_prints_per_second=rate, days_max=days_max)


class Exchange:
    """An engine that numbers its own inputs; all of one member, unless one is named."""

    def __init__(self, tape: Tape = TAPE, seed: int = 1) -> None:
        self.engine = Engine(SECURITIES, market_of(tape, seed), Registry("T"))
        self.entries: list[Entry] = []
        self.outcomes: list[Outcome] = []
        self.now_ms = NOW_MS
        self.advance(len(SECURITIES))

    def apply(self, one: Input, member: str = "m") -> Outcome:
        """Apply an input, a millisecond after the one before."""
        self.now_ms += 1
        number, position = self.engine.input_number + 1, self.engine.market.position
        return self._keep(Entry(number, position, self.now_ms, member, one))

    def advance(self, prints: int) -> Outcome | None:
        """Let the market go on; return what came of it for members, None if nothing."""
        self.now_ms += 1
        self.engine.run_until(2**62, prints, self.now_ms)
        noted = self.engine.note_advance(self.now_ms)
        if noted is None:
            return None
        self.entries.append(noted[0])
        self.outcomes.append(noted[1])
        return noted[1]

    def place(self, client_order_id: str, member: str = "m", **terms: object) -> PlacementReply:
        """Place a buy of 10 REC at any price; `terms` replace any of that."""
        reply = self.apply(Place(placement(client_order_id, **terms)), member).reply
        assert isinstance(reply, PlacementReply)
        return reply

    def price(self, symbol: str) -> int:
        """Return the last price."""
        state = self.engine.floor.symbol(symbol)
        assert state is not None
        return state.price_cents

    def liquidity(self, symbol: str) -> int:
        """Return the shares that stand at the last price."""
        state = self.engine.floor.symbol(symbol)
        assert state is not None
        return state.liquidity_shares

    def _keep(self, entry: Entry) -> Outcome:
        outcome = self.engine.apply(entry)
        self.entries.append(entry)
        self.outcomes.append(outcome)
        return outcome


def placement(client_order_id: str, **terms: object) -> Placement:
    """Return a buy of 10 REC at any price; `terms` replace any of that."""
    wanted: dict[str, object] = {
        "client_order_id": client_order_id,
        "account": "acct",
        "symbol": "REC",
        "side": "buy",
        "price_cents": 100_000,
        "shares": 10,
        "send_by_ms": NOW_MS + 10**9,
    }
    return Placement(**(wanted | terms))  # type: ignore[arg-type]
