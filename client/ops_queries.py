"""The operators' command that finds orders in Temporal's UI.

The UI keeps saved views in a browser, so what everybody shall have is written down here.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import typer

from client._options import JsonOption
from client.ops import operator_session
from client.render import Column, show_table

QUERIES: Final[Mapping[str, str]] = {
    "open orders": 'ExecutionStatus = "Running"',
    "unknown outcome": 'ExecutionStatus = "Running" AND OrderStatus = "unknown-outcome"',
    "waiting for cancel": 'ExecutionStatus = "Running" AND OrderStatus = "waiting-for-cancel"',
    "run that fails": 'ExecutionStatus = "Running" AND TemporalReportedProblems IS NOT NULL',
    "ended badly": 'ExecutionStatus IN ("Failed", "Terminated", "TimedOut", "Canceled")',
}
"""What to look for, by name; ` AND UserId = "alice"` narrows each: so do the other attributes."""


def queries(context: typer.Context, as_json: JsonOption = False) -> None:
    """List queries for Temporal's UI, each with its link: orders that wait, and for what.

    SHERWOOD_TEMPORAL_UI_URL says where the UI is (http://127.0.0.1:8233 without).
    """
    session = operator_session(context, as_json=as_json, user=None)
    rows = [
        {
            "name": name,
            "query": query,
            "link": f"{session.temporal_ui}/workflows?query={quote(query)}",
        }
        for name, query in QUERIES.items()
    ]
    if as_json:
        session.show_json({"items": rows})
        return
    columns = (Column("Name"), Column("Query"), Column("Link"))
    show_table(session.out, columns, [[row["name"], row["query"], row["link"]] for row in rows])
