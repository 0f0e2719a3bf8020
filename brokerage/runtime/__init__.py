"""How a process runs: settings, logs, metrics, health, start and stop.

May import `brokerage.domain` at most. Owns pydantic-settings, structlog, prometheus-client and
uvicorn's health endpoint. A process enters through `brokerage.runtime.process.run` and leaves
through it; nothing here outlives it.
"""
