"""The operators' command that finds orders in Temporal's UI.

The UI keeps saved views in each browser, so what everybody shall have is written down here. A link
that names a saved view adds it to those of whoever opens it.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import typer

from client.command.ops.app import operator_session
from client.command.options import JsonOption
from client.command.render import Column, show_table

QUERIES: Final[Mapping[str, str]] = {
    "Open orders": 'ExecutionStatus = "Running"',
    "Unknown outcome": 'ExecutionStatus = "Running" AND OrderStatus = "unknown-outcome"',
    "Waiting for cancel": 'ExecutionStatus = "Running" AND OrderStatus = "waiting-for-cancel"',
    "Failing run": 'ExecutionStatus = "Running" AND TemporalReportedProblems IS NOT NULL',
    "Ended badly": 'ExecutionStatus IN ("Failed", "Terminated", "TimedOut", "Canceled")',
}
"""What to look for, by name; `AND UserId = "alice"` narrows each, as do the other attributes."""


def link_to(namespace_url: str, name: str) -> str:
    """The UI's page of this query, which becomes a saved view there."""
    return f"{namespace_url}/workflows?query={quote(QUERIES[name])}&savedQuery={quote(name)}"


def queries(context: typer.Context, as_json: JsonOption = False) -> None:
    """List queries for Temporal's UI; opening a link also adds it to the UI's saved views.

    SHERWOOD_TEMPORAL_UI_URL says where the UI is (http://127.0.0.1:8233 without).
    """
    session = operator_session(context, as_json=as_json, user=None)
    rows = [
        {"name": name, "query": query, "link": link_to(session.temporal_ui, name)}
        for name, query in QUERIES.items()
    ]
    if as_json:
        session.show_json({"items": rows})
        return
    columns = (Column("Name"), Column("Query"), Column("Link"))
    show_table(session.out, columns, [[row["name"], row["query"], row["link"]] for row in rows])
