"""What operators may ask for, as `sherwood.ops`; needs a token with the scope `operator`."""

from client._answers import read
from client._transport import Transport
from client.models import Answer


class Limit(Answer, frozen=True, kw_only=True):
    """A limit: everybody's, or one `subject`'s own (a user's or a symbol's), which wins."""

    name: str
    value: int
    subject: str | None = None


class LimitPage(Answer, frozen=True, kw_only=True):
    """Limits by name and subject; `next_cursor` asks for the page after this one."""

    items: tuple[Limit, ...]
    next_cursor: str | None = None


class Operations:
    """The operators' part of one Sherwood. Every method raises SherwoodError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def limits(self, *, subject: str | None = None, cursor: str | None = None) -> LimitPage:
        """Return a page of the limits; only those of `subject`, a user or a symbol, if given."""
        asked = {"subject": subject, "cursor": cursor}
        params = {name: value for name, value in asked.items() if value is not None}
        return read(await self._transport.request("GET", "/ops/limits", params=params), LimitPage)
