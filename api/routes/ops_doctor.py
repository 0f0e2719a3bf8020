"""What is wrong with the servers behind this node, and how to mend it, for operators."""

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.auth import CurrentOperator
from api.bodies import json_response
from api.documentation import TOKEN_PROBLEMS, problems
from api.node import Node
from api.package_examination import examine_packages
from api.schemas import TIME_EXAMPLE
from api.temporal_examination import examine_temporal
from brokerage.bus.examination import examine_nats
from brokerage.contracts.findings import Finding, Verdict
from brokerage.contracts.views import format_time
from brokerage.runtime.settings import Settings
from brokerage.storage.examination import examine_postgres

router = APIRouter(prefix="/ops/doctor", tags=["operators"])


class DoctorFindingBody(BaseModel):
    """One thing that was looked at; `mend` is empty where all is well. `unknown` is what cannot be
    seen from here.
    """

    check: str = Field(examples=["nats-sync-interval"])
    verdict: Verdict
    found: str = Field(examples=["an acknowledged execution can be lost for minutes"])
    mend: str = Field(examples=["set `jetstream { sync_interval: always }` at every server"])


class DoctorBody(BaseModel):
    """`ok` is false while anything is wrong."""

    at: str = Field(examples=[TIME_EXAMPLE])
    ok: bool
    items: list[DoctorFindingBody]


@router.get(
    "",
    summary="What is wrong behind this node, and how to mend it",
    responses={200: {"model": DoctorBody}, **problems(*TOKEN_PROBLEMS, "operator-only")},
)
async def read_doctor(operator: CurrentOperator, node: Node) -> Response:
    """Looks at Postgres, NATS, Temporal and the installed packages, through connections of its own;
    answered whatever is away.
    """
    findings = await examine(node.settings)
    view = {
        "at": format_time(datetime.now(UTC)),
        "ok": all(one.verdict is not Verdict.WRONG for one in findings),
        "items": [
            {"check": one.check, "verdict": one.verdict, "found": one.found, "mend": one.mend}
            for one in findings
        ],
    }
    return json_response(view, headers={"cache-control": "no-store"})


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything at once."""
    async with asyncio.TaskGroup() as group:
        looks = [
            group.create_task(examine_postgres(settings.database_url)),
            group.create_task(examine_nats(settings.nats_url, settings.nats_monitor_url)),
            group.create_task(
                examine_temporal(settings.temporal_address, settings.temporal_namespace)
            ),
        ]
        packages = group.create_task(asyncio.to_thread(examine_packages))
    return [finding for look in looks for finding in look.result()] + [packages.result()]
