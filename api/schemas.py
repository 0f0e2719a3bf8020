"""Bodies as clients see them. Requests are checked with these; answers are only described by them.

Numbers are whole: `10.0`, `"10"` and `true` are no number of shares.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from brokerage.contracts.problems import PROBLEMS

SHARES_MAX: Final = 1_000_000_000
PRICE_CENTS_MAX: Final = 1_000_000_000
"""Far above what an order may have (a stored refusal says that); the product of both still fits
into the database's integers."""

SEQ_MAX: Final = 2**53 - 1
"""Every JSON reader tells this number from the next one."""

Position = Literal["buy", "sell"]
TimeInForceName = Literal["day", "gtc", "ioc"]
ORDER_ID_EXAMPLE: Final = "0c7a9a6e-3f0b-5c53-8a5e-0a4f6f1f2b11"
TIME_EXAMPLE: Final = "2026-11-23T14:30:00.123456Z"
STREAM_ID_EXAMPLE: Final = "4f1c09ab72.5e0d3c6b7a8f91e2d4c3b5a6"
TICKET_EXAMPLE: Final = "nVt6oXk2c3RlCg1hZ0pXxQZ7Jr0t2mYbV9sKd8Lw4uE_"


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PlaceOrder(_Request):
    """What to trade. Without a price it is a market order, sent with a collar of 5 %."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"position": "buy", "symbol": "META", "priceInCents": 52210, "numShares": 10},
                {"position": "sell", "symbol": "SPY", "numShares": 1, "timeInForce": "ioc"},
            ]
        }
    )

    position: Position
    symbol: str = Field(min_length=1, max_length=16)
    num_shares: int = Field(alias="numShares", gt=0, le=SHARES_MAX)
    price_in_cents: int | None = Field(default=None, alias="priceInCents", gt=0, le=PRICE_CENTS_MAX)
    time_in_force: TimeInForceName = Field(default="day", alias="timeInForce")


class TokenRequest(_Request):
    """Whose token; `scope` for an operator's."""

    user: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["alice"])
    scope: Literal["operator"] | None = None


class OrderBody(BaseModel):
    """An order. `priceInCents` is the customer's limit, null for a market order."""

    id: str = Field(examples=[ORDER_ID_EXAMPLE])
    externalOrderId: str | None = Field(examples=["X-104"])
    position: Position
    symbol: str = Field(examples=["META"])
    type: Literal["market", "limit"] = Field(examples=["limit"])
    timeInForce: TimeInForceName
    priceInCents: int | None = Field(examples=[52210])
    numShares: int = Field(examples=[10])
    status: Literal[
        "pending",
        "submitted",
        "partially_filled",
        "pending_cancel",
        "filled",
        "cancelled",
        "expired",
        "rejected",
        "failed",
    ] = Field(examples=["filled"])
    outcome: Literal["unknown", "accepted", "refused"] = Field(examples=["accepted"])
    filledShares: int = Field(examples=[10])
    filledNotionalInCents: int = Field(examples=[522000])
    reason: str | None = Field(examples=[None])
    version: int = Field(examples=[4])
    createdAt: str = Field(examples=[TIME_EXAMPLE])
    updatedAt: str = Field(examples=[TIME_EXAMPLE])


class OrdersBody(BaseModel):
    """A page of orders; `asOfSeq` is the last order event it includes."""

    items: list[OrderBody]
    nextCursor: str | None = Field(examples=[None])
    asOfSeq: int = Field(examples=[12])


class ReportedExecutionBody(BaseModel):
    """An execution as it stands after the event, of which a bust leaves no shares; of its `shares`,
    `bookedShares` are the customer's.
    """

    id: str = Field(examples=["E-2207"])
    shares: int = Field(examples=[10])
    priceInCents: int = Field(examples=[52200])
    bookedShares: int = Field(examples=[10])


class OrderEventBody(BaseModel):
    """One change of an order, which is shown as it was right after."""

    seq: int = Field(examples=[12])
    kind: str = Field(examples=["fill"])
    order: OrderBody
    execution: ReportedExecutionBody | None


class OrderEventsBody(BaseModel):
    """Events, ascending, and the last one there is."""

    items: list[OrderEventBody]
    lastSeq: int = Field(examples=[12])


class CancelBody(BaseModel):
    """`ok` is true when the order is cancelled."""

    ok: bool
    order: OrderBody


class CancelledBody(BaseModel):
    """What became of one order: 200 cancelled, 202 the exchange has not answered yet, else `code`
    is the problem's.
    """

    id: str = Field(examples=[ORDER_ID_EXAMPLE])
    status: Literal[200, 202, 409, 503]
    ok: bool
    code: Literal["too-late-to-cancel", "cancel-refused", "unavailable"] | None
    order: OrderBody


class CancelAllBody(BaseModel):
    """`ok` is true when nothing that was open is open any more; `more` when there are open orders
    that this request did nothing about.
    """

    ok: bool
    items: list[CancelledBody]
    more: bool


class PositionBody(BaseModel):
    """Shares of one symbol; price and value are null while nobody knows a price."""

    symbol: str = Field(examples=["META"])
    shares: int = Field(examples=[10])
    heldShares: int = Field(examples=[0])
    priceInCents: int | None = Field(examples=[52210])
    valueInCents: int | None = Field(examples=[522100])


