"""The bars in the making: every trade once and in order, and what of it Postgres lacks."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from brokerage.domain.bars import Bar, BarInterval, span_ms
from brokerage.storage.bar_writes import BarKey, Progress
from exchange.protocol import Trade
from streaming import bar_metrics

log = structlog.get_logger()

ROWS_WAITING_MAX: Final = 200_000
"""So many bars wait for Postgres at most: 25 minutes of 130 symbols that trade every second, a
minute of 3,000. Later trades are left with the exchange until half of that is stored."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Bars that changed, as they were after the trade that `progress` names."""

    progress: Progress
    bars: Mapping[BarInterval, Mapping[BarKey, Bar]]
    waiting_since: float | None

    def __len__(self) -> int:
        return sum(len(bars) for bars in self.bars.values())


@dataclass(slots=True)
class _Series:
    """The bars of one length: those of the span we are in, and ended ones not yet written."""

    interval: BarInterval
    start_ms: int = 0
    end_ms: int = 0
    bars: dict[str, Bar] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    ended: dict[BarKey, Bar] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.changed) + len(self.ended)

    def turn(self, at_ms: int) -> None:
        """Begin the span that holds `at_ms`."""
        for symbol in self.changed:
            self.ended[symbol, self.start_ms] = self.bars[symbol]
        self.changed.clear()
        self.bars = {}
        self.start_ms, self.end_ms = span_ms(self.interval, at_ms)

    def take_changed(self) -> dict[BarKey, Bar]:
        """Hand over what is not written; an open bar as a copy, since it goes on."""
        taken, self.ended = self.ended, {}
        for symbol in self.changed:
            taken[symbol, self.start_ms] = replace(self.bars[symbol])
        self.changed.clear()
        return taken

    def put_back(self, taken: Mapping[BarKey, Bar]) -> None:
        """Those were not written after all; what changed since is newer than they are."""
        for key, bar in taken.items():
            symbol, start_ms = key
            if start_ms == self.start_ms:
                self.changed.add(symbol)
            else:
                self.ended.setdefault(key, bar)


