"""The demo's wishes and kills follow from the seed and stay within their bounds."""

import random

import pytest

from bench.kills import Kill, Killed, planned_kills
from bench.plan import RACE_SECONDS, SHARES_MAX, SHARES_MAX_OTHERWISE, draw_wishes
from bench.target import ProcessRow


def test_the_same_seed_draws_the_same_wishes() -> None:
    assert draw_wishes(5, 100, seed=3) == draw_wishes(5, 100, seed=3)
    assert draw_wishes(5, 100, seed=3) != draw_wishes(5, 100, seed=4)


def test_every_wish_has_a_key_of_its_own_and_every_user_has_their_turn() -> None:
    wishes = draw_wishes(20, 1_000, seed=1)

    assert len({wish.key for wish in wishes}) == 1_000
    assert len({wish.user for wish in wishes}) == 20


def test_wishes_are_of_every_kind_and_of_modest_size() -> None:
    wishes = draw_wishes(20, 1_000, seed=1)

    assert {wish.kind for wish in wishes} == {"market", "marketable", "near", "far"}
    assert {wish.side for wish in wishes} == {"buy", "sell"}
    assert any(wish.cancel_after_seconds is not None for wish in wishes)
    for wish in wishes:
        assert 1 <= wish.shares <= SHARES_MAX.get(wish.symbol, SHARES_MAX_OTHERWISE)


def test_a_limit_lies_within_the_band_and_on_the_side_its_kind_says() -> None:
    for wish in draw_wishes(20, 1_000, seed=2):
        limit_cents = wish.limit_cents(10_000)
        if limit_cents is None:
            assert wish.kind == "market"
            continue
        better = limit_cents - 10_000 if wish.side == "buy" else 10_000 - limit_cents
        assert -800 <= better <= 100
        assert (better > 0) == (wish.kind == "marketable") or abs(better) <= 2


@pytest.mark.parametrize("orders", [40, 1_000])
def test_kills_fall_in_the_middle_each_name_once(orders: int) -> None:
    kills = planned_kills(["orders", "gateway", "feed"], orders, random.Random(1))

    assert {kill.name for kill in kills} == {"orders-1", "gateway", "feed"}
    assert all(0.2 * orders <= kill.after_orders <= 0.8 * orders for kill in kills)


BEFORE = ProcessRow("gateway", 100, 0, True)


@pytest.mark.parametrize(
    ("after", "happened"),
    [
        (ProcessRow("gateway", 200, 1, True), True),
        (ProcessRow("gateway", 100, 0, True), False),
        (ProcessRow("gateway", 100, 1, True), False),
        (ProcessRow("gateway", 200, 0, True), False),
        (None, False),
    ],
)
def test_a_kill_counts_only_if_another_process_took_over(
    after: ProcessRow | None, happened: bool
) -> None:
    assert Killed(Kill("gateway", 10), BEFORE, after).happened is happened


def test_the_racing_part_of_the_orders_trades_at_once_and_is_cancelled_around_then() -> None:
    wishes = draw_wishes(20, 1_000, seed=1, races=0.1)

    racing = [wish for wish in wishes if wish.races]
    assert 70 < len(racing) < 130
    assert {wish.kind for wish in racing} == {"market", "marketable"}
    for wish in racing:
        assert wish.cancel_after_seconds is not None
        assert RACE_SECONDS[0] <= wish.cancel_after_seconds <= RACE_SECONDS[1]
    assert not any(wish.races for wish in draw_wishes(20, 1_000, seed=1))
