"""A fault proxy on every connection between two processes of a stack."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final

from devstack.process import ProcessSpec
from devstack.services import kind_of
from tests.soak.schedule import WIRES
from tests.support.proxy import FaultProxy

ADDRESSES: Final = {
    "postgres": "SHERWOOD_DATABASE_URL",
    "nats": "SHERWOOD_NATS_URL",
    "temporal": "SHERWOOD_TEMPORAL_ADDRESS",
    "exchange": "SHERWOOD_EXCHANGE_URL",
}
"""Where a process is told that a server is."""


class Wires:
    """`alter` (for `DevStack`) leads each process's connections through a proxy of its own."""

    def __init__(self) -> None:
        self.proxies: dict[str, FaultProxy] = {}
        """By wire: `<process>/<server>`."""

    def alter(self, spec: ProcessSpec) -> ProcessSpec:
        """The same process, told of proxies in place of servers."""
        told = dict(spec.environment)
        for server in WIRES.get(kind_of(spec.name), ()):
            variable = ADDRESSES[server]
            wire = f"{spec.name}/{server}"
            if wire not in self.proxies:
                self.proxies[wire] = FaultProxy(told[variable])
            told[variable] = self.proxies[wire].url
        return replace(spec, environment=told)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Carry all of them as long as the block."""
        async with AsyncExitStack() as stack:
            for proxy in self.proxies.values():
                await stack.enter_async_context(proxy.serving())
            yield

    def let_go(self) -> None:
        """Heal all of them."""
        for proxy in self.proxies.values():
            proxy.let_go()
