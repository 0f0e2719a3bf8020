"""SQL with named parameters, numbered once when the module is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from brokerage.storage.pool import Connection

# A cast (`::bigint`) is no parameter.
_NAME = re.compile(r"(?<!:):([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement whose parameters stand as `:name` in its source."""

    text: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, source: str) -> "Statement":
        """Number the names in the order in which they first appear."""
        names = tuple(dict.fromkeys(_NAME.findall(source)))
        numbers = {name: number for number, name in enumerate(names, start=1)}
        return cls(_NAME.sub(lambda match: f"${numbers[match[1]]}", source), names)

    async def value(self, database: "Connection[asyncpg.Record]", values: Mapping[str, Any]) -> Any:
        """Run it; the first column of the first row, or None without one."""
        return await database.fetchval(self.text, *[values[name] for name in self.names])
