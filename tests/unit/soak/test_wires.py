from pathlib import Path

from devstack.settings import own_servers
from devstack.stack import DevStack
from tests.soak.schedule import wires_of
from tests.soak.wires import ADDRESSES, Wires


async def test_every_connection_of_ours_leads_through_a_proxy_of_its_own(tmp_path: Path) -> None:
    settings = own_servers().model_copy(update={"home": tmp_path})
    wires = Wires()
    wired = DevStack(settings, workers=2, apis=2, alter=wires.alter)
    plain = DevStack(settings, workers=2, apis=2)
    names = [*plain.names, "nats-monitor", "temporal-ui"]
    wired.ports = plain.ports = {name: 20_000 + number for number, name in enumerate(names)}

    direct = {spec.name: spec.environment for spec in plain.specs()}
    led = {spec.name: spec.environment for spec in wired.specs()}
    async with wires.serving():
        pass

    assert set(wires.proxies) == set(wires_of(plain.names))
    assert len({proxy.url for proxy in wires.proxies.values()}) == len(wires.proxies)
    changed = {
        f"{name}/{server}"
        for name in plain.names
        for server, variable in ADDRESSES.items()
        if direct[name].get(variable) != led[name].get(variable)
    }
    assert changed == set(wires.proxies)


async def test_a_process_described_again_is_told_the_same_way(tmp_path: Path) -> None:
    settings = own_servers().model_copy(update={"home": tmp_path})
    wires = Wires()
    stack = DevStack(settings, only=("gateway", "nats", "exchange"), alter=wires.alter)
    stack.ports = {"gateway": 20_001, "nats": 20_002, "nats-monitor": 20_003, "exchange": 20_004}

    first, again = (
        next(spec.environment for spec in stack.specs() if spec.name == "gateway") for _ in range(2)
    )
    async with wires.serving():
        pass

    assert first == again
    assert first["SHERWOOD_NATS_URL"] == wires.proxies["gateway/nats"].url
