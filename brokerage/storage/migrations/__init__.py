"""The schema's history, applied by Alembic; `brokerage.storage.migrate` runs it."""
