"""One order is one trace: from the request to the call to the exchange, through four processes."""

from collections.abc import AsyncIterator

import pytest

from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.otlp import Collector, Span, collector
from tests.support.trading import END_SECONDS, MARKET, Order, ended, place, placed

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}

ANCESTORS = {
    "POST /order": [],
    "StartUpdateWithStartWorkflow:OrderWorkflow": ["POST /order"],
    "RunWorkflow:OrderWorkflow": ["StartUpdateWithStartWorkflow:OrderWorkflow"],
    "RunActivity:reserve": ["StartActivity:reserve", "StartUpdateWithStartWorkflow:OrderWorkflow"],
    "RunActivity:submit": ["StartActivity:submit", "StartUpdateWithStartWorkflow:OrderWorkflow"],
    "ask gateway.place": ["RunActivity:submit"],
    "gateway place": ["ask gateway.place"],
    "send placements": ["gateway place"],
    "exchange place": ["send placements"],
    "RunActivity:settle": ["StartActivity:settle", "StartUpdateWithStartWorkflow:OrderWorkflow"],
}
"""By span, those above it from the nearest on; "POST /order" is above them all."""
SERVICES = {
    "POST /order": "sherwood-api",
    "RunActivity:reserve": "sherwood-orders",
    "ask gateway.place": "sherwood-orders",
    "gateway place": "sherwood-gateway",
    "exchange place": "sherwood-gateway",
}


@pytest.fixture(scope="module")
async def traced() -> AsyncIterator[tuple[DevStack, Collector]]:
    """A stack whose processes send their traces to a collector."""
    with collector() as kept:
        told = {"SHERWOOD_TRACING_ENDPOINT": kept.url, **SOON}
        async with DevStack.temporary(without=["feed-2"], environment=told) as stack:
            await stack.wait_ready()
            yield stack, kept


@pytest.fixture(scope="module")
async def order(traced: tuple[DevStack, Collector]) -> Order:
    """An order that was placed and filled there, and asked for once: each request is a trace."""
    stack, _ = traced
    async with account(stack.api_url) as alice:

        async def answered_at_once() -> Order:
            answer = await place(alice, MARKET)
            assert answer.status_code == 201, answer.text
            found: Order = answer.json()
            return found

        bought = await eventually(answered_at_once, "one is answered at once", END_SECONDS)
        return await ended(alice, bought["id"], "filled")


@pytest.fixture(scope="module")
async def trace(traced: tuple[DevStack, Collector], order: Order) -> list[Span]:
    """The spans of its trace, all that are told of."""
    _, kept = traced

    def whole() -> list[Span]:
        traces = kept.traces_with(**{"sherwood.order_id": order["id"]})
        assert len(traces) == 1
        spans = kept.trace(traces.pop())
        assert ANCESTORS.keys() <= {span.name for span in spans}
        known = {span.span_id for span in spans} | {""}
        assert {span.parent_id for span in spans} <= known
        return spans

    spans: list[Span] = await eventually(whole, "the whole trace has come in", 60)
    return spans


def above(span: Span, spans: list[Span]) -> list[str]:
    """The names of the spans above it, from the nearest on."""
    by_id = {one.span_id: one for one in spans}
    names = []
    while span.parent_id:
        span = by_id[span.parent_id]
        names.append(span.name)
    return names


async def test_the_spans_of_an_order_are_one_trace_with_one_beginning(trace: list[Span]) -> None:
    assert [span.name for span in trace if not span.parent_id] == ["POST /order"]
    assert {span.service for span in trace} == {
        "sherwood-api",
        "sherwood-orders",
        "sherwood-gateway",
    }


@pytest.mark.parametrize("name", ANCESTORS)
async def test_each_step_lies_under_the_one_that_caused_it(name: str, trace: list[Span]) -> None:
    # More than one where the machine was so busy that a step was made again.
    spans = [one for one in trace if one.name == name]
    ways = [above(span, trace) for span in spans]

    assert ANCESTORS[name] in [names[: len(ANCESTORS[name])] for names in ways]
    for span, names in zip(spans, ways, strict=True):
        assert names[-1:] == ([] if name == "POST /order" else ["POST /order"])
        assert span.service == SERVICES.get(name, span.service)


async def test_a_trace_that_the_caller_began_goes_on(traced: tuple[DevStack, Collector]) -> None:
    stack, kept = traced
    begun = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = f"00-{begun}-00f067aa0ba902b7-01"
    async with account(stack.api_url) as alice:
        alice.http.headers["traceparent"] = parent
        bought = await placed(alice, MARKET)

    await eventually(
        lambda: kept.traces_with(**{"sherwood.order_id": bought["id"]}) == {begun},
        "the order is in the caller's trace",
        END_SECONDS,
    )


async def test_reading_and_health_make_no_traces(
    traced: tuple[DevStack, Collector], trace: list[Span]
) -> None:
    _, kept = traced

    names = {span.name for span in kept.spans}

    assert not [name for name in names if name.startswith(("GET ", "fastapi"))]


async def test_a_line_of_the_log_names_the_trace(
    traced: tuple[DevStack, Collector], order: Order, trace: list[Span]
) -> None:
    stack, _ = traced
    [line] = [
        line
        for line in stack.processes["api"].log_path.read_text().splitlines()
        if order["id"] in line and '"route":"/order"' in line
    ]

    assert f'"trace_id":"{trace[0].trace_id}"' in line
