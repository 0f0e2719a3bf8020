"""Request bodies, keys and cursors: what is taken, what is refused and by which code."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from api.cursor import decode_bar_cursor, decode_cursor, encode_bar_cursor, encode_cursor
from api.errors import ProblemError, validation_problem
from api.idempotency import body_hash, parse_key
from api.routes.orders import parse_statuses
from api.schemas import PlaceOrder
from api.times import parse_time

KEY = "0c7a9a6e-3f0b-4c53-8a5e-0a4f6f1f2b11"


def refusal_of(body: str) -> ProblemError:
    with pytest.raises(ValidationError) as refused:
        PlaceOrder.model_validate_json(body)
    return validation_problem(refused.value.errors(include_url=False))


def order_body(**fields: str) -> str:
    """JSON of a good order with some fields' text replaced; an empty text leaves the field out."""
    base = {"position": '"buy"', "symbol": '"SPY"', "numShares": "10", "priceInCents": "100"}
    members = {**base, **fields}
    return "{" + ",".join(f'"{name}":{text}' for name, text in members.items() if text) + "}"


@pytest.mark.parametrize("text", ["0", "-1", "10.5", "10.0", "1e2", '"10"', "true", "null", "NaN"])
def test_shares_are_whole_and_above_zero(text: str) -> None:
    assert refusal_of(order_body(numShares=text)).code == "invalid-shares"


@pytest.mark.parametrize("text", ["0", "-1", "100.5", "100.0", '"100"', "false", "1000000001"])
def test_price_is_whole_cents_above_zero(text: str) -> None:
    assert refusal_of(order_body(priceInCents=text)).code == "invalid-price"


@pytest.mark.parametrize("text", ['"fok"', '""', "1", "null"])
def test_time_in_force_is_one_of_three(text: str) -> None:
    assert refusal_of(order_body(timeInForce=text)).code == "invalid-time-in-force"


def test_unknown_field_is_named() -> None:
    problem = refusal_of(order_body(colour='"red"'))

    assert problem.code == "unknown-field"
    assert problem.extra["errors"] == [
        {
            "in": "body",
            "where": "#/colour",
            "code": "unknown-field",
            "detail": "Extra inputs are not permitted",
        }
    ]


def test_several_mistakes_are_one_problem_that_names_them_all() -> None:
    problem = refusal_of(order_body(numShares="0", priceInCents="0", symbol=""))

    assert problem.code == "invalid-request"
    errors = problem.extra["errors"]
    assert isinstance(errors, list)
    assert {(error["where"], error["code"]) for error in errors} == {
        ("#/numShares", "invalid-shares"),
        ("#/priceInCents", "invalid-price"),
        ("#/symbol", "invalid-request"),
    }


@pytest.mark.parametrize("body", ["", "{", "[[[[", '{"numShares":1}x', '{"\\ud800":1}', "\ufeff{}"])
def test_what_is_no_json_is_told_so(body: str) -> None:
    assert refusal_of(body).code == "malformed-json"


@pytest.mark.parametrize("body", ["[]", "7", "null", '"buy"', "{}"])
def test_json_that_is_no_order_is_invalid(body: str) -> None:
    assert refusal_of(body).code == "invalid-request"


def test_hash_ignores_how_the_body_is_written() -> None:
    plain = PlaceOrder.model_validate_json(
        '{"position":"buy","symbol":"SPY","numShares":10,"priceInCents":null}'
    )
    spelt_out = PlaceOrder.model_validate_json(
        '{ "timeInForce": "day", "numShares": 10, "symbol": "SPY", "position": "buy" }'
    )

    assert body_hash(plain) == body_hash(spelt_out)


@pytest.mark.parametrize(
    "change",
    [
        {"position": '"sell"'},
        {"symbol": '"IBM"'},
        {"numShares": "11"},
        {"priceInCents": "101"},
        {"priceInCents": ""},
        {"timeInForce": '"gtc"'},
    ],
)
def test_hash_changes_with_every_term(change: dict[str, str]) -> None:
    one = PlaceOrder.model_validate_json(order_body())
    other = PlaceOrder.model_validate_json(order_body(**change))

    assert body_hash(one) != body_hash(other)


def test_hash_is_the_same_in_every_release() -> None:
    order = PlaceOrder.model_validate_json(order_body())

    assert (
        body_hash(order).hex() == "48e7d5cdd41d30352e407aeea65fe3c795add1b8328cbc8ae187e0df027a5f1c"
    )


