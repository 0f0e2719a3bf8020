"""What holds whatever is asked, in whatever order."""

from collections import Counter, defaultdict

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.engine import Engine, EngineState
from exchange.inputs import (
    BustExecution,
    Cancel,
    CancelAll,
    EndDay,
    Halt,
    Input,
    Place,
    Release,
)
from exchange.journal import encode_outcome
from exchange.protocol import Cancellation, DayStart, Execution, MassCancellation
from exchange.registry import Registry
from tests.unit.exchange.market_of import SECURITIES, Exchange, market_of, placement

SYMBOLS = [security.symbol for security in SECURITIES]
client_order_ids = st.integers(0, 25).map(lambda number: f"c{number}")
places = st.builds(
    lambda client_order_id, symbol, side, edge, shares, tif, first: Place(
        placement(
            client_order_id,
            symbol=symbol,
            side=side,
            price_cents={"REC": 1000, "TAP": 5000, "WLK": 2000, "RND": 300}[symbol] + edge,
            shares=shares,
            time_in_force=tif,
        ),
        first_fill_shares=first,
    ),
    client_order_ids,
    st.sampled_from(SYMBOLS[:3]),
    st.sampled_from(["buy", "sell"]),
    st.integers(-8, 8),
    st.integers(1, 600),
    st.sampled_from(["day", "gtc", "ioc"]),
    st.none(),
)
rare: st.SearchStrategy[Input] = st.one_of(
    st.builds(lambda one: Cancel(Cancellation(one)), client_order_ids),
    st.just(CancelAll(MassCancellation(symbol="REC"))),
    st.builds(Halt, st.sampled_from(SYMBOLS), st.booleans()),
    st.builds(lambda number: BustExecution(f"ET-{number}"), st.integers(1, 5)),
    st.builds(
        lambda client_order_id: Place(placement(client_order_id), hold_until_ms=1),
        client_order_ids,
    ),
    st.builds(Release, st.integers(1, 20)),
    st.just(EndDay(2**50)),
)
steps = st.lists(
    st.one_of(places, places, places, rare, st.integers(1, 12)), min_size=1, max_size=60
)
Steps = list[Input | int]


def run(script: Steps) -> Exchange:
    exchange = Exchange()
    for number, step in enumerate(script):
        if isinstance(step, int):
            exchange.advance(step)
        else:
            exchange.apply(step, f"m{number % 2}")
    return exchange


@given(steps)
@settings(max_examples=60, deadline=None)
def test_no_order_is_overfilled_or_trades_beyond_its_limit(script: Steps) -> None:
    exchange = run(script)

    executed: Counter[str] = Counter()
    registry = exchange.engine.registry
    for outcome in exchange.outcomes:
        for _, message in outcome.messages:
            if isinstance(message, Execution):
                order = registry.order(message.order_id)
                assert order is not None
                executed[message.order_id] += message.shares
                assert executed[message.order_id] <= order.shares
                if order.side == "buy":
                    assert message.price_cents <= order.price_cents
                else:
                    assert message.price_cents >= order.price_cents


@given(steps)
@settings(max_examples=60, deadline=None)
def test_members_sequences_are_gapless_and_execution_ids_are_used_once(script: Steps) -> None:
    exchange = run(script)

    seqs: defaultdict[str, list[int]] = defaultdict(list)
    ids = []
    for outcome in exchange.outcomes:
        for member, message in outcome.messages:
            seqs[member].append(message.seq)
            if isinstance(message, Execution):
                ids.append(message.execution_id)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seqs.values())
    assert len(ids) == len(set(ids))


@given(steps)
@settings(max_examples=60, deadline=None)
def test_shares_executed_against_the_market_never_exceed_what_its_prints_brought(
    script: Steps,
) -> None:
    exchange = Exchange()
    brought: Counter[str] = Counter()
    for security in SECURITIES:
        brought[security.symbol] += exchange.liquidity(security.symbol)
    exchange.engine.floor.trades.clear()
    taken: Counter[str] = Counter()

    for number, step in enumerate(script):
        before = len(exchange.outcomes)
        if isinstance(step, int):
            exchange.advance(step)
        else:
            exchange.apply(step, f"m{number % 2}")
        for trade in exchange.engine.floor.trades:
            if isinstance(trade, DayStart):
                continue
            if isinstance(step, int):
                brought[trade.symbol] += max(trade.shares, 100)
            else:
                # A trade among members: two executions that took nothing from the market.
                taken[trade.symbol] -= 2 * trade.shares
        exchange.engine.floor.trades.clear()
        for outcome in exchange.outcomes[before:]:
            for _, message in outcome.messages:
                if isinstance(message, Execution):
                    taken[message.symbol] += message.shares

    assert all(taken[symbol] <= brought[symbol] for symbol in taken)
    assert all(count >= 0 for count in taken.values())