class PortfolioBody(BaseModel):
    """Cash and positions of one moment; the total is null while a price is missing. The state is
    null where the past is asked for.
    """

    userId: str = Field(examples=["alice"])
    state: Literal["active", "close-only", "frozen"] | None
    cashInCents: int = Field(examples=[9949300])
    heldCashInCents: int = Field(examples=[0])
    buyingPowerInCents: int = Field(examples=[9949300])
    positions: list[PositionBody]
    totalValueInCents: int | None = Field(examples=[10471400])
    asOfSeq: int = Field(examples=[12])
    at: str = Field(examples=[TIME_EXAMPLE])


IntervalName = Literal["1s", "1m", "5m", "15m", "1h", "1d"]


class BarBody(BaseModel):
    """What was traded in one interval, which begins at `at`; `volume` is shares."""

    at: str = Field(examples=["2026-11-23T14:30:00Z"])
    openInCents: int = Field(examples=[52210])
    highInCents: int = Field(examples=[52260])
    lowInCents: int = Field(examples=[52190])
    closeInCents: int = Field(examples=[52240])
    volume: int = Field(examples=[1800])
    notionalInCents: int = Field(description="The sum of price x shares.", examples=[94008000])
    trades: int = Field(examples=[12])


class BarsBody(BaseModel):
    """Bars of one symbol, ascending."""

    items: list[BarBody]
    nextCursor: str | None = Field(examples=[None])


WindowName = Literal["1d", "1w", "1m", "1y", "all"]


class ValuePointBody(BaseModel):
    """The account at one time. `valueInCents` is null while shares of the `unpriced` symbols, whose
    price nobody knew, were held; `profitInCents` also where a cost is unknown.
    """

    at: str = Field(examples=[TIME_EXAMPLE])
    valueInCents: int | None = Field(examples=[15859900])
    cashInCents: int = Field(examples=[9949300])
    profitInCents: int | None = Field(
        description="The value less all that was put in by then.", examples=[-1200]
    )
    unpriced: list[str] = Field(examples=[[]])


class PortfolioHistoryBody(BaseModel):
    """The value of an account over time, ascending; the last point is now."""

    window: WindowName
    step: Literal["5m", "15m", "1h", "4h", "1d", "7d", "28d", "364d"]
    openedAt: str = Field(examples=[TIME_EXAMPLE])
    baseValueInCents: int | None = Field(
        description="The value at the first point.", examples=[15861100]
    )
    windowProfitInCents: int | None = Field(
        description="The profit made since the first point.", examples=[-1200]
    )
    uncosted: list[str] = Field(
        description="Symbols whose shares were put in at a cost that nobody knows.", examples=[[]]
    )
    points: list[ValuePointBody]


class TokenBody(BaseModel):
    """A token of the development issuer."""

    token: str = Field(examples=["eyJhbGciOi..."])
    expiresAt: str = Field(examples=[TIME_EXAMPLE])
    user: str = Field(examples=["alice"])


class StreamBody(BaseModel):
    """A live stream and what it shows."""

    streamId: str = Field(examples=[STREAM_ID_EXAMPLE])
    symbols: list[str] = Field(examples=[["AAPL", "META"]])


class TicketBody(BaseModel):
    """What opens one stream, once, within its seconds."""

    ticket: str = Field(examples=[TICKET_EXAMPLE])
    expiresInSeconds: int = Field(examples=[10])


class FindingBody(BaseModel):
    """What is wrong in one place of a request: a JSON pointer (`#/numShares`) or a parameter."""

    where: str = Field(examples=["#/numShares"])
    code: str = Field(examples=["invalid-shares"])
    detail: str = Field(examples=["Input should be greater than 0"])
    source: str = Field(alias="in", examples=["body"])


class ProblemBody(BaseModel):
    """What went wrong (RFC 9457). `code` is stable; members after `advice` come with some codes,
    and others may be added.
    """

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        examples=["/problems/feed-stale"], json_schema_extra={"format": "uri-reference"}
    )
    title: str = Field(examples=["Prices are not live"])
    status: int = Field(examples=[503])
    code: str = Field(
        examples=["feed-stale"], json_schema_extra={"x-extensible-enum": list(PROBLEMS)}
    )
    detail: str = Field(examples=["the exchange was not heard for 5 s"])
    retryable: bool
    advice: str = Field(examples=["Repeat with the same key after `Retry-After` seconds."])
    errors: list[FindingBody] | None = Field(None, description="What is wrong with the request.")
    order: OrderBody | None = Field(None, description="The order as it stands now.")
    required: int | None = Field(None, description="Cents or shares, as the code says.")
    available: int | None = Field(None, description="Cents or shares, as the code says.")
    conflictingOrderId: str | None = Field(None, description="Yours, which it could trade with.")
    scope: Literal["user", "symbol", "global"] | None = Field(None, description="Whose rate it is.")
    limitPerSecond: int | None = Field(None, description="Orders.")
    lastSeq: int | None = Field(None, description="Your last order event.")
    keptFrom: str | None = Field(None, description="The oldest bar there is of the interval.")
    minimum: int | None = None
    maximum: int | None = None
    requestId: str | None = Field(None, description="What our logs call the request.")
