"""The running exchange: applies inputs, makes them durable in groups, then answers and publishes.

Nothing leaves before it is in the journal: replies, members' messages and public trades alike wait
for the commit of their group.
"""

import asyncio
import heapq
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import time as time_of_day
from typing import Final

import structlog

from exchange.calendar import last_day_end_ms
from exchange.engine import Engine, EngineState
from exchange.hub import Hub
from exchange.inputs import (
    BustExecution,
    CorrectExecution,
    EndDay,
    Entry,
    ExecuteOrder,
    Halt,
    Input,
    Outcome,
    Place,
    Release,
    Reply,
)
from exchange.journal import Journal
from exchange.protocol import Sessions, TradingStatus
from exchange.records import Order
from exchange.sessions import TradingBoard

log = structlog.get_logger()

_TICK_ELAPSED_MS_MAX: Final = 250.0
"""A process that was frozen goes on from where it was, it does not catch up."""
_TICK_PRINTS_MAX: Final = 20_000
_UNBOUND_PRINTS: Final = 2_000
"""At unbounded speed: prints between two looks at requests."""
_UNBOUND_BACKLOG_BYTES: Final = 1_000_000
_CHECKPOINT_SECONDS: Final = 15.0
_CHECKPOINT_INPUTS: Final = 2_000
_CHECKPOINT_PRINTS: Final = 50_000
_CHECKPOINT_SHARE: Final = 50.0
"""Checkpoints take at most one part in this many of the time."""
_RECORDS_IN_MEMORY_MAX: Final = 50_000


class VenueFailed(Exception):
    """The journal could not be written; nothing can be answered any more."""