@given(steps)
@settings(max_examples=60, deadline=None)
def test_book_is_never_crossed_and_holds_exactly_the_live_orders(script: Steps) -> None:
    exchange = run(script)

    resting = []
    for symbol in SYMBOLS:
        book = exchange.engine.floor.book(symbol)
        buy, sell = book.buys.best(), book.sells.best()
        assert buy is None or sell is None or buy.price_cents < sell.price_cents
        resting += [order.number for side in (book.buys, book.sells) for order in side]
    live = [o.number for o in exchange.engine.registry.live_orders() if not o.held]
    assert sorted(resting) == live


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 300)), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_resting_orders_are_filled_by_price_then_time(wanted: list[tuple[int, int]]) -> None:
    exchange = Exchange()
    exchange.place("all", shares=exchange.liquidity("REC"))
    orders = [
        exchange.place(f"c{number}", price_cents=2000 + edge, shares=shares).order
        for number, (edge, shares) in enumerate(wanted)
    ]

    exchange.advance(600)

    executed = [
        message.order_id
        for outcome in exchange.outcomes
        for _, message in outcome.messages
        if isinstance(message, Execution)
    ]
    by_priority = sorted(
        (order for order in orders if order is not None),
        key=lambda order: (-order.price_cents, int(order.order_id.split("-")[1])),
    )
    assert list(dict.fromkeys(executed[1:])) == [order.order_id for order in by_priority]


@given(steps)
@settings(max_examples=40, deadline=None)
def test_same_journal_gives_the_same_bytes(script: Steps) -> None:
    exchange = run(script)

    again = Engine(SECURITIES, market_of(), Registry("T"))

    for entry, outcome in zip(exchange.entries, exchange.outcomes, strict=True):
        assert encode_outcome(again.replay(entry)) == encode_outcome(outcome)


@given(steps, steps)
@settings(max_examples=40, deadline=None)
def test_engine_restored_from_a_checkpoint_goes_on_the_same(first: Steps, then: Steps) -> None:
    exchange = run(first)
    # Busts name executions, which a checkpoint leaves to the archive.
    then = [step for step in then if not isinstance(step, BustExecution)]
    kept = msgspec.msgpack.encode(exchange.engine.state())
    registry = exchange.engine.registry
    done, position = len(exchange.entries), exchange.engine.market.position
    for number, step in enumerate(then):
        if isinstance(step, int):
            exchange.advance(step)
        else:
            exchange.apply(step, f"m{number % 2}")

    class Archive:
        """What was on record at the checkpoint is all found in the first registry."""

        def __init__(self) -> None:
            state = msgspec.msgpack.decode(kept, type=EngineState)
            self._orders_max = state.counters.order

        def order(self, number: int):  # type: ignore[no-untyped-def]
            return registry.order(f"XT-{number}") if number <= self._orders_max else None

        def order_by_client_id(self, member: str, client_order_id: str):  # type: ignore[no-untyped-def]
            found = registry.order_by_client_id(member, client_order_id)
            return found if found is not None and found.number <= self._orders_max else None

        def is_cancelled_ahead(self, member: str, client_order_id: str) -> bool:
            return any(
                isinstance(entry.input, Cancel)
                and entry.input.cancellation.client_order_id == client_order_id
                and entry.member == member
                and getattr(outcome.reply, "outcome", "") == "unknown-remembered"
                for entry, outcome in zip(exchange.entries[:done], exchange.outcomes, strict=False)
            )

        def execution(self, number: int) -> None:
            return None

    again = Engine(SECURITIES, market_of(), Registry("T", Archive()))
    again.restore(msgspec.msgpack.decode(kept, type=EngineState))

    assert again.market.position == position
    for entry, outcome in zip(exchange.entries[done:], exchange.outcomes[done:], strict=True):
        assert encode_outcome(again.replay(entry)) == encode_outcome(outcome)
