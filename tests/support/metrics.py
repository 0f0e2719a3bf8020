"""What a process exports, as a scraper reads it, and what the page of metrics says of it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from devstack.services import kind_of
from devstack.stack import DevStack

LIBRARIES = ("python_", "process_")
"""Prefixes of what Python's client exports by itself."""
PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"
ROW = re.compile(r"^\| `(\w+)`( †)? \| (\w+) \|([\w, ]*)\| ([\w ]+) \| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """A metric as the page has it; one that appears with its first event need not be there."""

    name: str
    awaited: bool
    type: str
    labels: frozenset[str]
    kinds: frozenset[str]


def documented() -> Iterator[Row]:
    """Every row of the page."""
    for name, first, kind, labels, processes, _ in ROW.findall(PAGE.read_text()):
        named = frozenset(label.strip() for label in labels.split(",") if label.strip())
        yield Row(name, bool(first), kind, named, frozenset(processes.split()))


@dataclass
class Family:
    """A metric by the name it is asked for, its type, and every label a series of it has."""

    name: str
    type: str
    labels: set[str] = field(default_factory=set)


async def exported(stack: DevStack, name: str) -> str:
    """The metrics of a process, as text."""
    async with httpx.AsyncClient(trust_env=False, timeout=30.0) as http:
        answer = await http.get(f"{stack.processes[name].spec.address}/metrics")
    assert answer.status_code == 200, (name, answer.text)
    assert answer.headers["content-type"].startswith("text/plain; version="), answer.headers
    return answer.text


def families(text: str) -> dict[str, Family]:
    """The families of our own in an exposition, by name."""
    found: dict[str, Family] = {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith(LIBRARIES):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        one = found.setdefault(name, Family(name, family.type))
        for sample in family.samples:
            one.labels |= sample.labels.keys() - {"le"}
    return found


def together(several: Iterable[dict[str, Family]]) -> dict[str, Family]:
    """What copies of one process export, as one."""
    found: dict[str, Family] = {}
    for one in several:
        for name, family in one.items():
            found.setdefault(name, Family(name, family.type)).labels.update(family.labels)
    return found


async def exported_by_kind(stack: DevStack) -> dict[str, dict[str, Family]]:
    """The families of each kind of process of ours that runs, and of the exchange."""
    texts: dict[str, list[str]] = {}
    for name, process in stack.processes.items():
        if process.spec.address.startswith("http://"):
            texts.setdefault(kind_of(name), []).append(await exported(stack, name))
    return {kind: together(map(families, several)) for kind, several in texts.items()}
