"""The files that servers are given in containers, with the servers themselves."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from devstack import probes, spawn
from devstack.nats import binary
from tests.support.deployment import DOCKER, compose
from tests.support.eventually import eventually
from tests.support.ports import accepts, free_port
from tests.support.running import inherited

PASSWORD: Final = "3e5" + "0" * 45
"""Which NATS would take for a number."""


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[tuple[int, int]]:
    """NATS with the file and the variable of compose.yaml: its ports for clients and watchers."""
    client, monitor = free_port(), free_port()
    text = (DOCKER / "nats.conf").read_text()
    for written, here in (
        ("port: 4222", f"port: {client}"),
        ("http: 8222", f"http: {monitor}"),
        ("store_dir: /data", f'store_dir: "{tmp_path / "data"}"'),
    ):
        assert text.count(written) == 1
        text = text.replace(written, here)
    config = tmp_path / "nats.conf"
    config.write_text(text)
    given = compose()["services"]["nats"]["environment"]["NATS_PASSWORD"]
    server = await spawn.spawn(
        (str(binary()), "--config", str(config)),
        environment={
            **inherited(),
            "NATS_PASSWORD": given.replace("${NATS_PASSWORD:?is not in docker/.env}", PASSWORD),
        },
        folder=tmp_path,
        log=asyncio.subprocess.DEVNULL,
        account=None,
        death_signal=signal.SIGKILL,
    )
    try:
        await eventually(lambda: accepts(client) and accepts(monitor), "NATS listens")
        yield client, monitor
    finally:
        server.kill()
        await server.wait()


async def test_nats_flushes_every_message_and_is_healthy(ports: tuple[int, int]) -> None:
    _, monitor = ports

    # What compose.yaml asks, and where KEDA reads how many reports wait.
    for path in ("healthz", "jsz?consumers=true&config=true"):
        await eventually(probes.http(f"http://127.0.0.1:{monitor}/{path}"), f"{path} answers")
    _, varz = await probes.fetch(f"http://127.0.0.1:{monitor}/varz")
    assert json.loads(varz)["jetstream"]["config"]["sync_always"] is True


@pytest.mark.parametrize(
    ("password", "answer"), [(PASSWORD, b"PONG"), ("wrong", b"-ERR 'Authorization Violation'")]
)
async def test_nats_lets_in_who_has_the_password_and_nobody_else(
    ports: tuple[int, int], password: str, answer: bytes
) -> None:
    client, _ = ports

    async def answers() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client)
        try:
            assert (await reader.readline()).startswith(b"INFO ")
            who = {"verbose": False, "user": "sherwood", "pass": password}
            writer.write(f"CONNECT {json.dumps(who)}\r\nPING\r\n".encode())
            assert (await reader.readline()).strip() == answer
        finally:
            writer.close()

    # It gives who connects two seconds to say who it is.
    await eventually(answers, f"the answer is {answer!r}")
