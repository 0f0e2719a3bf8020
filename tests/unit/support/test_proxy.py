import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.proxy import FaultProxy, proxy_to

SHORT_SECONDS: Final = 0.1
"""How long nothing must come where nothing may."""


class Peer:
    """One connection to an echo server, through a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def ask(self, text: bytes) -> None:
        """Send, and wait for nothing."""
        self.writer.write(text)

    async def hears(self, text: bytes) -> None:
        """Read that much; it is the text."""
        async with asyncio.timeout(60):
            assert await self.reader.readexactly(len(text)) == text

    async def hears_nothing(self) -> None:
        """Nothing comes for a while."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT_SECONDS):
                await self.reader.read(1)

    async def is_cut(self) -> bytes:
        """What was still to be heard before the connection ended."""
        heard = b""
        async with asyncio.timeout(60):
            try:
                while part := await self.reader.read(100):
                    heard += part
            except ConnectionResetError:
                pass
        return heard


Connect = Callable[[], Awaitable[Peer]]


@asynccontextmanager
async def echo_through_a_proxy() -> AsyncIterator[tuple[FaultProxy, list[bytes], Connect]]:
    """The way, what the server heard, and how to connect."""
    heard: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(1000):
                heard.append(part)
                writer.write(part)
        except ConnectionResetError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, proxy_to(f"127.0.0.1:{port}") as way:
        host, _, proxy_port = way.url.partition(":")

        async def connect() -> Peer:
            reader, writer = await asyncio.open_connection(host, int(proxy_port))
            writers.append(writer)
            return Peer(reader, writer)

        try:
            yield way, heard, connect
        finally:
            for writer in writers:
                writer.close()


async def test_what_is_held_arrives_in_order_once_it_is_let_go() -> None:
    async with echo_through_a_proxy() as (way, heard, connect):
        peer = await connect()
        way.hold()
        peer.ask(b"one")
        await eventually(lambda: way.done["held"] == 3, "it is held")
        await peer.hears_nothing()
        peer.ask(b"two")
        assert heard == []

        way.let_go()

        await peer.hears(b"onetwo")
        assert way.done["held"] >= 3
        assert way.done["broken"] == 0


async def test_answers_alone_can_be_held() -> None:
    async with echo_through_a_proxy() as (way, heard, connect):
        peer = await connect()
        way.hold(answers_only=True)
        peer.ask(b"one")
        await eventually(lambda: heard == [b"one"], "the server hears it")
        await peer.hears_nothing()

        way.let_go()

        await peer.hears(b"one")


async def test_an_answer_that_was_lost_never_comes_and_its_connection_breaks() -> None:
    async with echo_through_a_proxy() as (way, heard, connect):
        loser, idle = await connect(), await connect()
        idle.ask(b"before")
        await idle.hears(b"before")
        way.lose_answers()
        loser.ask(b"one")
        await eventually(lambda: way.done["lost"] == 3, "the answer is lost")
        await loser.hears_nothing()
        assert b"one" in heard

        way.let_go()

        assert await loser.is_cut() == b""
        idle.ask(b"after")
        await idle.hears(b"after")
        assert way.done["broken"] == 1


async def test_a_slow_way_delays_and_loses_nothing() -> None:
    async with echo_through_a_proxy() as (way, _, connect):
        peer = await connect()
        way.slow(2 * SHORT_SECONDS)
        peer.ask(b"one")
        await peer.hears_nothing()

        await peer.hears(b"one")
        assert way.done["slowed"] == 6


async def test_a_connection_is_cut_in_the_middle_of_an_answer_and_the_next_is_not() -> None:
    async with echo_through_a_proxy() as (way, _, connect):
        peer = await connect()
        way.cut_after(4)
        peer.ask(b"one")
        await peer.hears(b"one")
        peer.ask(b"two")

        assert await peer.is_cut() == b"t"
        assert way.done["broken"] == 1
        other = await connect()
        other.ask(b"three")
        await other.hears(b"three")


async def test_a_closed_way_breaks_what_it_carries_and_refuses_more() -> None:
    async with echo_through_a_proxy() as (way, _, connect):
        peer = await connect()
        peer.ask(b"one")
        await peer.hears(b"one")
        way.close_up()
        assert await peer.is_cut() == b""
        refused = await connect()
        assert await refused.is_cut() == b""
        await eventually(lambda: way.done["refused"] == 1, "it is counted")
        await eventually(lambda: way.open_connections == 0, "nothing is carried any more")

        way.let_go()

        later = await connect()
        later.ask(b"two")
        await later.hears(b"two")


async def test_where_nobody_listens_the_connection_breaks() -> None:
    async with proxy_to(f"127.0.0.1:{free_port()}") as way:
        host, _, port = way.url.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))

        assert await Peer(reader, writer).is_cut() == b""
        writer.close()


async def test_it_keeps_the_rest_of_the_address() -> None:
    async with proxy_to("postgresql://alice:secret@127.0.0.1:5432/books") as way:
        assert way.url.startswith("postgresql://alice:secret@127.0.0.1:")
        assert way.url.endswith("/books")
        assert ":5432" not in way.url