def wall_ms() -> int:
    """Return the time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Venue:
    """One exchange at work, on one event loop; `failed` is called once, when it cannot go on."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        hub: Hub,
        *,
        speed: float,
        sessions: Sessions,
        day_end: time_of_day,
        at_ms: int,
        failed: Callable[[], None],
    ) -> None:
        self.engine: Final = engine
        self.journal: Final = journal
        self.hub: Final = hub
        self.speed = speed
        self._day_end = day_end
        self._failed = failed
        self._failure: BaseException | None = None
        self._group: list[tuple[Entry, Outcome]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._flush_planned = False
        self._market_ms = float(engine.market.next_ms)
        self._at_ms = at_ms
        self._board = TradingBoard(engine.floor, sessions, self.now_ms())
        self._held: list[tuple[int, int]] = [
            (order.release_at_ms, order.number)
            for order in engine.registry.live_orders()
            if order.held
        ]
        heapq.heapify(self._held)
        self._day_ended_ms = 0
        self._checkpoint_due = False
        self._checkpoint_at = time.monotonic()
        self._checkpoint_cost = 0.0
        self._checkpoint_input = engine.input_number
        self._checkpoint_position = engine.market.position

    def now_ms(self) -> int:
        """Return the time, never earlier than before: a clock set back must not reorder events."""
        self._at_ms = max(self._at_ms, wall_ms())
        return self._at_ms

    def is_open(self) -> bool:
        """Whether new orders are taken now."""
        return self._board.is_open(self.now_ms())

    @property
    def trading(self) -> TradingStatus:
        """What the members were told last of what is traded."""
        return self._board.status

    def switch_sessions(self, sessions: Sessions) -> None:
        """Take orders by other hours from now on, and say so."""
        self._board.switch(sessions)
        self.tick(0.0)

    def member_seq(self, member: str) -> int:
        """Return the number of the member's newest message."""
        state = self.engine.registry.members.get(member)
        return 0 if state is None else state.seq

    async def submit(self, member: str, inputs: Sequence[Input]) -> list[Reply]:
        """Apply inputs, one after the other, and return their replies once they are durable.

        Raises:
            VenueFailed: the journal could not be written.
        """
        if self._failure is not None:
            raise VenueFailed("the journal cannot be written") from self._failure
        replies = [self._apply(member, one) for one in inputs]
        if not self._flush_planned:
            # Whatever else arrived in this turn of the loop joins the same commit.
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush_group)
        durable = asyncio.get_running_loop().create_future()
        self._waiting.append(durable)
        await durable
        return replies

    def tick(self, elapsed_seconds: float) -> None:
        """Let the market go on by this much wall time, and do what is due."""
        if self._failure is not None:
            return
        now_ms = self.now_ms()
        # A closed market stands still; but every symbol has an opening price from the start.
        if self._board.is_open(now_ms) or self.engine.market.position == 0:
            self._go_on(elapsed_seconds, now_ms)
        reached = self.engine.note_advance(now_ms)
        if reached is not None:
            self._group.append(reached)
        while self._held and self._held[0][0] <= now_ms:
            _, number = heapq.heappop(self._held)
            order = self.engine.registry.live_order(number)
            if order is not None and order.held:
                self._apply("", Release(number))
        self._end_day(now_ms)
        self._plan_checkpoint()
        if self._group or self.engine.floor.trades or self._checkpoint_due:
            self._flush()
        self._tell_trading()

    def _go_on(self, elapsed_seconds: float, now_ms: int) -> None:
        market = self.engine.market
        if math.isinf(self.speed):
            if self.hub.backlog_bytes() < _UNBOUND_BACKLOG_BYTES:
                self.engine.run_until(2**62, _UNBOUND_PRINTS, now_ms)
            self._market_ms = float(market.next_ms)
        else:
            elapsed_ms = min(elapsed_seconds * 1000, _TICK_ELAPSED_MS_MAX)
            self._market_ms += elapsed_ms * self.speed
            count = self.engine.run_until(int(self._market_ms), _TICK_PRINTS_MAX, now_ms)
            if count == _TICK_PRINTS_MAX:
                self._market_ms = float(market.next_ms)

    def settle(self) -> None:
        """Commit and publish what waits, so that what is counted is what was sent."""
        if self._flush_planned and self._failure is None:
            self._flush()

    def beat(self) -> None:
        """Send the heartbeats."""
        self.settle()
        self.hub.beat(self.member_seq, self.trading.version, self.now_ms())

    def stop(self) -> None:
        """Write what is left and a last checkpoint."""
        if self._failure is None:
            self._checkpoint_due = True
            self._flush()

    def _apply(self, member: str, one: Input) -> Reply:
        engine = self.engine
        entry = Entry(engine.input_number + 1, engine.market.position, self.now_ms(), member, one)
        outcome = engine.apply(entry)
        self._group.append((entry, outcome))
        if isinstance(one, BustExecution | CorrectExecution | ExecuteOrder):
            # They change records that are long out of memory. A replay from an older checkpoint
            # would find them changed already.
            self._checkpoint_due = True
        elif isinstance(one, Halt):
            self._board.touch()
        elif isinstance(one, Place) and one.hold_until_ms:
            heapq.heappush(self._held, (one.hold_until_ms, engine.registry.counters.order))
        assert outcome.reply is not None
        return outcome.reply

    def _end_day(self, now_ms: int) -> None:
        ended_ms = last_day_end_ms(now_ms, self._day_end)
        if ended_ms == self._day_ended_ms:
            return
        self._day_ended_ms = ended_ms
        live = self.engine.registry.live_orders()
        if any(o.time_in_force == "day" and o.placed_at_ms < ended_ms for o in live):
            self._apply("", EndDay(ended_ms))

    def _plan_checkpoint(self) -> None:
        since = time.monotonic() - self._checkpoint_at
        if since < _CHECKPOINT_SHARE * self._checkpoint_cost:
            return
        self._checkpoint_due = self._checkpoint_due or (
            since >= _CHECKPOINT_SECONDS
            or self.engine.input_number - self._checkpoint_input >= _CHECKPOINT_INPUTS
            or self.engine.market.position - self._checkpoint_position >= _CHECKPOINT_PRINTS
        )

    def _flush_group(self) -> None:
        if self._flush_planned:
            self._flush()

    def _flush(self) -> None:
        """Commit the group, then let everything of it out."""
        if self._failure is not None:
            return
        self._flush_planned = False
        group, self._group = self._group, []
        waiting, self._waiting = self._waiting, []
        engine = self.engine
        began = time.monotonic()
        checkpoint: EngineState | None = None
        checkpoint_orders: list[Order] = []
        if self._checkpoint_due:
            checkpoint = engine.state(with_orders=False)
            checkpoint_orders = engine.registry.take_changed_orders()
        try:
            self.journal.write(
                group,
                engine.registry.take_changes(),
                engine.market.position,
                self._at_ms,
                checkpoint,
                checkpoint_orders,
            )
        except sqlite3.Error as error:
            log.exception("journal_failed")
            self._failure = error
            _settle(waiting, VenueFailed("the journal cannot be written"))
            self._failed()
            return
        if checkpoint is not None:
            self._note_checkpoint(began)
        trades, engine.floor.trades = engine.floor.trades, []
        if trades:
            self.hub.publish_trades(trades, self._at_ms)
        messages = [message for _, outcome in group for message in outcome.messages]
        if messages:
            self.hub.publish_messages(messages)
        self._tell_trading()
        _settle(waiting, None)

    def _tell_trading(self) -> None:
        """Tell all members what is traded if that has changed; the change is durable by now."""
        if self._failure is None and (news := self._board.news(self._at_ms)) is not None:
            self.hub.publish_trading(news)

    def _note_checkpoint(self, began: float) -> None:
        self._checkpoint_due = False
        self._checkpoint_at = time.monotonic()
        self._checkpoint_cost = self._checkpoint_at - began
        self._checkpoint_input = self.engine.input_number
        self._checkpoint_position = self.engine.market.position
        if self.engine.registry.held_records() > _RECORDS_IN_MEMORY_MAX:
            self.engine.registry.forget_ended()


def _settle(waiting: Sequence[asyncio.Future[None]], failure: VenueFailed | None) -> None:
    """Let those who wait for a commit go on; some may have gone away meanwhile."""
    for durable in waiting:
        if durable.done():
            continue
        if failure is None:
            durable.set_result(None)
        else:
            durable.set_exception(failure)
