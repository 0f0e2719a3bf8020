"""Every query that is shipped: of rules, dashboards and autoscalers; and what it asks for."""

import json
from dataclasses import dataclass
from typing import Any, Final

import promql_parser

from tests.support.deployment import DOCKER, manifests, read

RULES: Final = [
    rule
    for name in ("recording.yaml", "alerts.yaml")
    for group in read(DOCKER / "prometheus" / name)[0]["groups"]
    for rule in group["rules"]
]
RECORDED: Final = {rule["record"] for rule in RULES if "record" in rule}
DASHBOARDS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text())
    for path in sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))
}


def queries() -> dict[str, str]:
    """Each query by where it stands."""
    found = {rule.get("alert") or rule["record"]: rule["expr"] for rule in RULES}
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                place = f"{name}: {panel['title']} {target['refId']}"
                found[place] = target["expr"].replace("$__rate_interval", "1m")
    for name, scaled in manifests("ScaledObject").items():
        for trigger in scaled["spec"]["triggers"]:
            if trigger["type"] == "prometheus":
                found[f"autoscaler of {name}"] = trigger["metadata"]["query"]
    return found


@dataclass
class Asked:
    """The metrics of a query, each with the labels that it is chosen by, and those grouped by."""

    chosen_by: dict[str, set[str]]
    grouped_by: set[str]


def asked(query: str) -> Asked:
    """What a query asks for. Raises ValueError where it is none."""
    found = Asked({}, set())

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            labels = {matcher.name for matcher in node.matchers.matchers}
            found.chosen_by.setdefault(str(node.name), set()).update(labels)
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found.grouped_by.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(query), visit)
    return found
