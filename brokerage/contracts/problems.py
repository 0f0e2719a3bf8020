"""Every error a client can get: one stable code a cause (RFC 9457 problem details).

The catalogue is data: the API renders from it, stored replies are made of it, the documentation
lists it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One cause: its HTTP status, its title, whether the same request may succeed later, and what
    the client does about it.
    """

    status: int
    title: str
    retryable: bool
    advice: str


PROBLEMS: Final[Mapping[str, ProblemKind]] = {
    "invalid-request": ProblemKind(
        422, "The request is not valid", False, "Correct the fields named in `errors`."
    ),
    "malformed-json": ProblemKind(
        400, "The body is not JSON", False, "Send one JSON object in UTF-8."
    ),
    "unsupported-media-type": ProblemKind(
        415, "The body is not JSON", False, "Send `Content-Type: application/json`."
    ),
    "body-too-large": ProblemKind(413, "The body is too large", False, "Send at most 8 KiB."),
    "invalid-price": ProblemKind(
        422, "The price is not a price", False, "Send whole cents above zero."
    ),
    "invalid-shares": ProblemKind(
        422, "The number of shares is not valid", False, "Send whole shares above zero."
    ),
    "unknown-field": ProblemKind(
        422, "The request has a field that nobody knows", False, "Leave out the fields named."
    ),
    "unknown-symbol": ProblemKind(
        422, "The request names a symbol that is not traded", False, "See `GET /symbols`."
    ),
    "reconciliation-not-found": ProblemKind(
        404,
        "No such reconciliation",
        False,
        "See `GET /reconciliation`; a run that was just started is there in a moment.",
    ),
    "symbol-not-found": ProblemKind(404, "No such symbol", False, "See `GET /symbols`."),
    "invalid-time-in-force": ProblemKind(
        422,
        "The time in force does not fit the order",
        False,
        "A market order is `day` or `ioc`; `gtc` needs a price.",
    ),
    "unknown-simulation": ProblemKind(
        422,
        "Nothing of this name can be simulated",
        False,
        "Send `Sherwood-Simulate` once, with one of `values`, or not at all; nothing was placed.",
    ),
    "simulation-unavailable": ProblemKind(
        422,
        "Nothing can be simulated here",
        False,
        "Leave out `Sherwood-Simulate` if the order is meant for real; nothing was placed.",
    ),
    "invalid-range": ProblemKind(
        422, "The range of time is empty", False, "`from` is before `to`; `to` is not part of it."
    ),
    "range-not-kept": ProblemKind(
        422,
        "Bars of this interval are not kept for so long",
        False,
        "Ask from `keptFrom` on, or for a longer interval; days are kept for ever.",
    ),
    "seq-ahead-of-log": ProblemKind(
        422,
        "Your order events do not go so far",
        False,
        "The last one is `lastSeq`. Whoever saw a later one saw a log that is gone: begin anew.",
    ),
    "balances-not-kept": ProblemKind(
        422,
        "The account of that time is not known",
        False,
        "Balances are kept with events only since a later one; ask for that, or for 0.",
    ),
    "idempotency-key-missing": ProblemKind(
        400,
        "The request has no Idempotency-Key",
        False,
        "Make a UUID before the first attempt and send it with every repeat.",
    ),
    "idempotency-key-malformed": ProblemKind(
        400, "The Idempotency-Key is not a UUID", False, "Send one UUID."
    ),
    "idempotency-key-reused": ProblemKind(
        422,
        "The Idempotency-Key was used for another order",
        False,
        "A new order needs a new key.",
    ),
    "token-missing": ProblemKind(
        401, "The request has no token", False, "Send `Authorization: Bearer <token>`."
    ),
    "token-invalid": ProblemKind(
        401, "The token is not valid here", False, "Get a token from this service's issuer."
    ),
    "token-expired": ProblemKind(401, "The token has expired", False, "Get a new token."),
    "operator-only": ProblemKind(
        403, "Only operators may do this", False, "Use a token with the scope `operator`."
    ),
    "account-not-found": ProblemKind(
        404, "No such account", False, "Look at the user's name again."
    ),
    "dead-letter-not-found": ProblemKind(
        404,
        "No such dead letter",
        False,
        "It was replayed or discarded; see `GET /ops/dead-letters` and `GET /ops/acts`.",
    ),
    "dead-letter-is-ours": ProblemKind(
        409, "The dead letter has an order of ours", False, "Replay it: then it is booked."
    ),
    "limit-not-found": ProblemKind(404, "No such limit", False, "See `GET /ops/limits`."),
    "limit-out-of-bounds": ProblemKind(
        422,
        "The value is none that this limit may have",
        False,
        "Choose one from `minimum` to `maximum`.",
    ),
    "kill-switch-absent": ProblemKind(
        409,
        "There is no kill switch",
        False,
        "What it was set to is lost. Set everybody's level first, as it should be now.",
    ),
    "kill-switch-full": ProblemKind(
        409,
        "Too many users and symbols are switched",
        False,
        "Release some of them, or set everybody's level.",
    ),
    "ticket-invalid": ProblemKind(
        401,
        "The ticket opens no stream",
        False,
        "It was used, is too old, or never was one: get a new one from `POST /stream-ticket`.",
    ),
    "too-many-tickets": ProblemKind(
        429,
        "You hold as many unused tickets as a user may",
        True,
        "Use one, or repeat after `Retry-After` seconds.",
    ),
    "rate-limited": ProblemKind(
        429,
        "More orders a second than may be placed",
        True,
        "Repeat with the same key after `Retry-After` seconds; `scope` and `limitPerSecond` name "
        "the limit. Cancelling is not limited.",
    ),
    "placing-in-progress": ProblemKind(
        409,
        "Another order of yours for this symbol is being placed",
        True,
        "Repeat with the same key after `Retry-After` seconds: orders of one symbol go one by one.",
    ),
    "no-account": ProblemKind(
        403, "The user has no account", False, "Open an account before trading."
    ),
    "not-found": ProblemKind(404, "Nothing is there", False, "Look at the address again."),
    "method-not-allowed": ProblemKind(
        405, "The address knows no such method", False, "See `/docs`."
    ),
    "order-not-found": ProblemKind(404, "No such order", False, "`GET /orders` lists your orders."),
    "stream-not-found": ProblemKind(
        404, "No such stream", False, "It may have ended: open a new one with what you want to see."
    ),
    "too-late-to-cancel": ProblemKind(
        409, "The order has ended another way", False, "`order` says how."
    ),
    "cancel-refused": ProblemKind(
        409, "The exchange keeps the order", True, "The order is live again; cancel it once more."
    ),
    "account-frozen": ProblemKind(
        422,
        "The account is frozen",
        False,
        "It places no orders; open ones can be cancelled. Ask us what happened.",
    ),
    "account-close-only": ProblemKind(
        422, "The account may only sell", False, "Sell what it has, or ask us what happened."
    ),
    "insufficient-buying-power": ProblemKind(
        422,
        "Not enough buying power",
        False,
        "`required` and `available` are cents; cancel open buys or order less.",
    ),
    "insufficient-shares": ProblemKind(
        422,
        "Not enough shares",
        False,
        "`required` and `available` are shares; cancel open sells or order less.",
    ),
    "order-too-large": ProblemKind(
        422, "The order is larger than any order may be", False, "Split the order."
    ),
    "position-limit": ProblemKind(
        422,
        "The position would be larger than any may be",
        False,
        "`available` shares may still be bought; open buys count, cancel some or order less.",
    ),
    "self-trade": ProblemKind(
        422,
        "The order could trade with another one of yours",
        False,
        "Cancel `conflictingOrderId` and wait for its end, or choose a price that cannot meet it.",
    ),
    "price-out-of-band": ProblemKind(
        422,
        "The price is far from the market",
        False,
        "`available` is the furthest price that is taken now.",
    ),
    "not-sent-in-time": ProblemKind(
        422,
        "The order could not be sent in time",
        False,
        "Nothing was sent. Place a new order, with a new key, if you still want it.",
    ),
    "not-placed": ProblemKind(
        422,
        "The order never reached the exchange",
        False,
        "It is proved absent there. Place a new order, with a new key, if you still want it.",
    ),
    "refused-by-exchange": ProblemKind(
        422, "The exchange refused the order", False, "`order.reason` is the exchange's."
    ),
    "feed-stale": ProblemKind(
        503, "Prices are not live", True, "Repeat with the same key after `Retry-After` seconds."
    ),
    "symbol-halted": ProblemKind(
        503,
        "Trading in the symbol is halted",
        True,
        "Repeat with the same key after `Retry-After` seconds. What rests can be cancelled.",
    ),
    "market-closed": ProblemKind(
        503,
        "The market is closed",
        True,
        "`GET /clock` says when it opens. Repeat with the same key after `Retry-After` seconds.",
    ),
    "kill-switch": ProblemKind(
        503,
        "No new orders are taken",
        True,
        "An operator stopped trading, for all, for you or in the symbol. Cancels pass. Repeat with "
        "the same key after `Retry-After` seconds.",
    ),
    "no-price": ProblemKind(
        503,
        "The symbol has no price yet",
        True,
        "Repeat with the same key after `Retry-After` seconds.",
    ),
    "overloaded": ProblemKind(
        503,
        "This node has as much of this under way as it can answer in time",
        True,
        "Repeat after `Retry-After` seconds, a placement with the same key; nothing was stored.",
    ),
    "too-many-streams": ProblemKind(
        503,
        "You have as many streams of this kind as one node shows a user",
        True,
        "Close one; what a price stream shows can be changed (`PATCH /subscribe/{streamId}`).",
    ),
    "node-full": ProblemKind(
        503,
        "This node shows as many streams of this kind as it can",
        True,
        "Repeat after `Retry-After` seconds: another node may answer.",
    ),
    "too-many-openings": ProblemKind(
        503,
        "More streams are being opened at once than this node takes",
        True,
        "Repeat after `Retry-After` seconds, which differ from client to client.",
    ),
    "unavailable": ProblemKind(
        503,
        "A part of the service is away",
        True,
        "Repeat with the same key after `Retry-After` seconds: it is the same order.",
    ),
    "shutting-down": ProblemKind(
        503, "This node is stopping", True, "Repeat at once: another node answers."
    ),
    "internal": ProblemKind(
        500, "Something is broken here", True, "Repeat with the same key; tell us if it stays."
    ),
}


def problem(code: str, detail: str, **extra: object) -> dict[str, object]:
    """The body of a problem, `extra` members included (`order`, `required`, `available`, ...)."""
    kind = PROBLEMS[code]
    body: dict[str, object] = {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": detail,
        "retryable": kind.retryable,
        "advice": kind.advice,
    }
    body.update({name: value for name, value in extra.items() if value is not None})
    return body


def encode(body: Mapping[str, object]) -> str:
    """A body as JSON text, the same bytes for the same body."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
