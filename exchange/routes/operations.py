"""Liveness, readiness, metrics."""

from collections.abc import Iterator
from importlib.metadata import version

from fastapi import APIRouter
from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.responses import Response

from exchange.desk import Desk, answer
from exchange.routes.queries import TradeRate, status_of


def operation_routes(desk: Desk) -> APIRouter:
    """Return the routes that watchers ask."""
    router = APIRouter(tags=["operations"])
    registry = CollectorRegistry()
    registry.register(StatusCollector(desk))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    @router.get("/livez", summary="Whether the process runs")
    async def livez() -> Response:
        return answer({"status": "live"})

    @router.get("/readyz", summary="Whether every symbol has a price, and the journal takes writes")
    async def readyz() -> Response:
        priced = len(desk.venue.engine.floor.statistics())
        is_ready = priced == len(desk.listed) and not desk.stopping.is_set()
        body = {"status": "ready" if is_ready else "starting", "symbolsPriced": priced}
        return answer(body, 200 if is_ready else 503)

    @router.get("/metrics", summary="Prometheus metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return router


class StatusCollector(Collector):
    """Turns the status into metrics when it is scraped: nothing is counted twice."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rate = TradeRate()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        status = status_of(self._desk, self._rate)
        build = {"version": version("sherwood"), "session": self._desk.session}
        yield InfoMetricFamily("exchange_build", "The version, and the journal's id", value=build)
        yield CounterMetricFamily("exchange_trades", "Public trades", value=status.trade_seq)
        yield GaugeMetricFamily("exchange_speed", "Speed; 0: unbound", value=status.speed)
        slow = self._desk.hub.slow_count
        yield CounterMetricFamily("exchange_feed_slow", "Readers dropped as too slow", value=slow)
        requests = CounterMetricFamily("exchange_requests", "Requests", labels=["member", "route"])
        connections = GaugeMetricFamily(
            "exchange_connections", "Open connections", labels=["member", "kind"]
        )
        orders = CounterMetricFamily("exchange_orders", "Orders since ever", labels=["member"])
        executions = CounterMetricFamily(
            "exchange_executions", "Executions since ever", labels=["member"]
        )
        for member, counts in status.members.items():
            for route, count in counts.requests_by_route.items():
                requests.add_metric([member, route], count)
            connections.add_metric([member, "orders"], counts.open_connections)
            connections.add_metric([member, "feed"], counts.open_feed_connections)
            orders.add_metric([member], counts.orders)
            executions.add_metric([member], counts.executions)
        yield from (requests, connections, orders, executions)
