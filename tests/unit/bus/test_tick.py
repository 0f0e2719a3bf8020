import json

from brokerage.bus.tick import Tick, decode_tick, untraded, utc_text, version, version_of


def test_version_orders_a_later_epoch_after_every_earlier_trade() -> None:
    assert version(2, 0) > version(1, 2**36 - 1)


def test_version_is_exact_in_javascript_for_the_last_epoch() -> None:
    assert version(2**17 - 1, 2**36 - 1) == 2**53 - 1


def test_untraded_symbol_has_every_field_of_a_tick_as_null() -> None:
    fields = json.loads(untraded("BRK.B"))

    assert fields.pop("symbol") == "BRK.B"
    assert set(fields.values()) == {None}
    assert {"symbol", *fields} == set(Tick.__struct_encode_fields__)


def test_times_are_utc_with_milliseconds() -> None:
    assert utc_text(1_790_000_000_007) == "2026-09-21T14:13:20.007Z"


def test_version_is_read_without_the_rest() -> None:
    fragment = (
        b'{"symbol":"AAPL","priceInCents":1,"openInCents":2,"highInCents":3,"lowInCents":1,'
        b'"volume":4,"at":"2026-09-21T14:13:20.007Z","v":77}'
    )

    assert version_of(fragment) == decode_tick(fragment).v == 77
