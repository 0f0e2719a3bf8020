"""Books that agree raise nothing; each kind of disagreement planted in them is found."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from bench.checks import Difference, ExchangeRecord, check
from brokerage.storage.audit import Audit, AuditedExecution, AuditedOrder, Contradiction
from exchange.protocol import Execution, OrderReport, Side

BOUGHT = AuditedOrder("o1", "ann", "SPY", "buy", 10, 16_800, "filled", 10, 167_410, 10, "X1")
SELLING = AuditedOrder(
    "o2", "bob", "BAC", "sell", 300, 1_300, "partially_filled", 100, 138_000, 100, "X2"
)
CANCELLED = AuditedOrder("o3", "ann", "IBM", "buy", 5, 17_000, "cancelled", 0, 0, 0, "X3")
TURNED_DOWN = AuditedOrder("o4", "ann", "IBM", "buy", 9_999, 17_000, "rejected", 0, 0, 0)

OURS = Audit(
    orders=(BOUGHT, SELLING, CANCELLED, TURNED_DOWN),
    executions=(
        AuditedExecution("E1", "o1", "SPY", 4, 4, 16_735),
        AuditedExecution("E2", "o1", "SPY", 6, 6, 16_745),
        AuditedExecution("E3", "o2", "BAC", 100, 100, 1_380),
    ),
    ledger={
        ("opening", "USD"): -20_000_000,
        ("user", "USD"): 20_000_000 - 167_410 + 138_000,
        ("clearing", "USD"): 167_410 - 138_000,
        ("opening", "BAC"): -2_000,
        ("user", "BAC"): 1_900,
        ("clearing", "BAC"): 100,
        ("user", "SPY"): 10,
        ("clearing", "SPY"): -10,
    },
    contradictions=(),
)


def _report(order: AuditedOrder, status: str, notional_cents: int) -> OrderReport:
    return msgspec.convert(
        {
            "orderId": order.external_order_id,
            "clientOrderId": order.order_id,
            "account": "account",
            "symbol": order.symbol,
            "side": order.side,
            "priceCents": order.price_cents,
            "shares": order.shares,
            "timeInForce": "day",
            "status": status,
            "cumulativeShares": order.executed_shares,
            "cumulativeNotionalCents": notional_cents,
            "placedAtMs": 1,
        },
        OrderReport,
    )


def _execution(seq: int, order_id: str, symbol: str, shares: int, price_cents: int) -> Execution:
    side: Side = "buy" if symbol == "SPY" else "sell"
    return Execution(
        seq, f"E{seq}", order_id, "account", symbol, side, price_cents, shares, shares, 1
    )


THEIRS = ExchangeRecord(
    orders=(
        _report(BOUGHT, "filled", 167_410),
        _report(SELLING, "open", 138_000),
        _report(CANCELLED, "cancelled", 0),
    ),
    executions=(
        _execution(1, "X1", "SPY", 4, 16_735),
        _execution(2, "X1", "SPY", 6, 16_745),
        _execution(3, "X2", "BAC", 100, 1_380),
    ),
)


def test_books_that_agree_have_no_difference() -> None:
    assert check(OURS, THEIRS) == []


def _order(number: int, **changed: object) -> Callable[[Audit], Audit]:
    def plant(ours: Audit) -> Audit:
        orders = list(ours.orders)
        orders[number] = replace(orders[number], **changed)  # type: ignore[arg-type]
        return replace(ours, orders=tuple(orders))

    return plant


def _ledger(account: str, asset: str, amount: int) -> Callable[[Audit], Audit]:
    def plant(ours: Audit) -> Audit:
        return replace(ours, ledger={**ours.ledger, (account, asset): amount})

    return plant


def _booked(*executions: AuditedExecution) -> Callable[[Audit], Audit]:
    return lambda ours: replace(ours, executions=executions)


@pytest.mark.parametrize(
    ("plant", "what"),
    [
        (_order(0, status="partially_filled"), "status"),
        (_order(0, status="pending_cancel"), "order in flight"),
        (_order(0, shares=11), "terms"),
        (_order(0, executed_shares=9), "executed shares"),
        (_order(0, filled_shares=9), "filled shares, and the firm's"),
        (_order(0, filled_notional_cents=167_400), "filled notional, and the firm's"),
        (_order(0, borne_shares=1), "filled shares, and the firm's"),
        (_order(0, borne_cents=-10), "filled notional, and the firm's"),
        (_order(0, external_order_id="X9"), "exchange's order id"),
        (_order(0, order_id="o9"), "order unknown there"),
        (_order(0, order_id="o9"), "order unknown here"),
        (_order(3, status="submitted"), "order unknown there"),
        (_booked(*OURS.executions[1:]), "execution not booked"),
        (_booked(*OURS.executions[1:]), "executed notional"),
        (
            _booked(*OURS.executions, AuditedExecution("E4", "o2", "BAC", 1, 1, 1)),
            "execution unknown there",
        ),
        (
            _booked(replace(OURS.executions[0], price_cents=16_736), *OURS.executions[1:]),
            "execution",
        ),
        (
            _booked(replace(OURS.executions[0], order_id="o2"), *OURS.executions[1:]),
            "execution",
        ),
        (
            _booked(replace(OURS.executions[0], booked_shares=3), *OURS.executions[1:]),
            "execution not the customer's",
        ),
        (_ledger("user", "USD", 19_970_589), "cents of users and firm"),
        (_ledger("user", "USD", 19_970_589), "ledger does not sum to zero"),
        (_ledger("user", "SPY", 11), "shares of users and firm"),
        (_ledger("error", "SPY", 1), "ledger does not sum to zero"),
        (_ledger("error", "USD", 1), "cents of users and firm"),
    ],
)
def test_a_planted_difference_is_found(plant: Callable[[Audit], Audit], what: str) -> None:
    found = check(plant(OURS), THEIRS)

    assert what in {difference.what for difference in found}


BUSTED = AuditedOrder(
    "o5", "bob", "SPY", "buy", 6, 16_800, "filled", 6, 100_470, 0, "X5", None, -6, -100_470
)
"""Busted in full after its buyer had sold the shares: they stay his, and the firm owes them."""
AFTER_A_BUST = replace(
    OURS,
    orders=(*OURS.orders, BUSTED),
    executions=(
        *OURS.executions,
        AuditedExecution("E5", "o5", "SPY", 0, 6, 0, amended=True),
    ),
    ledger={
        **OURS.ledger,
        ("user", "USD"): OURS.ledger["user", "USD"] - 100_470,
        ("user", "SPY"): OURS.ledger["user", "SPY"] + 6,
        ("error", "USD"): 100_470,
        ("error", "SPY"): -6,
    },
)
THEIRS_AFTER_A_BUST = replace(THEIRS, orders=(*THEIRS.orders, _report(BUSTED, "filled", 0)))


def test_a_bust_that_the_firm_bears_is_no_difference() -> None:
    assert check(AFTER_A_BUST, THEIRS_AFTER_A_BUST) == []


def test_a_bust_that_is_not_booked_here_is_found() -> None:
    standing = replace(OURS.executions[0], execution_id="E6")

    found = check(replace(OURS, executions=(*OURS.executions, standing)), THEIRS)

    assert "execution unknown there" in {difference.what for difference in found}


def test_a_bust_that_the_exchange_does_not_know_is_found() -> None:
    busted = replace(OURS.executions[0], shares=0, price_cents=0, amended=True)

    found = check(replace(OURS, executions=(busted, *OURS.executions[1:])), THEIRS)

    assert {"execution", "executed notional"} <= {difference.what for difference in found}


def test_what_the_firm_does_not_bear_of_a_bust_is_found() -> None:
    forgotten = {**AFTER_A_BUST.ledger, ("error", "SPY"): 0, ("clearing", "SPY"): -16}

    found = check(replace(AFTER_A_BUST, ledger=forgotten), THEIRS_AFTER_A_BUST)

    assert found == [Difference("shares of users and firm", "SPY", 16, 10)]


def test_an_execution_the_exchange_lists_twice_is_found() -> None:
    theirs = replace(THEIRS, executions=(*THEIRS.executions, THEIRS.executions[0]))

    found = check(OURS, theirs)

    assert "execution id used twice" in {difference.what for difference in found}


def test_a_second_order_under_one_client_order_id_is_found() -> None:
    twin = msgspec.structs.replace(THEIRS.orders[0], order_id="X8")

    found = check(OURS, replace(THEIRS, orders=(*THEIRS.orders, twin)))

    assert Difference("client order id used twice", "o1", 1, 2) in found


def test_a_contradiction_in_our_own_tables_is_a_difference() -> None:
    ours = replace(OURS, contradictions=(Contradiction("held cash is the sum", "ann", 5, 4),))

    found = check(ours, THEIRS)

    assert found == [Difference("not so: held cash is the sum", "ann", 4, 5)]


def test_an_order_rejected_there_needs_no_external_id_here() -> None:
    refused = replace(TURNED_DOWN, reason="halted")
    report = _report(replace(refused, external_order_id="X4"), "rejected", 0)

    found = check(OURS, replace(THEIRS, orders=(*THEIRS.orders, report)))

    assert found == []


@pytest.mark.parametrize(("external", "differs"), [(None, False), ("X5", True)])
def test_an_order_cancelled_before_it_came_there_is_rejected_there(
    external: str | None, differs: bool
) -> None:
    order = AuditedOrder("o5", "ann", "IBM", "buy", 5, 17_000, "cancelled", 0, 0, 0, external)
    report = _report(replace(order, external_order_id="X5"), "rejected", 0)

    found = check(
        replace(OURS, orders=(*OURS.orders, order)),
        replace(THEIRS, orders=(*THEIRS.orders, report)),
    )

    assert bool(found) == differs
