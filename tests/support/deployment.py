"""What `docker/` says, as far as it can be read without a container engine or a cluster."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from api.__main__ import GRACEFUL_SECONDS
from brokerage.gateway import service as gateway
from brokerage.runtime.settings import Settings
from exchange.settings import Settings as ExchangeSettings
from workers import executions, orders

ROOT: Final = Path(__file__).parents[2]
DOCKER: Final = ROOT / "docker"
KUBERNETES: Final = DOCKER / "k8s"
APPLIED: Final = (KUBERNETES, KUBERNETES / "setup", KUBERNETES / "orders")
"""The folders that an operator applies."""
SECRET: Final = re.compile(r"\$\{(\w+):\?is not in docker/\.env\}")

FINISH_SECONDS: Final = {
    "api": GRACEFUL_SECONDS,
    "orders": orders.GRACEFUL_SHUTDOWN.total_seconds(),
    "executions": executions.FINISH_SECONDS,
    "gateway": gateway.FINISH_SECONDS + 1.0,
    "feed": 0.0,
}
"""How long each kind of process may take to finish what it has begun."""
CLOSING_SECONDS: Final = 6.0
"""NATS and Postgres are each left within three seconds."""

Manifest = dict[str, Any]


def read(path: Path) -> list[Manifest]:
    """Every document of a YAML file."""
    return list(yaml.safe_load_all(path.read_text()))


def compose() -> Manifest:
    """`compose.yaml`, its anchors resolved."""
    return read(DOCKER / "compose.yaml")[0]


def built(folder: Path) -> list[Manifest]:
    """The manifests that this kustomization names, with what its components put into Deployments.

    Of what kustomize does only that: names, labels and images stay as they stand in the files.
    """
    [kustomization] = read(folder / "kustomization.yaml")
    manifests = [each for name in kustomization["resources"] for each in read(folder / name)]
    for component in kustomization.get("components", []):
        [named] = read(folder / component / "kustomization.yaml")
        for patch in named["patches"]:
            [values] = read(folder / component / patch["path"])
            for manifest in manifests:
                if manifest["kind"] == patch["target"]["kind"]:
                    manifest["spec"] = merged(manifest["spec"], values["spec"])
    return manifests


def merged(base: Any, patch: Any) -> Any:
    """A strategic merge: mappings by key, lists of what has a name by name, all else replaced."""
    if isinstance(base, dict) and isinstance(patch, dict):
        both = {key: merged(base[key], patch[key]) for key in base.keys() & patch.keys()}
        return base | patch | both
    if isinstance(base, list) and isinstance(patch, list) and "name" in patch[0]:
        named = {each["name"]: each for each in base}
        for each in patch:
            named[each["name"]] = merged(named.get(each["name"], {}), each)
        return list(named.values())
    return patch


def manifests(kind: str) -> dict[str, Manifest]:
    """Every manifest of this kind, by its name."""
    return {
        each["metadata"]["name"]: each
        for folder in APPLIED
        for each in built(folder)
        if each["kind"] == kind
    }


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod template."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def settings_of(variables: Mapping[str, str]) -> dict[str, str]:
    """The settings that these variables set; raises AssertionError for one that none reads."""
    fields = {f"SHERWOOD_{name.upper()}": name for name in Settings.model_fields}
    fields |= {f"EXCHANGE_{name.upper()}": name for name in ExchangeSettings.model_fields}
    ours = {key: value for key, value in variables.items() if re.match("SHERWOOD_|EXCHANGE_", key)}
    assert ours.keys() <= fields.keys(), f"nobody reads {ours.keys() - fields.keys()}"
    return {fields[key]: value for key, value in ours.items()}
