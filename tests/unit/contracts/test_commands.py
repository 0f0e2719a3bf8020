"""Commands and events survive the journey through Temporal, also from an older sender."""

import json
from typing import Any

import pytest
from temporalio.converter import DataConverter

from brokerage.contracts.commands import (
    CancelOrder,
    OrderKey,
    OrderState,
    Reply,
    SettleRequest,
    SettleResult,
    StartOrder,
    SubmitRequest,
    adopt_order,
)
from tests.support.orders import a_fill, an_end

VALUES = [
    StartOrder("o-1", "ada", "IBM", "buy", 10, 20_000, "day", "key", 1, 19_990, "::1"),
    adopt_order("o-1", "ada"),
    OrderKey("o-1", "ada"),
    SubmitRequest("o-1", "ada", repeated=True),
    CancelOrder("ada", "::1"),
    OrderState("filled", 4, True, reply=Reply(201, "{}")),
    SettleRequest("o-1", "ada", [a_fill("e-1", 4, 19_990), an_end("cancelled", 4)]),
    SettleResult(["e-1"], OrderState("partially_filled", 3, False)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
async def test_a_value_comes_out_as_it_went_in(value: Any) -> None:
    payloads = await DataConverter.default.encode([value])

    assert await DataConverter.default.decode(payloads, [type(value)]) == [value]


async def test_a_state_from_before_a_field_was_added_can_be_read() -> None:
    [payload] = await DataConverter.default.encode([OrderState("pending", 1, False)])
    older = json.loads(payload.data)
    del older["ended"], older["created"], older["reply"]
    payload.data = json.dumps(older).encode()

    [state] = await DataConverter.default.decode([payload], [OrderState])

    assert state == OrderState("pending", 1, False)


def test_an_adopted_order_reserves_nothing_and_names_only_itself() -> None:
    start = adopt_order("o-1", "ada")

    assert start.adopt
    assert start == StartOrder("o-1", "ada", adopt=True)
