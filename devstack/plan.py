"""What a stack consists of, before anything runs: names, ports, environment, how to run each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from devstack import postgres, probes
from devstack.errors import StackError
from devstack.home import Home
from devstack.nats import nats_spec
from devstack.ports import HOST
from devstack.process import ProcessSpec, Report
from devstack.services import NUMBERED, SERVERS, all_names, application_spec, kind_of
from devstack.settings import StackSettings, inherited_environment
from devstack.temporal_server import temporal_spec

SECOND_PORTS: Final = {"temporal": "temporal-ui", "nats": "nats-monitor"}
USUAL_ELSEWHERE: Final = {"postgres": 5432, "nats": 4222, "temporal": 7233}
"""Where a server that is not ours listens if its address names no port."""


def chosen_names(
    workers: int, only: Iterable[str], without: Iterable[str], apis: int = 1
) -> tuple[str, ...]:
    """Return the names that `only` and `without` leave. Raises `StackError` for unknown ones."""
    names = all_names(workers, apis)

    def expand(words: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for word in words:
            if word == "servers":
                found |= set(SERVERS)
            elif word in NUMBERED:
                found |= {name for name in names if kind_of(name) == word}
            elif word in names:
                found.add(word)
            else:
                raise StackError(f"no process is called {word!r}; there are: {', '.join(names)}")
        return found

    kept = (expand(only) or set(names)) - expand(without)
    return tuple(name for name in names if name in kept)


@dataclass(frozen=True)
class Plan:
    """A stack on paper. `exchange` and `environment` are variables on top of its own."""

    settings: StackSettings
    home: Home
    names: tuple[str, ...]
    exchange: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def external(self, name: str) -> str | None:
        """Return the address of a server that runs already, None if we start it."""
        return {
            "postgres": self.settings.database_url,
            "nats": self.settings.nats_url,
            "temporal": self.settings.temporal_address,
        }.get(name)

    def port_names(self) -> list[str]:
        """Return the names of the ports that must be chosen."""
        listening = [
            name for name in self.names if name != "migrations" and self.external(name) is None
        ]
        return listening + [SECOND_PORTS[name] for name in listening if name in SECOND_PORTS]

    def env(self, ports: Mapping[str, int]) -> dict[str, str]:
        """Return in variables where everything is; secrets of ours are not among them."""
        known = {
            "SHERWOOD_ENVIRONMENT": "development",
            "SHERWOOD_TEMPORAL_NAMESPACE": self.settings.temporal_namespace,
        }
        for name, variable in {
            "postgres": "SHERWOOD_DATABASE_URL",
            "nats": "SHERWOOD_NATS_URL",
            "temporal": "SHERWOOD_TEMPORAL_ADDRESS",
        }.items():
            external = self.external(name)
            if external is not None:
                known[variable] = external
            elif name in ports:
                known[variable] = self._own_address(name, ports[name])
        if "exchange" in ports:
            known["SHERWOOD_EXCHANGE_URL"] = f"http://{HOST}:{ports['exchange']}"
        if "nats-monitor" in ports:
            known["SHERWOOD_NATS_MONITOR_URL"] = f"http://{HOST}:{ports['nats-monitor']}"
        if "temporal-ui" in ports:
            known["SHERWOOD_TEMPORAL_UI_URL"] = f"http://{HOST}:{ports['temporal-ui']}"
        if "api" in ports:
            known |= {
                "SHERWOOD_API_HOST": HOST,
                "SHERWOOD_API_PORT": str(ports["api"]),
                "SHERWOOD_API_URL": f"http://{HOST}:{ports['api']}",
            }
        return known | dict(self.environment)

    def _own_address(self, name: str, port: int) -> str:
        if name == "postgres":
            return postgres.url(self.home, port)
        return f"nats://{HOST}:{port}" if name == "nats" else f"{HOST}:{port}"

    def specs(self, ports: Mapping[str, int]) -> list[ProcessSpec]:
        """Return how to run each process."""
        return [self._spec(name, ports) for name in self.names]

    def _spec(self, name: str, ports: Mapping[str, int]) -> ProcessSpec:
        external = self.external(name)
        if external is not None:
            return external_spec(name, external)
        settings, home = self.settings, self.home
        match name:
            case "postgres":
                return postgres.postgres_spec(settings, home, ports["postgres"])
            case "nats":
                return nats_spec(settings, home, ports["nats"], ports["nats-monitor"])
            case "temporal":
                return temporal_spec(settings, home, ports["temporal"], ports["temporal-ui"])
        environment = inherited_environment() | self.env(ports)
        environment |= {
            "SHERWOOD_TOKEN_ALGORITHM": "HS256",
            "SHERWOOD_TOKEN_SECRET": home.secret("token-secret"),
        }
        if name == "exchange":
            environment |= {
                "EXCHANGE_HOST": HOST,
                "EXCHANGE_PORT": str(ports["exchange"]),
                "EXCHANGE_JOURNAL": str(home.root / "exchange" / "journal.db"),
                **self.exchange,
            }
        return application_spec(name, home, ports, environment, self.names)


def external_spec(name: str, address: str) -> ProcessSpec:
    """Return the description of a server that runs already: it is only looked at."""

    async def never(report: Report) -> tuple[str, ...]:
        raise StackError(f"{name} is external and cannot be started from here")

    return ProcessSpec(
        name=name,
        prepare=never,
        environment={},
        folder=Path("/"),
        probe=probes.tcp_of(address, USUAL_ELSEWHERE[name]),
        address=address.rpartition("@")[2],  # without a password
    )
