"""What was measured, as it is kept in docs/capacity.json."""

from pathlib import Path

import msgspec


class OrderCost(msgspec.Struct, frozen=True):
    """One order with its fill: processor time by kind of process, above what an idle one takes;
    what Temporal, Postgres and JetStream write for it; bytes that stay.
    """

    orders: int
    rate: float
    cpu_ms: dict[str, float]
    events: float
    transitions: float
    executions: float
    postgres_rows: float
    postgres_commits: float
    postgres_bytes: float
    postgres_log_bytes: float
    temporal_bytes: float
    jetstream_messages: float


class ViewerCost(msgspec.Struct, frozen=True):
    """One viewer of 20 symbols, by what so many cost a node: parts of a core, bytes of memory,
    and, each second, updates and bytes.
    """

    viewers: int
    core: float
    memory_bytes: float
    updates_per_second: float
    bytes_per_second: float


class Figures(msgspec.Struct, frozen=True):
    """One run. `memory_bytes` is of a process of each kind."""

    machine: str
    day: str
    load_before: float
    order: OrderCost
    viewer: ViewerCost
    memory_bytes: dict[str, int]


def read(file: Path) -> Figures:
    """The figures of the last run. Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(file.read_bytes(), type=Figures)


def write(figures: Figures, file: Path) -> None:
    """Keep them, in lines that a person can read and compare."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