@pytest.mark.parametrize("text", [KEY, KEY.upper(), f'"{KEY}"', f" {KEY} ", KEY.replace("-", "")])
def test_spellings_of_one_key_are_one_key(text: str) -> None:
    assert parse_key([text]) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        '""',
        "abc",
        f'"{KEY}',
        f"{{{KEY}}}",
        f"urn:uuid:{KEY}",
        f"{KEY},{KEY}",
        f'"{KEY}";a=1',
        KEY[:-1],
        KEY + "0",
        "g" * 32,
    ],
)
def test_key_that_is_no_uuid_is_malformed(text: str) -> None:
    with pytest.raises(ProblemError) as refused:
        parse_key([text])

    assert refused.value.code == "idempotency-key-malformed"


def test_missing_and_repeated_keys_are_told_apart() -> None:
    with pytest.raises(ProblemError) as missing:
        parse_key([])
    with pytest.raises(ProblemError) as repeated:
        parse_key([KEY, KEY])

    assert missing.value.code == "idempotency-key-missing"
    assert repeated.value.code == "idempotency-key-malformed"


def test_cursor_comes_back_as_it_went() -> None:
    place = datetime(2026, 11, 23, 14, 30, 0, 123456, tzinfo=UTC), KEY

    assert decode_cursor(encode_cursor(*place)) == place


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "====",
        "AAAA",
        "ü",
        encode_cursor(datetime(2026, 1, 1, tzinfo=UTC), KEY) + "=",
        encode_cursor(datetime(2026, 1, 1, tzinfo=UTC), KEY) + "A",
        encode_cursor(datetime(1969, 1, 1, tzinfo=UTC), KEY),
        encode_cursor(datetime(9999, 1, 1, tzinfo=UTC), KEY),
    ],
)
def test_cursor_that_we_never_gave_out_is_refused(cursor: str) -> None:
    with pytest.raises(ProblemError) as refused:
        decode_cursor(cursor)

    assert refused.value.code == "invalid-request"


def test_cursor_of_bars_comes_back_for_its_interval_alone() -> None:
    start = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    cursor = encode_bar_cursor(start, "5m")

    assert decode_bar_cursor(cursor, "5m") == start
    for interval, foreign in (("1m", cursor), ("5m", encode_cursor(start, KEY)), ("5m", "x")):
        with pytest.raises(ProblemError) as refused:
            decode_bar_cursor(foreign, interval)
        assert refused.value.code == "invalid-request"
    with pytest.raises(ProblemError):
        decode_cursor(cursor)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
        ("2026-03-02T14:30:00Z", datetime(2026, 3, 2, 14, 30, tzinfo=UTC)),
        ("2026-03-02t14:30:00z", datetime(2026, 3, 2, 14, 30, tzinfo=UTC)),
        ("2026-03-02T14:30:00-05:00", datetime(2026, 3, 2, 19, 30, tzinfo=UTC)),
        ("2026-03-02T14:30:00.125Z", datetime(2026, 3, 2, 14, 30, 0, 125_000, tzinfo=UTC)),
        ("2026-03-02T14:30:00.123456789Z", datetime(2026, 3, 2, 14, 30, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_time_is_read_in_its_zone(text: str, at: datetime) -> None:
    assert parse_time("from", text) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1772461800",
        "20260302",
        "2026-W10-1",
        "2026-02-30",
        "2026-03-02T14:30Z",
        "2026-03-02T14:30:00",
        "2026-03-02T25:00:00Z",
        "2026-03-02T14:30:00 01:00",
        "2026-03-02T14:30:00+25:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "\uff12026-03-02",
        "2026-03-02\n",
    ],
)
def test_what_is_no_time_is_refused_and_named(text: str) -> None:
    with pytest.raises(ProblemError) as refused:
        parse_time("from", text)

    assert refused.value.code == "invalid-request"
    assert refused.value.extra["errors"][0]["where"] == "from"  # type: ignore[index]


def test_statuses_are_named_alone_or_as_a_group() -> None:
    assert parse_statuses("filled,cancelled") == ["cancelled", "filled"]
    assert parse_statuses("open") == [
        "partially_filled",
        "pending",
        "pending_cancel",
        "submitted",
    ]
    assert len(parse_statuses("open,closed")) == 9


@pytest.mark.parametrize("text", ["", "OPEN", "open,", "canceled"])
def test_unknown_status_is_refused(text: str) -> None:
    with pytest.raises(ProblemError) as refused:
        parse_statuses(text)

    assert refused.value.code == "invalid-request"
