"""The header by which a developer chooses what the simulated exchange does to an order.

It is no part of the order: not of its terms, its key or its record. In production it is refused,
as an order that was meant as a trial must not be placed for real.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from api.claiming import Placement
from api.errors import ProblemError
from api.node import NodeState
from brokerage.bus.connection import BusUnavailable
from brokerage.contracts.simulations import SIMULATIONS, SimulateReply, SimulateRequest
from brokerage.contracts.subjects import GATEWAY_SIMULATE

HEADER: Final = "Sherwood-Simulate"
SECONDS: Final = 3.5
"""The gateway waits two seconds for its turn and one for the exchange."""
PARAMETER: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "What the simulated exchange does to this one order, in development only; see "
    "docs/simulating.md. "
    + " ".join(f"`{name}`: {one.happens}" for name, one in SIMULATIONS.items()),
    "schema": {"type": "string", "enum": [*SIMULATIONS]},
    "example": "late-fill",
}

_REPLY = msgspec.json.Decoder(SimulateReply)


def document(schema: dict[str, Any]) -> None:
    """Describe the header in an OpenAPI schema."""
    schema["paths"]["/order"]["post"]["parameters"].append(PARAMETER)


async def plan(node: NodeState, values: Sequence[str], placement: Placement) -> None:
    """Plan what these values of the header ask for; what was planned first for the order stands.

    Raises `ProblemError` unknown-simulation, simulation-unavailable, unavailable; then nothing is
    placed.
    """
    if not values:
        return
    if node.settings.environment != "development":
        raise ProblemError("simulation-unavailable", "here orders are real; nothing was placed")
    name = values[0].strip()
    if len(values) > 1 or name not in SIMULATIONS:
        names = [*SIMULATIONS]
        detail = f"{HEADER} is one of {', '.join(names)}"
        raise ProblemError("unknown-simulation", detail, values=names)
    request = msgspec.json.encode(SimulateRequest(placement.order_id, name))
    try:
        reply = _REPLY.decode(await node.bus.request(GATEWAY_SIMULATE, request, SECONDS))
    except BusUnavailable as error:
        raise ProblemError("unavailable", "the gateway did not answer; nothing placed") from error
    if reply.outcome == "unsupported":
        raise ProblemError("simulation-unavailable", "the exchange takes no plans")
    if reply.outcome == "unknown":
        raise ProblemError("unavailable", f"the exchange did not plan it: {reply.reason}")
