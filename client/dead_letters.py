"""Reports of the exchange that are nobody's, for operators, as `sherwood.ops.dead_letters`."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from client._answers import read
from client._transport import Transport
from client.models import Answer

PATH = "/ops/dead-letters"


class DeadLetter(Answer, frozen=True, kw_only=True):
    """One letter, why it was buried and when; `payload` is text where it is no JSON object."""

    id: int
    external_order_id: str
    subject: str
    why: str
    buried_at: datetime
    payload: dict[str, Any] | str


class DeadLetterPage(Answer, frozen=True, kw_only=True):
    """Letters, oldest first; `waiting` counts those of other pages too."""

    items: tuple[DeadLetter, ...]
    waiting: int
    next_cursor: str | None = None


class Explained(Answer, frozen=True, kw_only=True):
    """A letter and what is known of it now."""

    letter: DeadLetter
    verdict: Literal["ours", "booked", "nobodys", "unreadable", "undecided"]
    explanation: str
    order_id: UUID | None = None
    user_id: str | None = None


class Replayed(Answer, frozen=True, kw_only=True):
    """How many letters were sent again, and whether there are more."""

    replayed: int
    more: bool


class DeadLetterOperations:
    """What operators do with dead letters. Every method raises SherwoodError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> DeadLetterPage:
        """Return a page of the letters, oldest first."""
        asked = {"limit": limit, "cursor": cursor}
        params = {name: value for name, value in asked.items() if value is not None}
        return read(await self._transport.request("GET", PATH, params=params), DeadLetterPage)

    async def explain(self, letter_id: int) -> Explained:
        """Ask the exchange whose it is now. Raises NotFound."""
        return read(await self._transport.request("GET", f"{PATH}/{letter_id}"), Explained)

    async def replay(self, letter_id: int | None = None, *, reason: str) -> Replayed:
        """Send one again, or the oldest two hundred. Raises NotFound; safe to repeat."""
        path = f"{PATH}/replay" if letter_id is None else f"{PATH}/{letter_id}/replay"
        return read(await self._transport.request("POST", path, json={"reason": reason}), Replayed)

    async def discard(self, letter_id: int, *, reason: str) -> None:
        """Take away what will never be ours. Raises NotFound, Refused for what is."""
        await self._transport.request("DELETE", f"{PATH}/{letter_id}", json={"reason": reason})
