"""Markers by folder, and the stack that the tests of it share."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.nats_server import NatsServer, nats_server

FOLDERS = ("faults", "browser", "foreign", "integration", "replay", "unit")
"""In this order: in several processes, what takes longest must not begin last."""
TESTS = Path(__file__).parent

# What stacks do while nobody asks them anything is a good part of what all tests cost together, and
# most of that is the market: here it is slower than what `make up` plays, and moves less often.
for name, value in {"EXCHANGE_SPEED": "5", "EXCHANGE_TICK_MS": "50"}.items():
    os.environ.setdefault(name, value)  # noqa: TID251 - inherited by every exchange of a test

# A busy machine must not fail a test of pure functions.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the folder it lies in, so that nobody has to remember it; sort by it."""
    for item in items:
        item.add_marker(_folder(item))
    items.sort(key=lambda item: FOLDERS.index(_folder(item)))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A NATS server of the test's own, to be ended and started as it likes."""
    async with nats_server(tmp_path / "nats") as server:
        yield server


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[DevStack]:
    """Postgres (empty), NATS and Temporal of their own; addresses are in `servers.env`."""
    async with DevStack.temporary(only=["servers"]) as stack:
        await stack.wait_ready()
        yield stack


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[DevStack]:
    """Every process of Sherwood, on free ports, in a folder that goes with it; shared by all tests.

    A test that stops or kills something starts it again, and uses users of its own.
    """
    async with DevStack.temporary() as stack:
        await stack.wait_ready()
        yield stack


@pytest.fixture
async def alice(stack: DevStack) -> AsyncIterator[Account]:
    """A user of this test's own."""
    async with account(stack.api_url) as alice:
        yield alice


@pytest.fixture
async def operator(stack: DevStack) -> AsyncIterator[Account]:
    """An operator of this test's own."""
    async with account(stack.api_url, scope="operator") as operator:
        yield operator
