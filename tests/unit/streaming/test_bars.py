"""The book of bars: whatever happens between two writes, each trade is in its bars once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from brokerage.domain.bars import Bar, BarInterval, span_ms
from brokerage.storage.bar_writes import BarKey, Progress
from exchange.protocol import Trade
from streaming.bars import ROWS_WAITING_MAX, BarBook, Batch
from tests.support.bars import bars_of

AT_MS = 1_790_000_000_000
SECOND, MINUTE, DAY = BarInterval


class Stored:
    """What Postgres would have: bars and progress, changed together."""

    def __init__(self) -> None:
        self.bars: dict[BarInterval, dict[BarKey, Bar]] = {one: {} for one in BarInterval}
        self.progress: Progress | None = None

    def write(self, batch: Batch) -> None:
        """Commit a batch."""
        self.progress = batch.progress
        for interval, bars in batch.bars.items():
            self.bars[interval].update(bars)

    def resumed(self, book: BarBook) -> BarBook:
        """The book as a writer that claims the bars now lets it begin."""
        progress = self.progress
        if progress is None:
            book.resume(None, {})
            return book
        open_bars = {
            interval: {
                symbol: replace(bar)
                for (symbol, start_ms), bar in bars.items()
                if start_ms == span_ms(interval, progress.traded_at_ms)[0]
            }
            for interval, bars in self.bars.items()
        }
        book.resume(progress, open_bars)
        return book


def trade(seq: int, price_cents: int = 100, symbol: str = "IBM", at_ms: int = AT_MS) -> Trade:
    """A trade of ten shares."""
    return Trade(seq, symbol, price_cents, 10, at_ms)


def followed(rows_waiting_max: int = ROWS_WAITING_MAX) -> BarBook:
    """A book of a feed that is connected and has nothing in Postgres."""
    book = BarBook(rows_waiting_max)
    book.connected("s1", 0, asked_seq=None)
    book.resume(None, {})
    return book


def taken(book: BarBook) -> Batch:
    """The batch that there must be."""
    batch = book.take_batch()
    assert batch is not None
    return batch


def test_trade_is_in_the_bars_of_its_second_minute_and_day() -> None:
    book = followed()

    book.take([trade(1, 100), trade(2, 130), trade(3, 90, at_ms=AT_MS + 999)])

    batch = taken(book)
    bar = Bar(100, 130, 90, 90, volume=30, notional_cents=3_200, trades=3)
    assert batch.bars == {
        interval: {("IBM", span_ms(interval, AT_MS)[0]): bar} for interval in BarInterval
    }
    assert batch.progress == Progress("s1", 3, AT_MS + 999)


def test_nothing_new_is_no_batch() -> None:
    book = followed()
    assert book.take_batch() is None
    book.take([trade(1)])
    book.note_written(taken(book))

    assert book.take_batch() is None
    assert book.rows_waiting() == 0


def test_batch_keeps_its_values_while_the_bars_go_on() -> None:
    book = followed()
    book.take([trade(1)])

    batch = taken(book)
    book.take([trade(2)])

    assert batch.bars[DAY]["IBM", span_ms(DAY, AT_MS)[0]].trades == 1
    book.note_written(batch)
    assert taken(book).bars[DAY]["IBM", span_ms(DAY, AT_MS)[0]].trades == 2


def test_lag_counts_from_the_oldest_trade_that_is_not_stored() -> None:
    book = followed()
    assert book.lag_seconds() == 0.0

    book.take([trade(1)])
    batch = taken(book)
    book.take([trade(2)])
    in_flight = book.lag_seconds()
    book.put_back(batch)

    assert 0.0 < in_flight < book.lag_seconds()
    book.note_written(taken(book))
    assert book.lag_seconds() == 0.0
    book.refuse()
    assert book.lag_seconds() > 0.0


def test_trade_with_an_earlier_time_belongs_to_the_second_that_is_open() -> None:
    book = followed()

    book.take([trade(1, at_ms=AT_MS + 1_000), trade(2, at_ms=AT_MS)])

    assert {key: bar.trades for key, bar in taken(book).bars[SECOND].items()} == {
        ("IBM", AT_MS + 1_000): 2
    }


def test_new_book_refuses_until_somebody_knows_where_to_begin() -> None:
    book = BarBook()
    book.connected("s1", 5, asked_seq=None)

    book.take([trade(6)])

    assert book.refusing
    assert not book.wants_replay
    book.resume(Progress("s1", 3, AT_MS), {one: {} for one in BarInterval})
    assert book.wants_replay
    assert book.taken_seq == 3


def test_book_that_lacks_nothing_wants_no_replay() -> None:
    book = BarBook()
    book.connected("s1", 5, asked_seq=None)

    book.resume(Progress("s1", 5, AT_MS), {one: {} for one in BarInterval})

    assert not book.wants_replay


def test_connection_that_was_asked_for_the_rest_is_given_time_to_bring_it() -> None:
    book = BarBook()
    book.resume(Progress("s1", 3, AT_MS), {one: {} for one in BarInterval})

    book.connected("s1", 9, asked_seq=4)
    assert book.wants_replay
    book.connected("s1", 9, asked_seq=3)
    assert not book.wants_replay
    book.take([trade(3), trade(4)])

    assert book.taken_seq == 4
    assert taken(book).bars == bars_of([trade(4)])


def test_jump_leaves_trades_with_the_exchange() -> None:
    book = followed()
    book.take([trade(1)])

    book.take([trade(3)])

    assert book.wants_replay
    assert book.taken_seq == 1


def test_trades_that_are_no_longer_replayed_are_skipped_and_nothing_twice() -> None:
    book = followed()
    book.take([trade(1)])

    book.skip_to(10)
    book.take([trade(10), trade(11)])

    batch = taken(book)
    assert batch.progress.trade_seq == 11
    assert batch.bars[DAY]["IBM", span_ms(DAY, AT_MS)[0]].trades == 2


def test_other_session_begins_with_its_first_trade_and_goes_on_with_the_bars() -> None:
    book = followed()
    book.take([trade(1), trade(2)])

    book.connected("s2", 1, asked_seq=2)
    assert book.wants_replay
    book.connected("s2", 1, asked_seq=0)
    book.take([trade(1)])

    batch = taken(book)
    assert batch.progress == Progress("s2", 1, AT_MS)
    assert batch.bars[DAY]["IBM", span_ms(DAY, AT_MS)[0]].trades == 3


def test_progress_in_another_session_is_not_gone_on_from() -> None:
    book = BarBook()
    book.connected("s2", 7, asked_seq=None)

    book.resume(Progress("s1", 900, AT_MS), {one: {} for one in BarInterval})

    assert book.taken_seq == 0
    assert book.wants_replay


def test_full_book_leaves_trades_with_the_exchange_until_there_is_room() -> None:
    book = followed(rows_waiting_max=10)
    trades = [trade(seq, at_ms=AT_MS + 1_000 * seq) for seq in range(1, 20)]
    stored = Stored()

    for one in trades:
        book.take([one])

    kept = book.taken_seq
    assert 1 < kept < 19
    assert not book.wants_replay
    assert book.wanted_after is None
    batch = taken(book)
    stored.write(batch)
    book.note_written(batch)
    assert stored.bars == bars_of(trades[:kept])
    assert book.wants_replay
    assert book.wanted_after == kept
    book.connected("s1", 19, asked_seq=kept)
    book.take(trades[kept:])
    stored.write(taken(book))
    assert stored.bars == bars_of(trades)


class Run:
    """A feed's life: what is traded, what the book of this run has, what is stored."""

    def __init__(self, rows_waiting_max: int) -> None:
        self.trades = [trade(1)]
        self.at_ms = AT_MS
        self.stored = Stored()
        self.rows_waiting_max = rows_waiting_max
        self.book = followed(rows_waiting_max)
        self.book.take(self.trades)

    def trade(self, prints: Sequence[tuple[str, int, int]]) -> None:
        """One frame of trades (symbol, price, pause before it)."""
        before = len(self.trades)
        for symbol, price_cents, pause_ms in prints:
            self.at_ms += pause_ms
            self.trades.append(Trade(len(self.trades) + 1, symbol, price_cents, 7, self.at_ms))
        self.book.take(self.trades[before:])

    def lose_frame(self) -> None:
        """A trade is lost with its connection; the next connection replays it."""
        self.trades.append(trade(len(self.trades) + 1, at_ms=self.at_ms))
        self._connect()

    def crash(self) -> None:
        """Another run takes over; it only knows what is stored."""
        self.book = BarBook(self.rows_waiting_max)
        self.book.connected("s1", len(self.trades), asked_seq=None)
        self.stored.resumed(self.book)
        self.replay()

    def write(self, *, is_stored: bool, is_known: bool) -> None:
        """A batch is written, and more is traded meanwhile."""
        batch = self.book.take_batch()
        if batch is None:
            return
        # In the second that is being written, and in the next.
        self.trade([("IBM", 100, 0), ("SPY", 200, 1_000)])
        if is_stored:
            self.stored.write(batch)
        if is_known:
            self.book.note_written(batch)
        else:
            self.book.put_back(batch)
        self.replay()

    def replay(self) -> None:
        """The feed connects again if the book wants it to."""
        if self.book.wants_replay:
            self._connect()

    def _connect(self) -> None:
        wanted = self.book.wanted_after
        asked_seq = len(self.trades) if wanted is None else wanted
        self.book.connected("s1", len(self.trades), asked_seq)
        if self.trades[asked_seq:]:
            self.book.take(self.trades[asked_seq:])


