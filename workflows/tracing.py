"""Temporal's own interceptor for traces: client, workflow and activity, with headers between."""

from temporalio.client import Interceptor

from brokerage.runtime.tracing import is_tracing


def tracing_interceptors() -> list[Interceptor]:
    """What a client is connected with; a worker of that client takes it over. None if tracing is
    off: without it a history is byte for byte what it always was.
    """
    if not is_tracing():
        return []
    from temporalio.contrib.opentelemetry import TracingInterceptor

    return [TracingInterceptor()]
