"""`sherwood ops queries`: links into Temporal's UI."""

import json

import pytest

from tests.unit.client.fake_sherwood import Run

UNKNOWN = 'ExecutionStatus = "Running" AND OrderStatus = "unknown-outcome"'


def test_queries_are_listed_with_their_links(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHERWOOD_TEMPORAL_UI_URL", "http://192.0.2.1:8080/")
    monkeypatch.setenv("SHERWOOD_TEMPORAL_NAMESPACE", "cell-7")

    items = json.loads(run("ops", "queries", "--json").stdout)["items"]
    text = run("ops", "queries").stdout

    assert [item for item in items if item["name"] == "Unknown outcome"] == [
        {
            "name": "Unknown outcome",
            "query": UNKNOWN,
            "link": "http://192.0.2.1:8080/namespaces/cell-7/workflows?query="
            "ExecutionStatus%20%3D%20%22Running%22%20AND%20OrderStatus%20%3D%20%22unknown-outcome%22"
            "&savedQuery=Unknown%20outcome",
        }
    ]
    assert all(item["link"] in text for item in items)
