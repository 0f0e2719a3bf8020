"""Traces, where somebody wants them: OpenTelemetry, which nothing else here imports.

Off, every function here does nothing, and OpenTelemetry is not even loaded. On (`start_tracing`),
what is under way follows the task: who opens a span inside another one becomes its child. Between
processes W3C's `traceparent` carries it. Spans go out over OTLP/HTTP from a thread of the SDK; how
often, how many, which ones is set by the standard `OTEL_*` variables that the SDK reads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

EXPORT_SECONDS: Final = 2.0
"""A collector that is away must not hold up the end of a process."""

Kind = Literal["internal", "server", "client"]
Under = Any
"""What a span may be opened under later, in another task; None while tracing is off."""


class TracingUnavailable(Exception):
    """Traces are wanted and the extra `tracing` is not installed."""


@dataclass(frozen=True, slots=True)
class _Tracing:
    tracer: "Tracer"
    provider: "TracerProvider"


_tracing: _Tracing | None = None
_NOTHING: Final = nullcontext()


def start_tracing(endpoint: str | None, process: str) -> None:
    """Send spans of `process` to the OTLP/HTTP collector at this URL from now on; None: do not.

    Raises `TracingUnavailable`.
    """
    global _tracing
    if endpoint is None:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingUnavailable("tracing needs the extra: pip install '.[tracing]'") from error
    about = {"service.name": f"sherwood-{process}", "service.version": version("sherwood")}
    provider = TracerProvider(resource=Resource.create(about))
    url = f"{endpoint.rstrip('/')}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    # Temporal's interceptor asks for it there.
    trace.set_tracer_provider(provider)
    _tracing = _Tracing(trace.get_tracer("sherwood"), provider)


def is_tracing() -> bool:
    """True once `start_tracing` was told where to."""
    return _tracing is not None


def span(
    name: str, kind: Kind = "internal", *, under: Under = None, linked: Sequence[Under] = ()
) -> AbstractContextManager[None]:
    """A span around a block: under what is under way, or under `under`, with links to `linked`."""
    if _tracing is None:
        return _NOTHING
    return _span(_tracing.tracer, name, kind, under, linked)


@contextmanager
def _span(
    tracer: "Tracer", name: str, kind: Kind, under: "Context | None", linked: Sequence["Context"]
) -> Iterator[None]:
    from opentelemetry import trace

    links = [trace.Link(trace.get_current_span(one).get_span_context()) for one in linked]
    of_kind = trace.SpanKind[kind.upper()]
    with tracer.start_as_current_span(name, under, of_kind, links=links):
        yield


def describe(name: str | None = None, **attributes: str | int) -> None:
    """Rename the span under way, and add to it."""
    if _tracing is None:
        return
    from opentelemetry import trace

    current = trace.get_current_span()
    if name is not None:
        current.update_name(name)
    current.set_attributes(attributes)


def under_way() -> Under:
    """What is under way in this task, for `span` in another one."""
    if _tracing is None:
        return None
    from opentelemetry import context

    return context.get_current()


def outgoing() -> dict[str, str] | None:
    """The headers that let who gets them continue this trace; None while tracing is off."""
    if _tracing is None:
        return None
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def continued(headers: Callable[[], Mapping[str, str] | None]) -> AbstractContextManager[None]:
    """Have the block, and the tasks it starts, continue the trace that these headers name."""
    return _NOTHING if _tracing is None else _continued(headers() or {})


@contextmanager
def _continued(headers: Mapping[str, str]) -> Iterator[None]:
    from opentelemetry import context, propagate

    token = context.attach(propagate.extract(headers))
    try:
        yield
    finally:
        context.detach(token)


def trace_id() -> str | None:
    """The trace under way in this task, as traces are looked up."""
    if _tracing is None:
        return None
    from opentelemetry import trace

    current = trace.get_current_span().get_span_context()
    return trace.format_trace_id(current.trace_id) if current.is_valid else None