class BarBook:
    """Takes trades without waiting. A writer stores what changed, and says where to begin.

    Until it has said so the book is `refusing`, and while too much waits for Postgres it is full:
    trades are left with the exchange, which replays them when the feed connects again
    (`wants_replay`). `taken_seq` is the last trade taken.
    """

    def __init__(self, rows_waiting_max: int = ROWS_WAITING_MAX) -> None:
        self._rows_waiting_max = rows_waiting_max
        self._series = [_Series(interval) for interval in BarInterval]
        self._touched: set[str] = set()
        self._in_flight: Batch | None = None
        self._written: Progress | None = None
        self._waiting_since: float | None = time.monotonic()
        self._at_ms = 0
        self._next_turn_ms = 0
        self._session = ""
        self._newest_seq = 0
        self._behind = False
        self._full = False
        self._began = False
        self.taken_seq = 0
        self.refusing = True

    # -- what the feed says ---------------------------------------------------------------------

    @property
    def wants_replay(self) -> bool:
        """True while trades are missing that a new connection may bring."""
        return self._behind and self.wanted_after is not None

    @property
    def wanted_after(self) -> int | None:
        """The trade after which to replay; None while none could be taken."""
        return None if self.refusing or self._full else self.taken_seq

    def connected(self, session: str, trade_seq: int, asked_seq: int | None) -> None:
        """The exchange is at `trade_seq` of `session`; it was asked for all after `asked_seq`."""
        before, self._session, self._newest_seq = self._session, session, trade_seq
        if self.refusing:
            return
        if before and before != session:
            self._begin_session(before)
        self.taken_seq = min(self.taken_seq, trade_seq)
        self._behind = self.taken_seq < trade_seq and (
            asked_seq is None or asked_seq > self.taken_seq
        )

    def take(self, trades: Sequence[Trade]) -> None:
        """Add trades that follow one another without a gap; those taken before are left out."""
        if trades[-1].seq <= self.taken_seq:
            return
        self._newest_seq = trades[-1].seq
        if self.refusing or self._full:
            return
        known = self.taken_seq + 1 - trades[0].seq
        if known < 0:
            self._behind = True
            return
        self._add(trades[known:] if known else trades)
        self.taken_seq = self._newest_seq
        self._behind, self._began = False, True
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        if self.rows_waiting() > self._rows_waiting_max:
            self._full = True
            log.error("bars_full", rows=self.rows_waiting(), trade_seq=self.taken_seq)

    def skip_to(self, trade_seq: int) -> None:
        """The exchange no longer has what is missing up to `trade_seq`: go on after it."""
        self._newest_seq, self._behind = trade_seq, False
        if self.refusing or trade_seq <= self.taken_seq:
            return
        skipped = trade_seq - self.taken_seq
        if self._began:
            bar_metrics.SKIPPED.inc(skipped)
            log.error("bars_lack_trades", after=self.taken_seq, skipped=skipped)
        else:
            log.info("bars_begin", after=trade_seq)
        self.taken_seq, self._began = trade_seq, True

    # -- what the writer says -------------------------------------------------------------------

    def resume(
        self, progress: Progress | None, open_bars: Mapping[BarInterval, Mapping[str, Bar]]
    ) -> None:
        """Go on from what Postgres has: the last trade, and the bars of the spans it fell into."""
        self._forget()
        self._waiting_since = None
        self._written = progress
        self._began = progress is not None
        self.taken_seq = 0
        if progress is not None:
            self._at_ms = progress.traded_at_ms
            for series in self._series:
                series.turn(self._at_ms)
                series.bars = dict(open_bars[series.interval])
            self._next_turn_ms = min(series.end_ms for series in self._series)
            self._session = self._session or progress.session
            if progress.session == self._session:
                self.taken_seq = progress.trade_seq
            else:
                self._begin_session(progress.session)
        self.refusing = False
        self._behind = self.taken_seq < self._newest_seq
        log.info("bars_resume", after=self.taken_seq, newest=self._newest_seq)

    def refuse(self) -> None:
        """Let all go: whoever writes next begins from what is in Postgres."""
        self._forget()
        self._waiting_since = self._waiting_since or time.monotonic()
        self.refusing = True

    def take_batch(self) -> Batch | None:
        """What changed since the last batch, None if nothing did. `put_back` it if it fails."""
        progress = Progress(self._session, self.taken_seq, self._at_ms)
        if self.refusing or self._at_ms == 0 or progress == self._written:
            return None
        self._note_touched()
        bars = {series.interval: series.take_changed() for series in self._series}
        self._in_flight = batch = Batch(progress, bars, self._waiting_since)
        self._waiting_since = None
        return batch

    def note_written(self, batch: Batch) -> None:
        """The batch is stored."""
        self._in_flight = None
        self._written = batch.progress
        if self._full and self.rows_waiting() <= self._rows_waiting_max // 2:
            self._full = False
            self._behind = self.taken_seq < self._newest_seq

    def put_back(self, batch: Batch) -> None:
        """The batch is not stored, or nobody knows; its bars are in the next one again."""
        self._in_flight = None
        self._waiting_since = batch.waiting_since
        if self.refusing:
            return
        for series in self._series:
            series.put_back(batch.bars[series.interval])

    def rows_waiting(self) -> int:
        """How many bars are not written."""
        in_flight = 0 if self._in_flight is None else len(self._in_flight)
        return in_flight + sum(len(series) for series in self._series)

    def lag_seconds(self) -> float:
        """How long the bars have been behind: since the oldest trade came that is not stored, or
        since trades are refused.
        """
        since = self._waiting_since if self._in_flight is None else self._in_flight.waiting_since
        return 0.0 if since is None else time.monotonic() - since

    # -------------------------------------------------------------------------------------------

    def _begin_session(self, before: str) -> None:
        """Another history: every trade of it is new to us."""
        log.warning("bars_begin_session", session=self._session, before=before)
        self.taken_seq = 0

    def _add(self, trades: Iterable[Trade]) -> None:
        seconds, minutes, days = (series.bars for series in self._series)
        touch = self._touched.add
        for trade in trades:
            # A time earlier than the trade before counts as that one's: sequence is the order.
            if trade.at_ms > self._at_ms:
                self._at_ms = trade.at_ms
                if trade.at_ms >= self._next_turn_ms:
                    self._turn()
                    seconds, minutes, days = (series.bars for series in self._series)
            symbol, price_cents, shares = trade.symbol, trade.price_cents, trade.shares
            touch(symbol)
            for bars in (seconds, minutes, days):
                bar = bars.get(symbol)
                if bar is None:
                    bars[symbol] = Bar.of_trade(price_cents, shares)
                else:
                    bar.add(price_cents, shares)

    def _turn(self) -> None:
        self._note_touched()
        for series in self._series:
            if self._at_ms >= series.end_ms:
                series.turn(self._at_ms)
        self._next_turn_ms = min(series.end_ms for series in self._series)

    def _note_touched(self) -> None:
        for series in self._series:
            series.changed |= self._touched
        self._touched.clear()

    def _forget(self) -> None:
        self._series = [_Series(interval) for interval in BarInterval]
        self._touched.clear()
        self._full = False
        self._at_ms = self._next_turn_ms = 0
