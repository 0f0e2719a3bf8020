"""Postgres was restored from a backup: what happened since comes back from the exchange."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

from activities.exchange import VISIBILITY_SECONDS
from activities.restoring import RestoringActivities
from brokerage.bus.connection import Bus, BusUnavailable, NobodyListens
from brokerage.bus.execution_streams import begin_executions_anew
from brokerage.contracts.placements import SEND_BY_SECONDS
from brokerage.contracts.subjects import GATEWAY_QUERY
from brokerage.gateway.exchange import open_exchange
from brokerage.gateway.statements import Statements
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import Pool
from brokerage.storage.reads import settled_feed_seq
from brokerage.storage.recovery_reads import orders_by_id, other_sessions
from brokerage.storage.writes import OrderWriter
from workers.recover.adopting import adopt_all
from workers.recover.ending import end_runs, forget_runs
from workers.recover.owners import owners_of
from workers.recover.preconditions import Reached, Refused, Tell
from workers.recover.replaying import Replay, read_history, waiting_for_an_account

QUIET_SECONDS: Final = SEND_BY_SECONDS + VISIBILITY_SECONDS
"""What was sent before the gateways stopped is at the exchange, and can be seen there, by then."""
ASK_SECONDS: Final = 1.0


async def recover_postgres(settings: Settings, tell: Tell) -> None:
    """Orders newer than the backup, all executions since, and a run for every order that needs one.

    Only the three servers and the exchange may run meanwhile: a placement or an execution in
    between would be decided by rows that do not know what came before. Raises `Refused`,
    `BusUnavailable`, `DatabaseUnavailable`, RPCError.
    """
    async with AsyncExitStack() as stack:
        reached = Reached(settings, stack)
        pool = await reached.postgres()
        bus = await reached.nats()
        client = await reached.temporal()
        exchange = await stack.enter_async_context(
            open_exchange(settings.exchange_url, settings.exchange_member)
        )
        await _nobody_trades(bus, pool)
        tell(f"nobody trades; what was sent before is at the exchange in {QUIET_SECONDS:.0f} s")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(QUIET_SECONDS))
            ending = tasks.create_task(end_runs(pool, client))
        named, terminated = ending.result()
        settled_seq = await settled_feed_seq(pool)
        tell(f"{terminated} runs ended; reports are booked without a gap up to {settled_seq}")
        history = await read_history(Statements(bus, exchange), pool, settled_seq, tell)
        tell(
            f"of {history.orders} orders at the exchange {len(history.lost)} are missing here,"
            f" {len(history.behind)} may have changed, {history.foreign} are not ours"
        )
        owners = await owners_of(
            pool, history.lost, named, development=settings.environment == "development"
        )
        replay = Replay(RestoringActivities(OrderWriter(pool)), settled_seq)
        await replay.run(history, owners)
        tell(f"{replay.restored} orders came back, {replay.reports} reports were booked again")
        await begin_executions_anew(bus)
        adopted = await adopt_all(pool, client, tell)
        without = waiting_for_an_account(history.lost, owners)
        kept = await orders_by_id(pool, list(named))
        gone = named.keys() - kept.keys() - {stated.client_order_id for stated in without}
        forgotten = await forget_runs(client, gone)
    tell(f"{adopted.started} runs started from their rows, {forgotten} of lost orders removed")
    if without:
        raise Refused(
            f"{len(without)} orders of {len({stated.account_ref for stated in without})} accounts"
            " wait: nobody here has these accounts. Open them again, then repeat this"
        )
    tell("done: start everything again")


async def _nobody_trades(bus: Bus, pool: "Pool[Any]") -> None:
    """Raises `Refused` while a gateway listens or one of our processes is connected to Postgres."""
    stop = "stop API, gateways, feeds, executions and order workers, then repeat this"
    try:
        await bus.request(GATEWAY_QUERY, b"", ASK_SECONDS)
    except NobodyListens:
        pass
    except BusUnavailable as error:
        raise Refused(f"a gateway listens and does not answer: {stop}") from error
    else:
        raise Refused(f"a gateway runs: {stop}")
    sessions = await other_sessions(pool)
    if sessions > 0:
        raise Refused(f"our processes have {sessions} connections to Postgres: {stop}")
