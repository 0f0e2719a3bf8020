"""What can be set: `EXCHANGE_*` in the environment, or options of the command."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def parse_speed(value: Any) -> Any:
    """Turn `max` into infinity; anything else is left to the number it must be."""
    return math.inf if isinstance(value, str) and value.strip().lower() == "max" else value


Speed = Annotated[float, BeforeValidator(parse_speed), Field(gt=0)]


class Settings(BaseSettings):
    """Read once, at the start. `speed` is a factor of the recorded time; infinite: unbound.

    `walk_prints_per_second` is per walking symbol and `walk_prints_per_second_max` for all of them
    together, both in wall time at a speed of 20, the default. After `days` of the market it stands
    still; None: it goes on for ever.
    """

    model_config = SettingsConfigDict(env_prefix="EXCHANGE_", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8100, ge=0, le=65535)
    journal: Path = Path(".sherwood/exchange.sqlite3")
    journal_sync: Literal["normal", "full"] = "normal"
    speed: Speed = 20.0
    days: int | None = Field(default=None, ge=1)
    symbols: int | None = Field(default=None, ge=1)
    seed: int = 7
    tape: Path | None = None
    walk_prints_per_second: float = Field(default=1.0, gt=0)
    walk_prints_per_second_max: float = Field(default=400.0, gt=0)
    sessions: bool = False
    day_end: str = Field(default="16:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    control: bool = True
    tick_ms: int = Field(default=20, ge=1, le=1000)
    body_bytes_max: int = 1_000_000
    connection_max: int = 1_000
    feed_connection_max: int = 64
    feed_backlog_bytes_max: int = 32_000_000
    replay_bytes_max: int = 96_000_000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
