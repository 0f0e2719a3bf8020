"""Where Temporal and JetStream stand: the runs of orders, what the streams still hold."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import nats
from nats.js import JetStreamContext
from nats.js.api import StreamState
from nats.js.errors import NotFoundError
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

DESCRIBED_AT_ONCE: Final = 16
ANSWER_SECONDS: Final = 30.0
"""Of JetStream: a server that was held up for a while is no finding."""
PREFIX: Final = "order-"


@dataclass(frozen=True, slots=True)
class Streams:
    """What is under way in JetStream: reports that nobody settled, put aside (`parked`) or gave up
    (`dead`), the latter two by the exchange's order id.

    `taken_seq` is the exchange's number of the newest report that is stored.
    """

    pending: int = 0
    unacknowledged: int = 0
    parked: Mapping[str, int] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)
    taken_seq: int = 0


async def running_orders(env: Mapping[str, str], order_ids: Sequence[str]) -> frozenset[str]:
    """The orders that have a run in progress: these, each described (lists of Temporal's lag),
    and any other that the list shows and a description confirms.
    """
    temporal = await Client.connect(
        env["SHERWOOD_TEMPORAL_ADDRESS"], namespace=env["SHERWOOD_TEMPORAL_NAMESPACE"]
    )
    listed = [run.id async for run in temporal.list_workflows("ExecutionStatus = 'Running'")]
    others = {one.removeprefix(PREFIX) for one in listed if one.startswith(PREFIX)}
    places = asyncio.Semaphore(DESCRIBED_AT_ONCE)

    async def runs(order_id: str) -> bool:
        async with places:
            try:
                run = await temporal.get_workflow_handle(PREFIX + order_id).describe()
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return False
                raise
        return run.status is WorkflowExecutionStatus.RUNNING

    async with asyncio.TaskGroup() as tasks:
        asked = {one: tasks.create_task(runs(one)) for one in {*order_ids, *others}}
    return frozenset(order_id for order_id, task in asked.items() if task.result())


async def read_streams(env: Mapping[str, str]) -> Streams:
    """All of it, as of now."""
    connection = await nats.connect(env["SHERWOOD_NATS_URL"])
    try:
        jetstream = connection.jetstream(timeout=ANSWER_SECONDS)
        stored = (await jetstream.stream_info("EXECUTIONS")).state
        consumer = await jetstream.consumer_info("EXECUTIONS", "executions")
        given = consumer.delivered.stream_seq if consumer.delivered else 0
        return Streams(
            # Its own count of them may lag behind what the stream has stored.
            pending=max(0, stored.last_seq - max(given, stored.first_seq - 1)),
            unacknowledged=consumer.num_ack_pending or 0,
            parked=await _by_order(jetstream, "PARKED"),
            dead=await _by_order(jetstream, "DEAD_LETTERS"),
            taken_seq=await _taken_seq(jetstream, stored),
        )
    finally:
        await connection.close()


async def _by_order(jetstream: JetStreamContext, stream: str) -> dict[str, int]:
    found = (await jetstream.stream_info(stream, subjects_filter=">")).state.subjects or {}
    return {subject.partition(".")[2]: count for subject, count in found.items()}


async def _taken_seq(jetstream: JetStreamContext, stored: StreamState) -> int:
    if stored.messages == 0:
        return 0
    try:
        newest = await jetstream.get_msg("EXECUTIONS", seq=stored.last_seq)
    except NotFoundError:
        return 0
    return int((newest.headers or {})["Sherwood-Feed-Seq"])
