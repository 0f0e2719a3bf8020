import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from devstack import probes
from devstack.errors import StackError
from devstack.roles import Row, owner_among, roles_of


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers in this very process answer; a busy machine must not make them silent."""
    monkeypatch.setattr(probes, "PROBE_TIMEOUT_SECONDS", 60.0)


@asynccontextmanager
async def answering(body: str) -> AsyncIterator[str]:
    """A process whose health routes all answer with `body`; yields its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.0 503 x\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def row(name: str, address: str) -> Row:
    return {"name": name, "address": address}


async def test_the_copy_that_says_it_is_the_owner_is_meant() -> None:
    async with (
        answering('{"role": "standby"}') as standby,
        answering('{"role": "owner"}') as owner,
    ):
        rows = [row("nats", "nats://x"), row("feed-1", standby), row("feed-2", owner)]

        assert await owner_among(rows, "feed") == "feed-2"
        assert await roles_of(rows) == {"feed-1": "standby", "feed-2": "owner"}


async def test_a_name_of_one_process_means_that_one_whatever_its_role() -> None:
    assert await owner_among([row("feed-1", "http://127.0.0.1:1")], "feed-1") == "feed-1"


@pytest.mark.parametrize("body", ['{"role": "standby"}', '{"role": 7}', "[]", "nonsense"])
async def test_without_an_owner_all_copies_are_named(body: str) -> None:
    async with answering(body) as address:
        rows = [row("feed-1", address), row("feed-2", "http://127.0.0.1:1")]

        with pytest.raises(StackError, match=r"no feed is the owner now.*feed-1 .*feed-2 \(silent"):
            await owner_among(rows, "feed")


async def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    rows = [row("orders-1", ""), row("feed-1", "")]

    for name in ("fed", "orders"):
        with pytest.raises(StackError, match=r"no process is called.*orders-1, feed-1"):
            await owner_among(rows, name)
