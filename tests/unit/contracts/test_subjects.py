"""Subjects as publishers and subscribers both spell them."""

from brokerage.contracts import subjects


def test_subjects_name_what_they_are_about() -> None:
    assert subjects.price_subject("IBM") == "prices.IBM"
    assert subjects.execution_subject("fill", "x-1") == "executions.fill.x-1"
    assert subjects.parked_subject("x-1") == "parked.x-1"
    assert subjects.dead_subject("x-1") == "dead.x-1"
    assert subjects.route_subject("x-1") == "routes.x-1"
    assert subjects.orders_subject("ada") == "orders.ada"


def test_a_dot_in_a_symbol_makes_no_further_level() -> None:
    assert subjects.price_subject("BRK.B") == "prices.BRK_B"
