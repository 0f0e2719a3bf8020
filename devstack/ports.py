"""Which ports the stack listens on: the usual ones, or free ones.

All on 127.0.0.1. Names are those of the processes; `temporal-ui` and `nats-monitor` are the second
ports of their servers.
"""

import random
import socket
from collections.abc import Iterable, Mapping
from typing import Final, Self

import psutil

from devstack.errors import PortsBusy

HOST: Final = "127.0.0.1"

USUAL: Final[Mapping[str, int]] = {
    "api": 8000,
    "exchange": 8100,
    "temporal": 7233,
    "temporal-ui": 8233,
    "nats": 4222,
    "nats-monitor": 8222,
    "postgres": 5433,
    "gateway": 8301,
    "executions": 8303,
}
NUMBERED_BASE: Final[Mapping[str, int]] = {"orders": 8310, "feed": 8320, "api": 8000}
"""The process `<kind>-N` answers its health routes on this plus N."""

# Below the range the kernel takes outgoing connections' ports from: a free port stays free.
FREE_FROM, FREE_TO = 20_000, 32_000


def usual_port(name: str) -> int:
    """Return the port `name` has unless told otherwise."""
    kind, _, number = name.rpartition("-")
    if kind in NUMBERED_BASE:
        return NUMBERED_BASE[kind] + int(number)
    return USUAL[name]


def usual_ports(names: Iterable[str]) -> dict[str, int]:
    """Return the usual port of each name.

    Raises `PortsBusy` if any of them is taken; its message tells by whom.
    """
    ports = {name: usual_port(name) for name in names}
    busy = {name: port for name, port in ports.items() if not is_free(port)}
    if busy:
        lines = [f"  {port} ({name}): {holder(port)}" for name, port in busy.items()]
        raise PortsBusy(
            "ports the stack needs are taken:\n"
            + "\n".join(lines)
            + "\nStop what holds them, or take free ports: make up ARGS='--ports auto'"
        )
    return ports


class FreePorts:
    """Free ports, reserved among stacks that start side by side; as a context it lets go of them.

    A reserved port is bound and not listened on: servers, which set SO_REUSEADDR, can have it, and
    another stack that looks for a free one, without, cannot.
    """

    def __init__(self) -> None:
        self._reserved: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for reserved in self._reserved:
            reserved.close()

    def choose(self, names: Iterable[str], preferred: Mapping[str, int]) -> dict[str, int]:
        """Return a free port for each name, the preferred one where it is still free."""
        ports: dict[str, int] = {}
        for name in names:
            wanted = preferred.get(name)
            if wanted is not None and wanted not in ports.values() and is_free(wanted):
                ports[name] = wanted
            else:
                ports[name] = self._any(set(preferred.values()))
        return ports

    def _any(self, taken: set[int]) -> int:
        while True:
            port = random.randrange(FREE_FROM, FREE_TO)
            if port in taken:
                continue
            reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                reserved.bind((HOST, port))
            except OSError:
                reserved.close()
                continue
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reserved.append(reserved)
            return port


def free_ports(names: Iterable[str], preferred: Mapping[str, int]) -> dict[str, int]:
    """Return a port for each name that is free now; whoever listens first has it."""
    with FreePorts() as free:
        return free.choose(names, preferred)


def is_free(port: int) -> bool:
    """True if nothing listens on `port` of this machine's loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that linger after a stop must not count as a holder.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Say who listens on `port`, as far as this user may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        address = connection.laddr
        if connection.status != psutil.CONN_LISTEN or not address or address.port != port:
            continue
        if connection.pid is None:
            return "a process of another user"
        try:
            command = " ".join(psutil.Process(connection.pid).cmdline())
        except psutil.Error:
            command = "unknown command"
        return f"pid {connection.pid}, {command[:120]}"
    return "a process that cannot be seen from here"
