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
