"""Structured logs: one line an event, its name first, then the facts, ids always among them.

Lines of libraries that speak to Python's own `logging` are written the same way. What belongs to
the work at hand is bound once (`bind`) and stands in every line until that work's task ends.
"""

import logging
import re
import sys
from typing import Final

import msgspec
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from brokerage.runtime.settings import Settings
from brokerage.runtime.tracing import trace_id

SECRET: Final = re.compile(
    r"(?P<before>Bearer\s+|ticket=)[^\s\"'&\\]+"
    r"|(?P<user>://[^/\s:@\"]*:)[^\s\"'/@\\]+(?=@)"
    r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]+"
)
"""A token, a ticket, the password of an address: driver's errors and paths may hold one."""

bind: Final = structlog.contextvars.bind_contextvars
"""`bind(order_id=..., user_id=...)`: name these in every line of this task from now on."""


def configure_logs(settings: Settings, process: str) -> None:
    """Send the logs of this process, and of its libraries from warning up, to standard error."""
    level = getattr(logging, settings.log_level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.tracing_endpoint is not None:
        shared.append(_with_trace)
    rendered = _rendered(settings)
    structlog.configure(
        processors=[*shared, rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[ProcessorFormatter.remove_processors_meta, rendered],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    bind(process=process)


def without_secrets(line: str) -> str:
    """The line without what must not be read in it, wherever in it that stands."""
    return SECRET.sub(lambda found: f"{found['before'] or found['user'] or ''}[hidden]", line)


def _with_trace(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    if (known := trace_id()) is not None:
        event["trace_id"] = known
    return event


def _rendered(settings: Settings) -> Processor:
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        # The usual one prints the values of variables, secrets among them.
        exception_formatter=structlog.dev.plain_traceback,
    )
    render = console if settings.log_format == "console" else _json

    def rendered(logger: WrappedLogger, name: str, event: EventDict) -> str:
        return without_secrets(render(logger, name, event))

    return rendered


def _json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    structlog.processors.format_exc_info(logger, name, event)
    ordered = {"event": event.pop("event"), "level": event.pop("level"), **event}
    return msgspec.json.encode(ordered, enc_hook=repr).decode()
