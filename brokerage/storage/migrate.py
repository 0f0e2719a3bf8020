"""`python -m brokerage.storage.migrate`: bring the schema to the newest revision, then exit."""

import asyncio
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from brokerage.runtime.logs import configure_logs
from brokerage.runtime.settings import Settings

log = structlog.get_logger()

MIGRATION_LOCK = 0x53484552
"""Advisory lock: two that start at once migrate one after the other."""


async def migrate(database_url: str) -> None:
    """Apply what is missing. Raises what the driver raises when the database cannot be reached."""
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://", 1))
    try:
        async with engine.connect() as connection:
            await connection.execute(text(f"SELECT pg_advisory_lock({MIGRATION_LOCK})"))
            await connection.commit()
            await connection.run_sync(_upgrade)
            await connection.commit()
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    attributes: dict[Any, Any] = config.attributes
    attributes["connection"] = connection
    before = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    command.upgrade(config, "head")
    after = MigrationContext.configure(connection).get_current_revision()
    log.info("schema_current", before=before, after=after)


if __name__ == "__main__":
    settings = Settings()
    configure_logs(settings, "migrate")
    asyncio.run(migrate(settings.database_url))
