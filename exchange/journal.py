"""The exchange's durable memory: one SQLite file, written in groups, read by queries and restarts.

`inputs` is the journal proper: what moved the exchange, where, when, and what came of it. `orders`,
`executions`, `messages` and `positions` are what came of it in the form that queries want. `market`
says how far the feed's readers have seen the market, `checkpoints` and `checkpoint_orders` hold the
newest state of the engine, so that a restart replays seconds and not days.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from exchange.engine import EngineState
from exchange.inputs import Entry, Input, Outcome
from exchange.records import LIVE, ExecutionRecord, Order
from exchange.registry import Changes

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS market (
    one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL, at_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS checkpoints (
    one INTEGER PRIMARY KEY CHECK (one = 1), input INTEGER NOT NULL, state BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS checkpoint_orders (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS inputs (
    number INTEGER PRIMARY KEY, position INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    member TEXT NOT NULL, input BLOB NOT NULL, outcome BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, member TEXT NOT NULL, client_order_id TEXT NOT NULL,
    input INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS orders_by_client_id ON orders (member, client_order_id);
CREATE INDEX IF NOT EXISTS orders_by_member ON orders (member, number);
CREATE TABLE IF NOT EXISTS executions (
    number INTEGER PRIMARY KEY, member TEXT NOT NULL, seq INTEGER NOT NULL,
    input INTEGER NOT NULL, busted INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS executions_by_member ON executions (member, seq);
CREATE TABLE IF NOT EXISTS messages (
    member TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (member, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_by_order
    ON messages (member, json_extract(CAST(body AS TEXT), '$.orderId'), seq);
CREATE TABLE IF NOT EXISTS positions (
    member TEXT NOT NULL, symbol TEXT NOT NULL, seq INTEGER NOT NULL,
    shares INTEGER NOT NULL, cents INTEGER NOT NULL, PRIMARY KEY (member, symbol, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cancelled_ahead (
    member TEXT NOT NULL, client_order_id TEXT NOT NULL, input INTEGER NOT NULL,
    PRIMARY KEY (member, client_order_id)
) WITHOUT ROWID;
"""
_POSITIONS_OF_OLD: Final = """
INSERT INTO positions
SELECT member, symbol, (SELECT max(seq) FROM messages m WHERE m.member = e.member),
    sum(sign * shares), sum(-sign * shares * price)
FROM (
    SELECT member, json_extract(text, '$.execution.symbol') AS symbol,
        json_extract(text, '$.execution.shares') AS shares,
        json_extract(text, '$.execution.priceCents') AS price,
        CASE json_extract(text, '$.execution.side') WHEN 'buy' THEN 1 ELSE -1 END AS sign
    FROM (SELECT member, CAST(body AS TEXT) AS text FROM executions WHERE NOT busted)
    WHERE NOT EXISTS (SELECT 1 FROM positions)
) e GROUP BY member, symbol
"""
"""A journal may be older than its positions: they begin with what its executions come to."""
_EVER: Final = 2**62
_encode = msgspec.json.Encoder().encode
_decode_order = msgspec.json.Decoder(Order).decode
_decode_execution = msgspec.json.Decoder(ExecutionRecord).decode
_decode_input = msgspec.json.Decoder(Input).decode


class JournalError(Exception):
    """The journal is another market's, another process writes it, or its replay differs."""


