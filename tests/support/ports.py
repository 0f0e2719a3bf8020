"""Ports for servers that tests start."""

import socket
from collections import deque
from typing import Final

from devstack.ports import FreePorts

KEPT_MAX: Final = 200
_kept: Final[deque[FreePorts]] = deque()


def free_port() -> int:
    """A port nobody listens on, and which no stack or other test that looks for one gets before
    the server is there.
    """
    if len(_kept) == KEPT_MAX:
        _kept.popleft().__exit__()
    ports = FreePorts()
    _kept.append(ports)
    return ports.choose(["server"], {})["server"]


def accepts(port: int) -> bool:
    """True when somebody takes connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
