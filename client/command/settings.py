"""What the command reads from its environment."""

from pathlib import Path

from pydantic import AnyHttpUrl, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClientSettings(BaseSettings):
    """Where Sherwood is and who asks; read once, when a command starts."""

    model_config = SettingsConfigDict(env_prefix="SHERWOOD_", env_ignore_empty=True, frozen=True)

    api_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8000")
    token: SecretStr | None = None
    user: str | None = None
    """A development user for commands without `--user`; a token wins over it."""
    temporal_ui_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1:8233")
    temporal_namespace: str = "default"
    """Where operators see orders; only links are made of these."""
    cache_home: Path = Field(
        default=Path("~/.cache"), validation_alias="XDG_CACHE_HOME", validate_default=True
    )

    @property
    def base_url(self) -> str:
        """Where Sherwood is, without a slash at the end."""
        return str(self.api_url).rstrip("/")

    @property
    def cache_folder(self) -> Path:
        """The folder this command keeps its tokens in."""
        return self.cache_home.expanduser() / "sherwood"
