"""`python -m tests.replay.record [STORY... | all]`: record the histories that the tests replay.

The workflow as it is now runs on a Temporal and a Postgres of its own. Without a word only those
stories are told that have no history yet. What is recorded stays: it stands for the orders that are
open when new code is deployed, so one that no longer replays is an order that stops. Record it
anew only where no order of that kind can be open any more, and never just because the test fails.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from temporalio.client import Client

from brokerage.contracts.ids import workflow_id_for
from brokerage.storage.migrate import migrate
from brokerage.storage.openings import open_account
from devstack.stack import DevStack
from tests.replay.stories import STORIES, Story, StoryExchange, Tell, name_of
from tests.replay.worker import IDENTITY, StoryWorker
from tests.support.books import books_of_a_new_user

HISTORIES: Final = Path(__file__).parent / "histories" / "OrderWorkflow"
CASH_CENTS: Final = 1_000_000


def without_places(history: Any) -> Any:
    """The history without the stack traces, which tell where the code lay; replay needs none."""
    if isinstance(history, dict):
        return {
            name: without_places(value) for name, value in history.items() if name != "stackTrace"
        }
    if isinstance(history, list):
        return [without_places(value) for value in history]
    return history


async def record(folder: Path, stories: Sequence[Tell]) -> list[str]:
    """Tell the stories and write their histories to `folder`; returns a line about each."""
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
            StoryWorker(client, books, stack) as worker,
        ):
            for tell in stories:
                name = name_of(tell)
                await open_account(books.pool, name, CASH_CENTS, {}, {})
                start = await tell(Story(client, replace(books, user_id=name), exchange, worker))
                handle = client.get_workflow_handle(workflow_id_for(start.order_id))
                async with asyncio.timeout(30):
                    status = await handle.result()
                history = await handle.fetch_history()
                events = without_places(json.loads(history.to_json()))
                text = json.dumps(events, indent=1, sort_keys=True)
                await asyncio.to_thread((folder / f"{name}.json").write_text, f"{text}\n")
                said.append(f"{name}: {len(history.events)} events, {status}")
    return said


def chosen(words: Sequence[str]) -> list[Tell]:
    """The stories to tell: those named, `all`, or without a word those never recorded.

    Raises `SystemExit` for a name that is no story's.
    """
    if words == ["all"]:
        return list(STORIES)
    by_name = {name_of(tell): tell for tell in STORIES}
    if unknown := set(words) - set(by_name):
        raise SystemExit(f"no story is called {', '.join(sorted(unknown))}: {', '.join(by_name)}")
    recorded = {file.stem for file in HISTORIES.glob("*.json")}
    return [by_name[name] for name in words or by_name if words or name not in recorded]


def main() -> None:
    """Record; what was recorded before goes only when all that is new is there."""
    console = Console()
    stories = chosen(sys.argv[1:])
    if not stories:
        console.print("every story is recorded; name those to record anew, or `all`")
        return
    with TemporaryDirectory() as new:
        for line in asyncio.run(record(Path(new), stories)):
            console.print(line)
        shutil.copytree(new, HISTORIES, dirs_exist_ok=True)
    HISTORIES.chmod(0o755)  # not the private mode of a temporary folder


if __name__ == "__main__":
    main()
