"""Where a process can be lost while an order is placed, in order."""

from typing import Final

from tests.faults.crash_points import (
    ANOTHER_WORKER,
    ATTEMPT_AGAIN,
    WIRE,
    Point,
    Seam,
    bus,
    connection,
    database,
    gateway,
    http,
    temporal,
    transaction,
    unforeseen,
)

CLAIM: Final = Seam("api", "brokerage.storage.admission:claim_key")
START: Final = Seam("api", "api.order_workflows:OrderWorkflows.place")
PLACED: Final = Seam("api", "api.placing:place_order")
RESERVE: Final = Seam("orders", "activities.orders:OrderActivities.reserve")
SUBMIT: Final = Seam("orders", "activities.exchange:ExchangeActivities.submit")
RESOLVE: Final = Seam("orders", "activities.exchange:ExchangeActivities.resolve_submission")
TAKE: Final = Seam("gateway", "brokerage.gateway.batching:PlacementBatcher.place")
TO_EXCHANGE: Final = Seam("gateway", "brokerage.gateway.exchange:ExchangeClient.place")
RESPOND: Final = Seam("gateway", "brokerage.gateway.service:_respond")

REPEAT: Final = "no answer; the repeat under the same key is the same order"
LATER_201: Final = "`202` or `503`, then `201` to the repeat"

PLACING: Final = (
    Point(
        "claim-before", CLAIM, "before", database, "place",
        "nothing", "nobody: there is no order", REPEAT,
    ),
    Point(
        "claim-after", CLAIM, "after", database, "place",
        "the key, with its time and price; tokens; the placing lock for 5 s",
        "the client's repeat: its key is known, and without a row it is admitted like a new one",
        REPEAT,
    ),
    Point(
        "start-after", START, "after", temporal, "place",
        "the order, at the exchange too", "nobody needs to: only the answer is lost", REPEAT,
    ),
    Point(
        "answer-made", PLACED, "after", unforeseen, "place",
        "the order and its first reply", "nobody needs to: only the answer is lost", REPEAT,
    ),
    Point(
        "reserve-begun", RESERVE, "before", unforeseen, "place",
        "the workflow with the request in its start", ANOTHER_WORKER, LATER_201,
    ),
    Point(
        "reserve-written", transaction("reserve"), "inside", connection, "place",
        "the workflow; Postgres takes back what was not committed", ANOTHER_WORKER, LATER_201,
    ),
    Point(
        "reserve-committed", transaction("reserve"), "after", database, "place",
        "the order `pending`, its money held",
        f"{ANOTHER_WORKER}, and finds the row; a refusal would prove nothing then", LATER_201,
    ),
    Point(
        "reserve-done", RESERVE, "after", unforeseen, "place",
        "the order `pending`", f"{ANOTHER_WORKER}, and finds the row", LATER_201,
    ),
    Point(
        "submit-begun", SUBMIT, "before", unforeseen, "place",
        "the order `pending`, nothing sent", ANOTHER_WORKER, LATER_201,
    ),
    Point(
        "send-before", gateway("place", "submit"), "before", unforeseen, "place",
        "the order `pending`, nothing sent", ANOTHER_WORKER, LATER_201,
    ),
    Point(
        "gateway-took", TAKE, "before", unforeseen, "place",
        "the order `pending`, nothing sent",
        "the worker's call runs out: unknown, so the slow path sends it again until `send_by`",
        LATER_201,
    ),
    Point(
        "exchange-before", TO_EXCHANGE, "before", unforeseen, "place",
        "the order `pending`, nothing sent", "the slow path, as above", LATER_201,
    ),
    Point(
        "exchange-sent", WIRE, "sent", http, "place",
        "the order `pending`; the exchange may have it",
        "the slow path sends the same id again: never a second order", LATER_201,
    ),
    Point(
        "exchange-answered", TO_EXCHANGE, "after", unforeseen, "place",
        "the order `pending` here, accepted there", "the slow path learns of it by the same id",
        LATER_201,
    ),
    Point(
        "reply-before", RESPOND, "before", bus, "place",
        "the order `pending` here, accepted there", "the slow path", LATER_201,
    ),
    Point(
        "send-answered", gateway("place", "submit"), "after", unforeseen, "place",
        "the order `pending` here, accepted there", ANOTHER_WORKER, LATER_201,
    ),
    Point(
        "fill-first", gateway("place", "submit"), "after", unforeseen, "trade",
        "the order `pending` here, executed there",
        "whichever comes first: the fill is booked on the pending row and is the acknowledgement",
        LATER_201,
    ),
    Point(
        "submit-written", transaction("submit"), "inside", connection, "place",
        "the order `pending` here, accepted there", ANOTHER_WORKER, LATER_201,
    ),
    Point(
        "submit-committed", transaction("submit"), "after", database, "place",
        "the order `submitted`, its first reply", f"{ANOTHER_WORKER}, and finds the row",
        "`201` from the row, or to the repeat",
    ),
    Point(
        "submit-done", SUBMIT, "after", unforeseen, "place",
        "the order `submitted`, its first reply", f"{ANOTHER_WORKER}, and finds the row",
        "`201` from the row, or to the repeat",
    ),
    Point(
        "resolve-begun", RESOLVE, "before", unforeseen, "lose-answer",
        "the order `pending` here, accepted there", ATTEMPT_AGAIN, LATER_201,
    ),
    Point(
        "resolve-answered", gateway("place", "resolve_submission"), "after",
        unforeseen, "lose-answer",
        "the order `pending` here, accepted there", ATTEMPT_AGAIN, LATER_201,
    ),
    Point(
        "resolve-written", transaction("resolve_submission"), "inside", connection,
        "lose-answer",
        "the order `pending` here, accepted there", ATTEMPT_AGAIN, LATER_201,
    ),
    Point(
        "resolve-committed", transaction("resolve_submission"), "after", database,
        "lose-answer",
        "the order `submitted`, its first reply", f"{ATTEMPT_AGAIN}; it finds the row", LATER_201,
    ),
    Point(
        "resolve-done", RESOLVE, "after", unforeseen, "lose-answer",
        "the order `submitted`, its first reply", f"{ATTEMPT_AGAIN}; it finds the row", LATER_201,
    ),
    Point(
        "absence-asked", gateway("query", "resolve_submission"), "after", unforeseen,
        "lose-order",
        "the order `pending`; the exchange never had it", ATTEMPT_AGAIN,
        "`202`, then `422 not-placed`: nothing was done",
    ),
    Point(
        "absence-proved", gateway("cancel", "resolve_submission"), "after", unforeseen,
        "lose-order",
        "the order `pending`; the exchange has promised to refuse it",
        f"{ATTEMPT_AGAIN}; the promise holds for ever",
        "`202`, then `422 not-placed`: nothing was done",
    ),
)  # fmt: skip
