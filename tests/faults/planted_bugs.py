"""Every planted bug, with the scene in which it bites and the invariants that it then breaks."""

import csv
from pathlib import Path
from typing import Final

from tests.faults import planted_at_the_edges as edges
from tests.faults import planted_in_asking as asking
from tests.faults import planted_in_booking as booking
from tests.faults import planted_scenes as scenes
from tests.faults.planting import Bug

BUGS: Final = (
    # First, as others kill the process that has to see the report at once.
    Bug("executions", edges.unknown_here_is_nobodys, scenes.buy_unanswered, "L1 L3 S7 S13"),
    # Early, as it is L3 if nothing is told after what is not stored.
    Bug(
        *("feed", edges.sent_is_stored, scenes.fill, "S7 S13"),
        fault=edges.stream_does_not_answer,
    ),
    Bug("orders", asking.retried_under_another_id, scenes.lose_answer, "S3 S4 S13"),
    Bug("orders", asking.silence_is_failure, scenes.lose_answer, "S13"),
    Bug("orders", asking.absent_once_is_absent, scenes.lose_answer_unseen, "S13"),
    Bug("orders", asking.nobody_asks, scenes.lose_answer, "L1"),
    Bug("orders", asking.cancel_is_sent_nowhere, scenes.cancel, "S13"),
    Bug("orders", asking.sent_before_written, scenes.rest, "S4"),
    Bug("orders", asking.collar_on_the_wrong_side, scenes.buy, "S8"),
    Bug("orders", asking.workflow_ends_early, scenes.rest, "L2"),
    Bug("orders", booking.late_fill_is_dropped, scenes.fill_late, "S7 S13"),
    Bug(
        *("orders", booking.booked_with_every_delivery, scenes.fill, "S7 S13"),
        fault=booking.answer_of_settling_is_lost,
    ),
    Bug("orders", booking.refused_order_keeps_its_hold, scenes.refuse, "S11"),
    Bug("orders", booking.hold_is_given_back_twice, scenes.cancel_one_of_two, "S11"),
    Bug("orders", booking.booked_at_the_limit, scenes.buy, "S12 S13"),
    Bug("orders", booking.bust_leaves_what_was_filled, scenes.bust, "S6 S13"),
    Bug("orders", booking.balance_stays, scenes.fill, "S10"),
    Bug("orders", booking.one_leg_of_a_partial_fill, scenes.fill, "S9"),
    Bug("orders", booking.wish_without_an_event, scenes.cancel, "S5 S14"),
    Bug("orders", booking.no_version_check, scenes.fill_and_fill_late, "L1 S5 S11 S13"),
    Bug("api", edges.read_from_a_stale_cache, scenes.cancel, "S15"),
    Bug("api", edges.key_of_everybody, scenes.same_key, "S1 S2 S15"),
    Bug("api", edges.body_is_not_compared, scenes.other_body, "S1 S2"),
    Bug(
        *("api", edges.answered_before_it_is_written, scenes.rest, "S1 S15"),
        fault=edges.temporal_does_not_answer,
    ),
    Bug("api", edges.cursor_points_too_early, scenes.walk, "S16"),
    Bug(
        *("executions", edges.acknowledged_before_settled, scenes.fill, "S7 S13"),
        fault=edges.killed_with_a_report_in_hand,
    ),
)
SAMPLE: Final = (
    asking.retried_under_another_id,
    booking.late_fill_is_dropped,
    edges.read_from_a_stale_cache,
    edges.acknowledged_before_settled,
)
"""What every run plants."""

LISTINGS: Final = Path(__file__).parents[2] / "exchange" / "listings.csv"
RECORDED: Final = 4
"""The first symbols are those of the recorded tape; they are left to the other tests."""
SYMBOLS: Final = [
    row["symbol"]
    for row in list(csv.DictReader(LISTINGS.read_text().splitlines()))[RECORDED:]
    if row["symbol"].isalpha()
]


def symbols_of(bug: Bug) -> tuple[str, str]:
    """Two symbols that no other bug has: of the orders it strikes, and of the same ones without."""
    position = 2 * BUGS.index(bug)
    return SYMBOLS[position], SYMBOLS[position + 1]
