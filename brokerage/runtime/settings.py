"""Everything a process is told from outside, read once at start from `SHERWOOD_*`."""

from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One frozen object for all processes; a value that is missing or wrong stops the start."""

    model_config = SettingsConfigDict(env_prefix="SHERWOOD_", frozen=True)

    environment: Literal["development", "production"] = "production"
    database_url: str = "postgresql://sherwood@127.0.0.1:5433/sherwood"
    nats_url: str = "nats://127.0.0.1:4222"
    nats_monitor_url: str | None = None
    """Where a NATS server tells its settings (`http:`); only `sherwood doctor` looks there."""
    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    exchange_url: str = "http://127.0.0.1:8100"
    exchange_member: str = "sherwood"

    api_host: str = "127.0.0.1"
    api_port: int = 8000
    drain_seconds: float = Field(default=0.0, ge=0)
    """How long an API node that was told to stop goes on serving, unready: as long as its load
    balancer may take to see that."""
    health_host: str = "127.0.0.1"
    health_port: int = 0
    """Where a process without a port of its own answers `/livez`, `/readyz`, `/metrics`; 0: any."""

    token_algorithm: Literal["HS256", "EdDSA"] = "HS256"
    token_secret: SecretStr | None = None
    """HS256: the shared secret, at least 32 bytes."""
    token_jwks: str | None = None
    """EdDSA: the public keys, a JWK set as JSON text or the path of a file that holds one."""
    token_private_key: SecretStr | None = None
    """EdDSA, development only: the key (PEM) that `POST /dev/token` signs with."""
    token_issuer: str = "sherwood"
    token_audience: str = "sherwood"

    database_pool_size: int = Field(default=8, ge=2)
    worker_build_id: str | None = None
    """The release an order worker belongs to, as a version of the worker deployment `orders`: it is
    given orders once that version is current or ramping. None: unversioned."""
    workflow_tasks_max: int = Field(default=8, ge=2)
    placements_max: int = Field(default=64, ge=1)
    """Placements one API process has under way: about as many as an order's worker answers within
    the time that a caller waits. More would only be answered too late, all of them."""
    streams_max: int = Field(default=10_000, ge=1)
    """Price streams open on one API process; each takes about 20 KB."""
    streams_per_user_max: int = Field(default=20, ge=1)
    stream_openings_per_second_max: int = Field(default=5_000, ge=1)
    order_streams_max: int = Field(default=5_000, ge=1)
    """Order streams open on one API process; each takes about 45 KB."""
    order_streams_per_user_max: int = Field(default=10, ge=1)
    order_stream_openings_per_second_max: int = Field(default=500, ge=1)
    """Each reads from Postgres where the user's log ends."""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    tracing_endpoint: str | None = None
    """Where an OpenTelemetry collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`; None:
    no traces. Needs the extra `tracing`."""

    @model_validator(mode="after")
    def _secret_is_long_enough(self) -> "Settings":
        secret = self.token_secret
        if secret is not None and len(secret.get_secret_value().encode()) < 32:
            raise ValueError("SHERWOOD_TOKEN_SECRET needs at least 32 bytes")
        return self
