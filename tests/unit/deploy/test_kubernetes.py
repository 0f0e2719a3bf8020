import re
from collections.abc import Iterator
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from brokerage.bus.executions import CONSUMER, PENDING_MAX
from brokerage.contracts.ids import ORDERS_TASK_QUEUE
from brokerage.contracts.subjects import EXECUTIONS_STREAM
from brokerage.runtime.settings import Settings
from devstack.services import MODULES
from tests.support.deployment import (
    APPLIED,
    CLOSING_SECONDS,
    FINISH_SECONDS,
    KUBERNETES,
    Manifest,
    built,
    containers,
    manifests,
    read,
    settings_of,
)
from workers.orders import DEPLOYMENT

DEPLOYED: Final = manifests("Deployment")
PODS: Final[dict[str, Manifest]] = {
    name: each["spec"]["template"] for name, each in (DEPLOYED | manifests("Job")).items()
}
SCALED: Final = manifests("ScaledObject")
POLICIES: Final = manifests("NetworkPolicy")
SETTINGS: Final[dict[str, str]] = manifests("ConfigMap")["sherwood"]["data"]
NAME: Final = "app.kubernetes.io/name"
BUILT_IN: Final = [
    each for folder in APPLIED for each in built(folder) if "keda.sh" not in each["apiVersion"]
]


