"""How many orders were asked for, and what they were answered."""

from collections.abc import Callable
from typing import Final

import msgspec
from fastapi import Response
from prometheus_client import Counter, Gauge

from api.errors import ProblemError

PLACEMENTS: Final = Counter(
    "sherwood_placements",
    "Answers to complete requests to place: accepted, pending, rejected, replayed, not-admitted; "
    "rejections and the last with the problem's code.",
    ("outcome", "code"),
)
UNDER_WAY: Final = Gauge("sherwood_placements_under_way", "Placements between claim and answer.")
UNDER_WAY_MAX: Final = Gauge(
    "sherwood_placements_under_way_max", "As many placements as this node has under way at once."
)
REPLAYED: Final = "idempotent-replayed"
OUTCOMES: Final = {201: "accepted", 202: "pending"}


class _Coded(msgspec.Struct):
    code: str


_CODED: Final = msgspec.json.Decoder(_Coded)


def show_under_way(count: Callable[[], int], count_max: int) -> None:
    """Have the gauges show what this node has under way."""
    UNDER_WAY.set_function(count)
    UNDER_WAY_MAX.set(count_max)


def count_answer(answer: Response) -> None:
    """Count a request that was answered from the order."""
    outcome, code = OUTCOMES.get(answer.status_code), ""
    if outcome is None:
        outcome, code = "rejected", _CODED.decode(answer.body).code
    if REPLAYED in answer.headers:
        outcome = "replayed"
    PLACEMENTS.labels(outcome, code).inc()


def count_failure(error: Exception) -> None:
    """Count a request that failed before its order was on record, or without telling."""
    code = error.code if isinstance(error, ProblemError) else "unavailable"
    PLACEMENTS.labels("not-admitted", code).inc()
