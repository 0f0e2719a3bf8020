"""`python -m tests.replay.record`: record the histories that the replay tests replay.

The workflow as it is now runs on a Temporal and a Postgres of its own. Record anew when a change of
the workflow is meant to change what it does, and never just because the test fails: a history that
no longer replays is an open order that stops.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from temporalio.client import Client
from temporalio.worker import Worker

from brokerage.contracts.ids import ORDERS_TASK_QUEUE, workflow_id_for
from brokerage.storage.admission import open_account
from brokerage.storage.migrate import migrate
from devstack.stack import DevStack
from tests.replay.stories import STORIES, Story, StoryExchange
from tests.support.books import Books, books_of_a_new_user
from workers.sandbox import production_runner
from workflows.order import OrderWorkflow

HISTORIES: Final = Path(__file__).parent / "histories" / "OrderWorkflow"
IDENTITY: Final = "recorder"
CASH_CENTS: Final = 1_000_000


@asynccontextmanager
async def working(client: Client, books: Books) -> AsyncIterator[None]:
    """Run orders as the order worker does."""
    worker = Worker(
        client,
        task_queue=ORDERS_TASK_QUEUE,
        workflows=[OrderWorkflow],
        activities=[
            books.orders.reserve,
            books.orders.adopt,
            books.orders.settle,
            books.orders.request_cancel,
            books.exchange.submit,
            books.exchange.resolve_submission,
            books.exchange.send_cancel,
        ],
        workflow_runner=production_runner(),
        identity=IDENTITY,
    )
    async with worker:
        yield


def without_places(history: Any) -> Any:
    """The history without the stack traces, which tell where the code lay; replay needs none."""
    if isinstance(history, dict):
        return {
            name: without_places(value) for name, value in history.items() if name != "stackTrace"
        }
    if isinstance(history, list):
        return [without_places(value) for value in history]
    return history


async def record(folder: Path) -> list[str]:
    """Tell every story and write its history to `folder`; returns a line about each."""
    said: list[str] = []
    exchange = StoryExchange()
    async with DevStack.temporary(only=["postgres", "temporal"]) as stack:
        await stack.wait_ready()
        database_url = stack.env["SHERWOOD_DATABASE_URL"]
        await migrate(database_url)
        client = await Client.connect(stack.env["SHERWOOD_TEMPORAL_ADDRESS"], identity=IDENTITY)
        # One worker for all: a task handed to one that has just stopped waits for its timeout.
        async with (
            books_of_a_new_user(database_url, gateway=exchange) as books,
            working(client, books),
        ):
            for tell in STORIES:
                name = getattr(tell, "__name__", "")
                await open_account(books.pool, name, CASH_CENTS, {}, {})
                start = await tell(Story(client, replace(books, user_id=name), exchange))
                handle = client.get_workflow_handle(workflow_id_for(start.order_id))
                async with asyncio.timeout(30):
                    status = await handle.result()
                history = await handle.fetch_history()
                events = without_places(json.loads(history.to_json()))
                text = json.dumps(events, indent=1, sort_keys=True)
                await asyncio.to_thread((folder / f"{name}.json").write_text, f"{text}\n")
                said.append(f"{name}: {len(history.events)} events, {status}")
    return said


def main() -> None:
    """Record every history anew; the old ones go only when all new ones are there."""
    console = Console()
    with TemporaryDirectory() as new:
        for line in asyncio.run(record(Path(new))):
            console.print(line)
        shutil.rmtree(HISTORIES, ignore_errors=True)
        shutil.copytree(new, HISTORIES)
    HISTORIES.chmod(0o755)  # not the private mode of a temporary folder


if __name__ == "__main__":
    main()
