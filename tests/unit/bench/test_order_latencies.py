"""What users waited for, from what streams told and loops saw, to the table."""

import asyncio
import json

from bench.loops import Samples
from bench.order_streams import OrderStreams
from bench.phases import Measured, Phase
from bench.tables import answers_grid


def told(status: str, execution: str | None) -> str:
    found = None if execution is None else {"id": execution, "shares": 1}
    return json.dumps({"seq": 1, "kind": "x", "order": {"id": "o", "status": status},
                       "execution": found})  # fmt: skip


async def test_an_execution_arrives_when_it_is_first_told() -> None:
    streams = OrderStreams()

    streams.take(told("submitted", None), 10.0)
    streams.take(told("filled", "E1"), 20.0)
    streams.take(told("filled", "E1"), 30.0)

    assert streams.arrived_ms == {"E1": 20.0}


async def test_the_last_fill_is_waited_for() -> None:
    streams = OrderStreams()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(streams.have_filled(["o"]))
        streams.take(told("partially_filled", "E1"), 10.0)
        await asyncio.sleep(0)
        was_done = waiting.done()
        streams.take(told("filled", "E2"), 20.0)

    assert not was_done


def test_each_wait_is_a_line_with_its_aim_and_its_errors() -> None:
    placed = Samples(1.0, [10.0, 20.0], {"201": 2})
    cancelled = Samples(1.0, [10.0, 300.0], {"200": 1, "202": 1})
    measured = [
        Measured(Phase("ours", rate=20), placed, {}, 0, 0),
        Measured(Phase("ours", rate=20, watched=True), placed, {}, 0, 0, [5.0, 7.0], untold=1),
        Measured(Phase("ours", rate=20, request="cancel"), cancelled, {}, 0, 0),
    ]

    assert answers_grid(measured).rows == [
        ("an order's answer", "2", "10.0", "20.0", "20.0", "0", "met"),
        ("an order's answer, its owner watching", "2", "10.0", "20.0", "20.0", "0", "met"),
        ("execution at the exchange to its owner's stream", "2", "5.0", "7.0", "7.0",
         "1 x untold", "met"),
        ("a cancel's answer", "2", "10.0", "300.0", "300.0", "1 x 202", "missed"),
    ]  # fmt: skip