def _named(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def _trigger(name: str, kind: str) -> dict[str, str]:
    [found] = [
        each["metadata"] for each in SCALED[name]["spec"]["triggers"] if each["type"] == kind
    ]
    return dict(found)


def _selected(policy: Manifest) -> set[str]:
    """Which processes a network policy is for."""
    selector = policy["spec"]["podSelector"]
    names = {selector.get("matchLabels", {}).get(NAME)} - {None}
    for expression in selector.get("matchExpressions", []):
        assert (expression["key"], expression["operator"]) == (NAME, "In")
        names |= set(expression["values"])
    return names


def _secrets(pod: Manifest) -> set[str]:
    return {
        each["secretRef"]["name"]
        for container in containers(pod)
        for each in container["envFrom"]
        if "secretRef" in each
    }


@pytest.mark.parametrize("manifest", BUILT_IN, ids=_named)
def test_a_manifest_is_what_kubernetes_takes(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("folder", [*APPLIED, KUBERNETES / "process"], ids=lambda each: each.name)
def test_a_kustomization_names_all_that_lies_beside_it(folder: Any) -> None:
    [kustomization] = read(folder / "kustomization.yaml")
    named = {
        *kustomization.get("resources", []),
        *(p["path"] for p in kustomization.get("patches", [])),
    }

    assert named == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}


def test_every_process_but_the_exchange_is_deployed_as_on_one_machine() -> None:
    started = {name: [c["args"] for c in containers(pod)] for name, pod in PODS.items()}
    deployed = {kind: [[module]] for kind, module in MODULES.items() if kind in DEPLOYED}

    # The exchange is another company's; the schema comes before everything.
    assert set(MODULES) - set(DEPLOYED) == {"exchange", "migrations"}
    assert started == deployed | {
        "setup": [[MODULES["migrations"]], ["workers.recover", "temporal"]]
    }


def test_every_variable_is_a_setting_with_a_good_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SETTINGS.items():
        monkeypatch.setenv(variable, value)

    assert len(settings_of(SETTINGS)) == len(SETTINGS)
    assert Settings().environment == "production"


@pytest.mark.parametrize("name", PODS)
def test_a_process_is_given_no_variable_that_is_no_setting(name: str) -> None:
    given = {each["name"]: "" for c in containers(PODS[name]) for each in c.get("env", [])}

    assert len(settings_of(given)) == len(given)


def test_secrets_are_named_and_never_there() -> None:
    assert manifests("Secret") == {}
    for path in KUBERNETES.rglob("*.yaml"):
        # Data of a Secret is found by its text too: nobody writes an address with a password.
        assert not re.search(r"://[^/\s]*:[^/\s]*@", path.read_text()), path


@pytest.mark.parametrize("name", PODS)
def test_a_process_may_do_nothing_that_it_does_not_need(name: str) -> None:
    pod = PODS[name]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    # A Service `api` would otherwise set variables for every process.
    assert pod["enableServiceLinks"] is False
    for container in containers(PODS[name]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_process_has_the_time_to_finish_what_it_began(name: str) -> None:
    pod = PODS[name]["spec"]
    [container] = pod["containers"]
    given = {each["name"]: each.get("value") for each in container.get("env", [])}
    unready = float(given.get("SHERWOOD_DRAIN_SECONDS", 0))

    needed = unready + FINISH_SECONDS[name] + CLOSING_SECONDS
    assert pod["terminationGracePeriodSeconds"] > needed


@pytest.mark.parametrize("name", DEPLOYED)
def test_not_all_copies_of_a_process_go_at_once(name: str) -> None:
    budget = manifests("PodDisruptionBudget")[name]["spec"]
    deployment = DEPLOYED[name]["spec"]
    copies = SCALED[name]["spec"]["minReplicaCount"] if name in SCALED else deployment["replicas"]

    assert copies >= 2
    assert budget == {"maxUnavailable": 1, "selector": deployment["selector"]}
    assert deployment["selector"]["matchLabels"].items() <= PODS[name]["metadata"]["labels"].items()


@pytest.mark.parametrize("name", DEPLOYED)
def test_copies_of_a_process_are_spread(name: str) -> None:
    for spread in PODS[name]["spec"]["topologySpreadConstraints"]:
        labels = PODS[name]["metadata"]["labels"]

        assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
        assert spread["matchLabelKeys"] == [NAME]


@pytest.mark.parametrize("name", ["gateway", "feed"])
def test_not_even_a_new_release_is_one_more_connection_to_the_exchange(name: str) -> None:
    assert DEPLOYED[name]["spec"]["replicas"] == 2
    assert DEPLOYED[name]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


def test_the_service_leads_to_the_api() -> None:
    service = manifests("Service")["api"]["spec"]
    [container] = PODS["api"]["spec"]["containers"]

    assert service["selector"].items() <= PODS["api"]["metadata"]["labels"].items()
    assert service["ports"][0]["targetPort"] in {port["name"] for port in container["ports"]}


def test_only_the_gateway_and_the_feed_can_reach_the_exchange() -> None:
    nothing = POLICIES["nothing-else"]["spec"]
    outside = [
        each
        for each in POLICIES.values()
        for rule in each["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]

    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert outside == [POLICIES["exchange"]]
    assert _selected(POLICIES["exchange"]) == {"gateway", "feed"}


def test_who_has_a_password_may_use_it_and_nobody_else_may_try() -> None:
    with_database = {
        PODS[name]["metadata"]["labels"][NAME]
        for name in PODS
        if "sherwood-database" in _secrets(PODS[name])
    }

    assert _selected(POLICIES["database"]) == with_database
    assert _selected(POLICIES["temporal"]) == with_database - {"feed"}


def test_no_policy_is_for_a_process_that_there_is_not() -> None:
    known = {pod["metadata"]["labels"][NAME] for pod in PODS.values()}

    assert {name for each in POLICIES.values() for name in _selected(each)} <= known


def test_every_policy_about_ports_names_the_ones_that_are_open() -> None:
    def ports() -> Iterator[Any]:
        for policy in POLICIES.values():
            for rule in policy["spec"].get("ingress", []):
                yield from (port["port"] for port in rule["ports"])

    assert set(ports()) == {"http"}


@pytest.mark.parametrize("name", SCALED)
def test_what_is_scaled_is_a_deployment_that_sets_no_number_itself(name: str) -> None:
    assert SCALED[name]["spec"]["scaleTargetRef"] == {"name": name}
    assert "replicas" not in DEPLOYED[name]["spec"]


def test_order_workers_follow_the_backlog_of_their_queue_and_release() -> None:
    trigger = _trigger("orders", "temporal")
    [kustomization] = read(KUBERNETES / "orders" / "kustomization.yaml")
    [container] = PODS["orders"]["spec"]["containers"]
    [release] = kustomization["labels"][0]["pairs"].items()

    assert trigger["taskQueue"] == ORDERS_TASK_QUEUE
    assert trigger["workerDeploymentName"] == DEPLOYMENT
    assert trigger["workerDeploymentBuildId"] == release[1]
    assert container["env"] == [
        {
            "name": "SHERWOOD_WORKER_BUILD_ID",
            "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{release[0]}']"}},
        }
    ]
    assert trigger["endpoint"] == SETTINGS["SHERWOOD_TEMPORAL_ADDRESS"]
    assert trigger["namespace"] == SETTINGS["SHERWOOD_TEMPORAL_NAMESPACE"]


def test_order_workers_have_one_core_and_no_more() -> None:
    [container] = PODS["orders"]["spec"]["containers"]

    assert (
        container["resources"]["requests"]["cpu"] == container["resources"]["limits"]["cpu"] == "1"
    )


def test_executions_follow_what_waits_in_their_stream() -> None:
    trigger = _trigger("executions", "nats-jetstream")

    assert (trigger["stream"], trigger["consumer"]) == (EXECUTIONS_STREAM, CONSUMER)
    # No more than that is ever in hand, so that what is beyond it waits.
    assert int(trigger["lagThreshold"]) < PENDING_MAX


def test_another_api_node_comes_before_one_is_full() -> None:
    threshold = int(_trigger("api", "prometheus")["threshold"])
    settings = Settings()

    assert threshold < settings.streams_max
    # The memory that the documented size of a stream asks for.
    streams_bytes = settings.streams_max * 20_000 + settings.order_streams_max * 45_000
    [container] = PODS["api"]["spec"]["containers"]
    assert container["resources"]["requests"]["memory"] == "768Mi"
    assert streams_bytes + 250 * 2**20 < 768 * 2**20
