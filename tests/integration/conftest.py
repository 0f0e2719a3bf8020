"""What several tests here stand on."""

from collections.abc import AsyncIterator

import pytest

from devstack.stack import DevStack
from tests.support.books import Books, audited_books


@pytest.fixture
async def books(servers: DevStack) -> AsyncIterator[Books]:
    """A user with $10,000.00 and 50 IBM; what the test did leaves books without contradiction."""
    async with audited_books(servers.env["SHERWOOD_DATABASE_URL"]) as books:
        yield books
