"""The operators' kill switch, as `sherwood.ops.kill_switch`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from client._answers import read
from client._transport import Transport
from client.models import Answer

PATH = "/ops/kill-switch"


class SwitchAct(Answer, frozen=True, kw_only=True):
    """Who set which switch last; `subject` is None for everybody's."""

    at: datetime
    operator: str
    address: str
    reason: str
    scope: Literal["global", "user", "symbol"]
    subject: str | None = None
    before: int | None = None
    level: int


class KillSwitch(Answer, frozen=True, kw_only=True):
    """Everybody's level, and those of single users and symbols; for an order the highest counts.

    0 nothing is stopped, 1 no new orders, 2 and all open ones are cancelled, 3 and executions wait
    to be booked. Where it is not `readable`, `level` is None and no order is taken; where it is
    `absent`, everybody's has to be set first.
    """

    readable: bool
    absent: bool
    level: int | None = None
    users: Mapping[str, int]
    symbols: Mapping[str, int]
    last_act: SwitchAct | None = None


class KillSwitchOperations:
    """Reading and setting it. Every method raises SherwoodError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def read(self) -> KillSwitch:
        """Return it as the node that answers knows it."""
        return read(await self._transport.request("GET", PATH), KillSwitch)

    async def set(
        self, level: int, *, reason: str, user: str | None = None, symbol: str | None = None
    ) -> KillSwitch:
        """Set it for everybody, one `user` or one `symbol`; 0 releases.

        Raises NotFound, Refused.
        """
        path = PATH
        if user is not None:
            path = f"{PATH}/users/{quote(user, safe='')}"
        elif symbol is not None:
            path = f"{PATH}/symbols/{quote(symbol, safe='')}"
        body = {"level": level, "reason": reason}
        return read(await self._transport.request("PUT", path, json=body), KillSwitch)
