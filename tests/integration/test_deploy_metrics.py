"""Every metric and label that a rule, a dashboard or an autoscaler asks for is exported."""

import psutil
import pytest

from devstack import probes
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.deployment import containers, manifests
from tests.support.eventually import eventually
from tests.support.metrics import documented, exported, exported_by_kind, families
from tests.support.queries import RECORDED, asked, queries
from tests.support.trading import MARKET, RESTING, ended, placed

SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""


async def _temporal(stack: DevStack) -> dict[str, set[str]]:
    """The metrics of Temporal's server, each with its labels; which of its ports has them it says
    in its log only.
    """
    pid = stack.processes["temporal"].pid
    assert pid is not None
    for connection in psutil.Process(pid).net_connections():
        if connection.status != psutil.CONN_LISTEN:
            continue
        try:
            status, body = await probes.fetch(f"http://127.0.0.1:{connection.laddr.port}/metrics")
        except (OSError, TimeoutError, ValueError, IndexError):
            continue
        if status == 200 and b"\n# TYPE " in body:
            return {name: family.labels for name, family in families(body.decode()).items()}
    raise AssertionError("none of Temporal's ports has metrics")


@pytest.fixture
async def traded(stack: DevStack, alice: Account) -> None:
    """Somebody has traded, and cancelled: what is counted then is exported."""
    await ended(alice, (await placed(alice, MARKET))["id"], "filled")
    resting = (await placed(alice, RESTING))["id"]

    async def is_cancelled() -> None:
        assert (await alice.http.delete(f"/order/{resting}")).status_code == 200

    await eventually(is_cancelled, "the order is cancelled", 60)


async def _known(stack: DevStack) -> dict[str, set[str]]:
    """Every metric that is exported now, with its labels."""
    page = {row.name: set(row.labels) for row in documented()}
    by_kind = await exported_by_kind(stack)
    found = {name: page[name] for each in by_kind.values() for name in each}
    # What appears with its first failure is on the page, which is held against the code.
    later = {row.name: set(row.labels) for row in documented() if row.awaited}
    return {**later, **found, **await _temporal(stack)}


def _exists(metric: str, known: dict[str, set[str]]) -> set[str] | None:
    """Its labels; a histogram is asked for by its buckets. None: nobody exports it."""
    if metric in RECORDED:
        return set()
    if metric in known:
        return known[metric]
    family = metric.removesuffix("_bucket")
    return known[family] | {"le"} if family != metric and family in known else None


@pytest.mark.usefixtures("traded")
async def test_what_is_asked_for_is_what_is_exported(stack: DevStack) -> None:
    assert "process_cpu_seconds_total" in await exported(stack, "api")

    async def nothing_is_missing() -> None:
        known = await _known(stack)
        # What Python's client exports of its process is in every one of them.
        known["process_cpu_seconds_total"] = set()
        missing = []
        for place, query in queries().items():
            wanted = asked(query)
            labels = set(SCRAPED)
            for metric, chosen_by in wanted.chosen_by.items():
                exists = _exists(metric, known)
                if exists is None or not chosen_by <= exists | SCRAPED:
                    missing.append((place, metric, chosen_by))
                labels |= exists or set()
            if not wanted.grouped_by <= labels:
                missing.append((place, "grouped by", wanted.grouped_by - labels))
        assert missing == []

    # Temporal tells some every ten seconds.
    await eventually(nothing_is_missing, "all is exported", 60)


@pytest.mark.usefixtures("traded")
async def test_queries_name_routes_and_processes_as_they_are_called(stack: DevStack) -> None:
    api, orders = await exported(stack, "api"), await exported(stack, "orders-1")

    assert 'sherwood_http_response_seconds_bucket{le="0.2",method="POST",route="/order"}' in api
    assert 'sherwood_build_info{process="orders",' in orders


async def test_the_paths_that_are_probed_answer_at_every_process(stack: DevStack) -> None:
    paths = {
        container[probe]["httpGet"]["path"]
        for deployment in manifests("Deployment").values()
        for container in containers(deployment["spec"]["template"])
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
    }
    assert paths == {"/livez", "/readyz"}
    for process in stack.processes.values():
        if process.spec.address.startswith("http://"):
            for path in paths:
                await eventually(probes.http(f"{process.spec.address}{path}"), f"{path} answers")
