"""Money and shares are whole numbers: all other JSON is refused by name, and none is rounded."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from api.errors import validation_problem
from api.routes.ops import LimitChange
from api.schemas import PRICE_CENTS_MAX, SHARES_MAX, PlaceOrder


@dataclass(frozen=True)
class Field:
    """A number that clients send: where, between which bounds, and the code of its refusal."""

    model: type[BaseModel]
    good: dict[str, Any]
    name: str
    attribute: str
    code: str
    low: int = -(10**400)
    high: int = 10**400


ORDER: Final = {"position": "buy", "symbol": "SPY", "numShares": 1, "priceInCents": 100}
FIELDS: Final = (
    Field(PlaceOrder, ORDER, "numShares", "num_shares", "invalid-shares", 1, SHARES_MAX),
    Field(PlaceOrder, ORDER, "priceInCents", "price_in_cents", "invalid-price", 1, PRICE_CENTS_MAX),
    Field(LimitChange, {"reason": "a test", "value": 1}, "value", "value", "invalid-request"),
)
WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]*)")

digits = st.from_regex(r"-?(0|[1-9][0-9]{0,11})", fullmatch=True)
fractions = st.tuples(digits, st.from_regex(r"\.[0-9]{1,12}", fullmatch=True)).map("".join)
exponents = st.tuples(digits | fractions, st.from_regex(r"[eE][+-]?[0-9]{1,3}", fullmatch=True))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
texts = (
    digits
    | fractions
    | exponents.map("".join)
    | digits.map(json.dumps)
    | values.map(json.dumps)
    | st.integers(min_value=2**31 - 1, max_value=10**320).map(str)
)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.name}")
@given(text=texts)
@example(text="522.10000001")
@example(text="52210.0")
@example(text="1e3")
@example(text="-0")
@example(text="NaN")
@example(text="Infinity")
@example(text='"10"')
@example(text="true")
@example(text=str(2**63))
@example(text="9" * 400)
def test_a_number_is_taken_as_it_is_written_or_refused_by_name(field: Field, text: str) -> None:
    members = {name: json.dumps(value) for name, value in field.good.items()} | {field.name: text}
    body = "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"

    try:
        taken = field.model.model_validate_json(body)
    except ValidationError as refusal:
        problem = validation_problem(refusal.errors(include_url=False))
        assert not _is_good(field, text)
        assert problem.code == field.code
        assert f"#/{field.name}" in problem.detail
    else:
        # A price that is null is no price: a market order.
        assert _is_good(field, text) or (field.name == "priceInCents" and text == "null")
        assert getattr(taken, field.attribute) == json.loads(text)
        assert type(getattr(taken, field.attribute)) is type(json.loads(text))


def _is_good(field: Field, text: str) -> bool:
    return WHOLE.fullmatch(text) is not None and field.low <= int(text) <= field.high


def test_more_digits_than_anybody_reads_are_no_json() -> None:
    with pytest.raises(ValidationError) as refusal:
        PlaceOrder.model_validate_json(json.dumps(ORDER).replace("100", "9" * 5_000))

    assert validation_problem(refusal.value.errors(include_url=False)).code == "malformed-json"
