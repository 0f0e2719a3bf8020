"""What devstack is told from outside, read once at start."""

import os
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder that holds every package; children run there, so `python -m api` finds its module."""


class StackSettings(BaseSettings):
    """`SHERWOOD_*` as far as devstack itself reads them; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix="SHERWOOD_", frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    home: Path = CHECKOUT / ".sherwood"
    cache: Path | None = None
    xdg_cache_home: Path | None = Field(
        default=None, validation_alias=AliasChoices("xdg_cache_home", "XDG_CACHE_HOME")
    )
    search_path: str = Field(default=os.defpath, validation_alias=AliasChoices("PATH"))
    temporal_bin: Path | None = None
    postgres_user: str = "nobody"
    """Who Postgres runs as when the stack is started by root, which Postgres itself refuses."""

    database_url: str | None = None
    nats_url: str | None = None
    temporal_address: str | None = None
    temporal_namespace: str = "default"

    @property
    def cache_folder(self) -> Path:
        """Where what is expensive to obtain is kept between checkouts."""
        if self.cache is not None:
            return self.cache.expanduser().resolve()
        return (self.xdg_cache_home or Path.home() / ".cache") / "sherwood"


def own_servers() -> StackSettings:
    """Return the settings of a stack that starts every server itself, whatever the environment."""
    return StackSettings().model_copy(
        update={
            "database_url": None,
            "nats_url": None,
            "temporal_address": None,
            "temporal_namespace": "default",
        }
    )


def inherited_environment() -> dict[str, str]:
    """Return a copy of the environment, for children that should see what their caller set."""
    return dict(os.environ)  # noqa: TID251 - handed on whole, nothing is read from it here


def bare_environment(settings: StackSettings, home: Path) -> dict[str, str]:
    """Return the environment of a server: a stray PGPORT or TEMPORAL_ADDRESS must not reach it."""
    return {"PATH": settings.search_path, "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}
