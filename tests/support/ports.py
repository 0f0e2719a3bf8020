"""Ports for servers that tests start."""

import socket

from devstack.ports import free_ports


def free_port() -> int:
    """A port nobody listened on a moment ago."""
    return free_ports(["server"], {})["server"]


def accepts(port: int) -> bool:
    """True when somebody takes connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
