import re
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.deployment import APPLIED, DOCKER, ROOT, built, compose, read
from tests.support.queries import DASHBOARDS, RECORDED, RULES, asked, queries

ALERTS: Final = {rule["alert"]: rule for rule in RULES if "alert" in rule}
[SCRAPED] = read(DOCKER / "prometheus" / "prometheus.yaml")


def _anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked by."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("query", queries().values(), ids=queries().keys())
def test_every_query_can_be_read_and_what_was_recorded_is(query: str) -> None:
    metrics = asked(query).chosen_by

    assert metrics
    assert {name for name in metrics if ":" in name} <= RECORDED


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_how_bad_and_where_it_is_read_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    page, _, anchor = alert["annotations"]["runbook"].partition("#")

    assert alert["annotations"]["summary"]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert anchor in _anchors(ROOT / page)


@pytest.mark.parametrize("name", ALERTS)
def test_a_label_in_the_words_of_an_alert_is_one_that_its_query_keeps(name: str) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", ALERTS[name]["annotations"]["summary"]))
    query = asked(ALERTS[name]["expr"])
    aggregated = re.match(r"(sum|max|min|count|histogram_quantile)\b", ALERTS[name]["expr"])

    assert not aggregated or used <= query.grouped_by


def test_what_is_scraped_is_every_process_of_ours_and_temporal() -> None:
    services = compose()["services"]
    ours = {
        name
        for name, each in services.items()
        if each["image"].startswith("sherwood:") and each["restart"] == "unless-stopped"
    }
    jobs = {job["job_name"]: job for job in SCRAPED["scrape_configs"]}

    # The exchange is another company's.
    assert jobs.keys() == ours - {"exchange"} | {"temporal"}
    for name, job in jobs.items():
        for found in job.get("dns_sd_configs", []):
            assert (found["names"], found["port"]) == ([name], 8000)
    [static] = jobs["temporal"]["static_configs"]
    port = services["temporal"]["environment"]["PROMETHEUS_ENDPOINT"].partition(":")[2]
    assert static["targets"] == [f"temporal:{port}"]


def test_prometheus_is_given_the_rules_that_are_tested() -> None:
    for name in SCRAPED["rule_files"]:
        assert (DOCKER / "prometheus" / name).exists()
    assert len(SCRAPED["rule_files"]) == 2


def test_a_cluster_finds_pods_by_the_annotations_and_labels_that_they_have() -> None:
    [named] = read(DOCKER / "prometheus" / "kubernetes.yaml")
    sources = {
        label
        for rule in named["scrape_configs"][0]["relabel_configs"]
        for label in rule["source_labels"]
    }
    deployments = [
        each for folder in APPLIED for each in built(folder) if each["kind"] == "Deployment"
    ]

    def found(kind: str, names: Any) -> set[str]:
        return {
            f"__meta_kubernetes_pod_{kind}_{re.sub(r'[^a-zA-Z0-9]', '_', each)}" for each in names
        }

    for each in deployments:
        pod = each["spec"]["template"]["metadata"]
        there = found("annotation", pod["annotations"]) | found("label", pod["labels"])
        assert sources - there == {"__meta_kubernetes_pod_ip", "__meta_kubernetes_pod_name"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_panels_of_a_dashboard_lie_beside_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert cells.isdisjoint(taken), panel["title"]
        taken |= cells


def test_dashboards_are_told_apart_and_ask_the_prometheus_that_is_provisioned() -> None:
    [sources] = read(DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")
    panels = [panel for each in DASHBOARDS.values() for panel in each["panels"]]

    assert len({each["uid"] for each in DASHBOARDS.values()}) == len(DASHBOARDS) == 4
    assert {panel["datasource"]["uid"] for panel in panels} == {
        source["uid"] for source in sources["datasources"]
    }


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_series_is_named_by_labels_that_its_query_keeps(name: str) -> None:
    for panel in DASHBOARDS[name]["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            query = asked(target["expr"].replace("$__rate_interval", "1m"))
            if "sum" in target["expr"] or "max" in target["expr"]:
                assert named <= query.grouped_by, panel["title"]
