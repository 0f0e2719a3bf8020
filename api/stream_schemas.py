"""The events of the streams as clients see them. They are only described by these: what is sent is
written as bytes where it is made (`brokerage.bus.tick`, `api.prices_stream`, `streaming`).
"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, RootModel

from api.schemas import STREAM_ID_EXAMPLE

TICK_TIME_EXAMPLE: Final = "2026-11-23T14:30:00.125Z"


class TickBody(BaseModel):
    """The last trade of a symbol and its day so far; all but `symbol` are null if it never traded.

    `volume`, `highInCents` and `lowInCents` count every trade, those too that no event told. Of one
    symbol `v` only rises.
    """

    symbol: str = Field(examples=["META"])
    priceInCents: int | None = Field(examples=[52210])
    openInCents: int | None = Field(examples=[52040])
    highInCents: int | None = Field(examples=[52260])
    lowInCents: int | None = Field(examples=[52010])
    volume: int | None = Field(description="Shares.", examples=[148200])
    at: str | None = Field(
        description="When it was, at the exchange.", examples=[TICK_TIME_EXAMPLE]
    )
    v: int | None = Field(examples=[68719481109])


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PricesHello(_Event):
    """What the stream is called, and the longest silence: then a comment comes."""

    streamId: str = Field(examples=[STREAM_ID_EXAMPLE])
    heartbeatSeconds: float = Field(examples=[15])


class Prices(RootModel[list[TickBody]]):
    """Ticks of different symbols; the first event has every symbol of the stream, later ones what
    changed.
    """


class Nothing(_Event):
    """The event's name says all."""


class OrdersHello(_Event):
    """What follows comes after the event `after`."""

    after: int = Field(examples=[11])
    heartbeatSeconds: float = Field(examples=[5.0])


class OrdersHeartbeat(_Event):
    """Who has the event `lastSeq` had everything when the database was asked; null: it did not
    answer.
    """

    lastSeq: int | None = Field(examples=[12])


class OrdersReset(_Event):
    """The log ends at `lastSeq`, before what was asked for: what followed never was."""

    lastSeq: int = Field(examples=[12])
