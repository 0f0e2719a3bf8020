import asyncio
import socket
import sys

import pytest

from api.listening import UNSENT_BYTES_MAX, USER_TIMEOUT_MS, listen


@pytest.mark.skipif(sys.platform != "linux", reason="these options are Linux's")
def test_each_connection_takes_over_what_the_kernel_may_keep_for_it() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:

            def option(level: int, name: int) -> int:
                return connection.getsockopt(level, name)

            assert option(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_BYTES_MAX
            assert option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == USER_TIMEOUT_MS
            assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_address_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        listen(*taken.getsockname())


async def test_connections_send_small_answers_at_once() -> None:
    delays: asyncio.Queue[int] = asyncio.Queue()

    def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        delays.put_nowait(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        async with await asyncio.start_server(note, sock=listener):
            _, writer = await asyncio.open_connection(*address)
            assert await delays.get() == 1
            writer.close()
            await writer.wait_closed()
