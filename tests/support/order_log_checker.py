"""Is what a client put together of an order stream, over all its connections, the table?"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg


class Heard(NamedTuple):
    """One event as it came: its `id`, and its data as text."""

    seq: int
    data: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `order_events`, its JSON read."""

    seq: int
    kind: str
    order: dict[str, Any]
    detail: dict[str, Any]


async def rows_of(database: "asyncpg.Connection[asyncpg.Record]", user_id: str) -> list[Row]:
    """The user's log as it is in the table, read by nothing of ours."""
    rows = await database.fetch(
        'SELECT seq, kind, "order", detail FROM order_events WHERE user_id = $1 ORDER BY seq',
        user_id,
    )
    return [
        Row(row["seq"], row["kind"], json.loads(row["order"]), json.loads(row["detail"]))
        for row in rows
    ]


def violations(
    name: str,
    heard: Sequence[Heard],
    rows: Sequence[Row],
    as_shown: Callable[[Row], dict[str, Any]] | None = None,
) -> list[str]:
    """Where what was heard is not the log; nothing if it is all of it, in order, once each.

    `as_shown` says how this client writes a row down, if not as it was sent.
    """
    written = as_shown or shown
    found = []
    table = {row.seq: row for row in rows}
    expected = 1
    for event in heard:
        if event.seq < expected:
            found.append(f"{name}: {event.seq} again, or too late, where {expected} was due")
        elif event.seq > expected:
            found.append(f"{name}: {expected} to {event.seq - 1} are missing before {event.seq}")
        expected = max(expected, event.seq + 1)
        row = table.get(event.seq)
        if row is None:
            found.append(f"{name}: {event.seq} is not in the table")
        elif json.loads(event.data) != written(row):
            found.append(f"{name}: {event.seq} is not what the table says: {event.data}")
    if expected <= len(rows):
        found.append(f"{name}: {expected} to {len(rows)} never came")
    return found


def shown(row: Row) -> dict[str, Any]:
    """What a client must be told of a row."""
    detail = row.detail
    execution = None
    if row.kind in ("fill", "bust", "correction"):
        execution = {
            "id": detail["executionId"],
            "shares": detail["shares"],
            "priceInCents": detail["priceInCents"],
            "bookedShares": detail["bookedShares"],
        }
    return {"seq": row.seq, "kind": row.kind, "order": row.order, "execution": execution}


def differing(recordings: Sequence[Sequence[Heard]]) -> list[str]:
    """Events that two clients were told in different bytes."""
    texts: dict[int, str] = {}
    return [
        f"{event.seq} was told as {texts[event.seq]} and as {event.data}"
        for recording in recordings
        for event in recording
        if texts.setdefault(event.seq, event.data) != event.data
    ]
