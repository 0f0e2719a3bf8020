from datetime import timedelta

from tests.checker.invariants import check
from tests.unit.checker.spoiling import GOOD, both, order, row


def test_a_market_order_may_be_priced_by_the_claim_before_the_one_on_record() -> None:
    claimed = next(one.claimed_at for one in GOOD.tables.keys)
    renewed = row(
        "keys",
        order("busted"),
        last_price_cents=9_999,
        claimed_at=claimed + timedelta(seconds=3),
    )

    assert check(renewed(GOOD)) == []


def test_a_limit_order_is_sent_at_its_limit_however_often_its_key_was_claimed() -> None:
    claimed = next(one.claimed_at for one in GOOD.tables.keys)
    later = row("keys", order("resting"), claimed_at=claimed + timedelta(seconds=3))
    elsewhere = row("orders", order("resting"), price_cents=1)

    found = check(elsewhere(later(GOOD)))

    assert "S8" in {violation.invariant for violation in found}


def test_a_cancel_of_what_the_exchange_had_ended_needs_no_wish_on_record() -> None:
    unasked = both(
        row("events", lambda one: bool(one.kind == "cancel-requested"), kind="ending"),
        row("events", lambda one: bool(one.kind == "cancelled"), kind="fill"),
    )

    found = check(unasked(GOOD))

    assert "S1" not in {violation.invariant for violation in found}