PRINTS = st.tuples(
    st.sampled_from(["IBM", "SPY", "BAC"]),
    st.integers(1, 100_000),
    st.sampled_from([0, 0, 300, 1_000, 61_000, 40_000_000]),
)
STEPS = st.one_of(
    st.lists(PRINTS, min_size=1, max_size=8).map(lambda prints: lambda run: run.trade(prints)),
    st.just(Run.lose_frame),
    st.just(Run.crash),
    st.just(lambda run: run.write(is_stored=True, is_known=True)),
    st.just(lambda run: run.write(is_stored=True, is_known=False)),
    st.just(lambda run: run.write(is_stored=False, is_known=False)),
)


@given(st.lists(STEPS, max_size=40), st.sampled_from([5, 20, ROWS_WAITING_MAX]))
def test_bars_hold_every_trade_once_whatever_fails_between_two_writes(
    steps: list[Callable[[Run], None]], rows_waiting_max: int
) -> None:
    run = Run(rows_waiting_max)

    for step in steps:
        step(run)

    while (batch := run.book.take_batch()) is not None:
        run.stored.write(batch)
        run.book.note_written(batch)
        run.replay()
    assert run.stored.bars == bars_of(run.trades)
    assert run.stored.progress == Progress("s1", len(run.trades), run.at_ms)