class Journal:
    """The open file. Not safe for several threads; every write is one transaction."""

    def __init__(self, path: Path, *, sync: str = "normal", read_only: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # One writer a file: a second exchange on the same journal must fail at once, not later.
        self._lock = None if read_only else _locked(path)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        # A commit reaches the system's memory: that survives any crash of this process. `full`
        # also survives one of the machine, at the price of a flush a commit.
        self._db.execute("PRAGMA journal_mode=wal")
        self._db.execute(f"PRAGMA synchronous={'full' if sync == 'full' else 'normal'}")
        # Checkpoints of the write-ahead log flush to disk; `tidy` does that apart from requests.
        self._db.execute("PRAGMA wal_autocheckpoint=20000")
        self._db.executescript(_SCHEMA)
        if not read_only:
            self._db.execute(_POSITIONS_OF_OLD)
        self._as_of_input = _EVER

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in."""
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)

    def facts(self) -> dict[str, str]:
        """Return what was noted when the journal was made."""
        return dict(self._db.execute("SELECT name, value FROM facts"))

    def note_facts(self, facts: dict[str, str]) -> None:
        """Note what the journal belongs to."""
        self._db.executemany("INSERT INTO facts (name, value) VALUES (?, ?)", facts.items())

    def write(
        self,
        group: Sequence[tuple[Entry, Outcome]],
        changes: Changes,
        position: int,
        at_ms: int,
        checkpoint: EngineState | None = None,
        checkpoint_orders: Sequence[Order] = (),
    ) -> None:
        """Make a group durable, all of it or nothing.

        A checkpoint comes without its orders, and with those that changed since the one before:
        writing all live ones anew would hold up every answer.

        Raises:
            sqlite3.Error: it could not be written; the engine is ahead of it and must stop.
        """
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            if group:
                self._write_group(group, changes)
            db.execute("INSERT OR REPLACE INTO market VALUES (1, ?, ?)", (position, at_ms))
            if checkpoint is not None:
                state = msgspec.msgpack.encode(checkpoint)
                values = (checkpoint.input_number, state)
                db.execute("INSERT OR REPLACE INTO checkpoints VALUES (1, ?, ?)", values)
                self._write_checkpoint_orders(checkpoint_orders)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _write_group(self, group: Sequence[tuple[Entry, Outcome]], changes: Changes) -> None:
        db = self._db
        last = group[-1][0].number
        db.executemany(
            "INSERT INTO inputs VALUES (?, ?, ?, ?, ?, ?)",
            [
                (e.number, e.position, e.at_ms, e.member, _encode(e.input), _encode(outcome))
                for e, outcome in group
            ],
        )
        # `input` stays what it was at first: it says from when on the record exists.
        db.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (number) DO UPDATE SET body = excluded.body",
            [
                (order.number, order.member, order.client_order_id, last, _encode(order))
                for order in changes.orders.values()
            ],
        )
        if changes.executions:
            db.executemany(
                "INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (number)"
                " DO UPDATE SET busted = excluded.busted, body = excluded.body",
                [
                    (r.number, r.member, r.execution.seq, last, r.busted, _encode(r))
                    for r in changes.executions.values()
                ],
            )
        messages = [
            (member, message.seq, _encode(message))
            for _, outcome in group
            for member, message in outcome.messages
        ]
        if messages:
            db.executemany("INSERT INTO messages VALUES (?, ?, ?)", messages)
        for move in changes.moves:
            shares, cents = self.position(move.member, move.symbol, move.seq)
            row = (move.member, move.symbol, move.seq, shares + move.shares, cents + move.cents)
            db.execute("INSERT INTO positions VALUES (?, ?, ?, ?, ?)", row)
        if changes.cancelled_ahead:
            rows = [(member, client_id, last) for member, client_id in changes.cancelled_ahead]
            db.executemany("INSERT OR IGNORE INTO cancelled_ahead VALUES (?, ?, ?)", rows)

    def _write_checkpoint_orders(self, orders: Sequence[Order]) -> None:
        ended = [(order.number,) for order in orders if order.status != LIVE]
        live = [(order.number, _encode(order)) for order in orders if order.status == LIVE]
        self._db.executemany("DELETE FROM checkpoint_orders WHERE number = ?", ended)
        self._db.executemany("INSERT OR REPLACE INTO checkpoint_orders VALUES (?, ?)", live)

    def look_as_of(self, input_number: int | None) -> None:
        """Show the archive as it was after an input, for a replay from there; None: as it is."""
        self._as_of_input = _EVER if input_number is None else input_number

    def order(self, number: int) -> Order | None:
        """Return the order of that number."""
        row = self._db.execute(
            "SELECT body FROM orders WHERE number = ? AND input <= ?", (number, self._as_of_input)
        ).fetchone()
        return None if row is None else _decode_order(row[0])

    def order_by_client_id(self, member: str, client_order_id: str) -> Order | None:
        """Return what the member placed, or tried to place, under its id."""
        row = self._db.execute(
            "SELECT body FROM orders WHERE member = ? AND client_order_id = ? AND input <= ?",
            (member, client_order_id, self._as_of_input),
        ).fetchone()
        return None if row is None else _decode_order(row[0])

    def is_cancelled_ahead(self, member: str, client_order_id: str) -> bool:
        """Whether a cancel for this id came before any placement of it."""
        row = self._db.execute(
            "SELECT 1 FROM cancelled_ahead WHERE member = ? AND client_order_id = ? AND input <= ?",
            (member, client_order_id, self._as_of_input),
        ).fetchone()
        return row is not None

    def execution(self, number: int) -> ExecutionRecord | None:
        """Return the execution of that number."""
        row = self._db.execute(
            "SELECT body FROM executions WHERE number = ? AND input <= ?",
            (number, self._as_of_input),
        ).fetchone()
        return None if row is None else _decode_execution(row[0])

    def orders_page(self, member: str, after: int, limit: int) -> list[Order]:
        """Return the member's orders with a number above `after`, in the order they arrived."""
        rows = self._db.execute(
            "SELECT body FROM orders WHERE member = ? AND number > ? ORDER BY number LIMIT ?",
            (member, after, limit),
        )
        return [_decode_order(row[0]) for row in rows]

    def executions_page(self, member: str, after: int, limit: int) -> list[ExecutionRecord]:
        """Return the member's executions above the message `after` that were not busted."""
        rows = self._db.execute(
            "SELECT body FROM executions WHERE member = ? AND seq > ? AND NOT busted"
            " ORDER BY seq LIMIT ?",
            (member, after, limit),
        )
        return [_decode_execution(row[0]) for row in rows]

    def messages_after(self, member: str, seq: int, limit: int) -> list[tuple[int, bytes]]:
        """Return the member's messages after `seq`, encoded as they were sent at first."""
        return self._db.execute(
            "SELECT seq, body FROM messages WHERE member = ? AND seq > ? ORDER BY seq LIMIT ?",
            (member, seq, limit),
        ).fetchall()

    def orders_by_client_id(self, member: str, after: str, limit: int) -> list[Order]:
        """Return the member's orders whose own id sorts after `after`, by that id."""
        rows = self._db.execute(
            "SELECT body FROM orders WHERE member = ? AND client_order_id > ?"
            " ORDER BY client_order_id LIMIT ?",
            (member, after, limit),
        )
        return [_decode_order(row[0]) for row in rows]

    def messages_of_order(self, order: Order, up_to: int, limit: int) -> list[bytes]:
        """Return what the member was told of one order up to the message `up_to`, oldest first."""
        rows = self._db.execute(
            "SELECT body FROM messages WHERE member = ?"
            " AND json_extract(CAST(body AS TEXT), '$.orderId') = ? AND seq <= ?"
            " ORDER BY seq LIMIT ?",
            (order.member, order.order_id, up_to, limit),
        )
        return [row[0] for row in rows]

    def position(self, member: str, symbol: str, up_to: int) -> tuple[int, int]:
        """Return the shares and cents that trading the symbol came to at the message `up_to`."""
        row = self._db.execute(
            "SELECT shares, cents FROM positions WHERE member = ? AND symbol = ? AND seq <= ?"
            " ORDER BY seq DESC LIMIT 1",
            (member, symbol, up_to),
        ).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def checkpoint(self) -> EngineState | None:
        """Return the newest checkpoint.

        Raises:
            JournalError: another version wrote it.
        """
        row = self._db.execute("SELECT state FROM checkpoints").fetchone()
        if row is None:
            return None
        try:
            state = msgspec.msgpack.decode(row[0], type=EngineState)
            rows = self._db.execute("SELECT body FROM checkpoint_orders ORDER BY number")
            state.orders = [_decode_order(row[0]) for row in rows]
            return state
        except msgspec.ValidationError as error:
            raise JournalError(f"the checkpoint cannot be read: {error}") from error

    def market(self) -> tuple[int, int]:
        """Return the position the feed has reached, and when."""
        row = self._db.execute("SELECT position, at_ms FROM market").fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def entries(self, after: int = 0) -> Iterator[tuple[Entry, bytes]]:
        """Yield every input after a number, with its outcome as it was recorded."""
        rows = self._db.execute(
            "SELECT number, position, at_ms, member, input, outcome FROM inputs"
            " WHERE number > ? ORDER BY number",
            (after,),
        )
        for number, position, at_ms, member, body, outcome in rows:
            yield Entry(number, position, at_ms, member, _decode_input(body)), outcome

    def fold_log(self) -> None:
        """Fold what a background `fold_log_of` left into the file, so that the log starts anew."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _locked(path: Path) -> int:
    """Return a file descriptor that holds the lock of a journal until it is closed."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise JournalError(f"another exchange is writing {path}") from error
    return descriptor


def fold_log_of(path: Path) -> None:
    """Fold the write-ahead log of a journal into its file: for a thread beside its writer."""
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        db.close()


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the outcome as the journal records it."""
    return _encode(outcome)
