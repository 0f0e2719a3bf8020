"""Where a process can be lost while an order is cancelled, in order."""

from typing import Final

from tests.faults.crash_points import (
    ANOTHER_WORKER,
    ATTEMPT_AGAIN,
    WIRE,
    Point,
    Seam,
    connection,
    database,
    gateway,
    http,
    temporal,
    transaction,
    unforeseen,
)

ASK: Final = Seam("api", "api.order_workflows:OrderWorkflows.cancel")
ASK_ANEW: Final = Seam("api", "api.order_workflows:OrderWorkflows.adopt_and_cancel")
CANCELLED: Final = Seam("api", "api.cancelling:cancel_order")
WISH: Final = Seam("orders", "activities.orders:OrderActivities.request_cancel")
WITHDRAW: Final = Seam("orders", "activities.exchange:ExchangeActivities.send_cancel")
CANCEL_THERE: Final = Seam("gateway", "brokerage.gateway.exchange:ExchangeClient.cancel")

CANCEL_AGAIN: Final = "`202`, `503` or no answer; the repeat says how it ended"

CANCELLING: Final = (
    Point(
        "cancel-asked", ASK, "before", temporal, "cancel",
        "nothing of the wish", "nobody: the client repeats it", CANCEL_AGAIN,
    ),
    Point(
        "cancel-recorded", ASK, "after", temporal, "cancel",
        "`pending_cancel`", "nobody needs to: the workflow goes on", CANCEL_AGAIN,
    ),
    Point(
        "cancel-answer-made", CANCELLED, "after", unforeseen, "cancel",
        "`cancelled`", "nobody needs to: only the answer is lost", CANCEL_AGAIN,
    ),
    Point(
        "abandoned-asked", ASK_ANEW, "before", unforeseen, "cancel-abandoned",
        "an open order whose workflow is gone", "nobody: the client repeats it", CANCEL_AGAIN,
    ),
    Point(
        "abandoned-recorded", ASK_ANEW, "after", unforeseen, "cancel-abandoned",
        "`pending_cancel`, and a run that adopted the row",
        "nobody needs to: the new run goes on", CANCEL_AGAIN,
    ),
    Point(
        "wish-begun", WISH, "before", unforeseen, "cancel",
        "the accepted update in the workflow's history", ANOTHER_WORKER, CANCEL_AGAIN,
    ),
    Point(
        "wish-written", transaction("request_cancel"), "inside", connection,
        "cancel",
        "the accepted update; Postgres takes back what was not committed", ANOTHER_WORKER,
        CANCEL_AGAIN,
    ),
    Point(
        "wish-committed", transaction("request_cancel"), "after", database, "cancel",
        "`pending_cancel`", f"{ANOTHER_WORKER}, and finds the row", CANCEL_AGAIN,
    ),
    Point(
        "wish-done", WISH, "after", unforeseen, "cancel",
        "`pending_cancel`", f"{ANOTHER_WORKER}, and finds the row", CANCEL_AGAIN,
    ),
    Point(
        "withdraw-begun", WITHDRAW, "before", unforeseen, "cancel",
        "`pending_cancel`, nothing sent", ATTEMPT_AGAIN, CANCEL_AGAIN,
    ),
    Point(
        "withdraw-before", gateway("cancel", "send_cancel"), "before", unforeseen,
        "cancel",
        "`pending_cancel`, nothing sent", ATTEMPT_AGAIN, CANCEL_AGAIN,
    ),
    Point(
        "exchange-cancel-before", CANCEL_THERE, "before", unforeseen, "cancel",
        "`pending_cancel`, nothing sent", "the worker's call runs out, and is repeated",
        CANCEL_AGAIN,
    ),
    Point(
        "exchange-cancel-sent", WIRE, "sent", http, "cancel",
        "`pending_cancel`; the exchange may have cancelled",
        "the same question again: a cancelled order is cancelled", CANCEL_AGAIN,
    ),
    Point(
        "exchange-cancel-answered", CANCEL_THERE, "after", unforeseen, "cancel",
        "`pending_cancel` here, cancelled there", "the same question again", CANCEL_AGAIN,
    ),
    Point(
        "withdraw-answered", gateway("cancel", "send_cancel"), "after", unforeseen,
        "cancel",
        "`pending_cancel` here, cancelled there", ATTEMPT_AGAIN, CANCEL_AGAIN,
    ),
    Point(
        "withdraw-overtaken", gateway("cancel", "send_cancel"), "before", unforeseen,
        "fill-while-cancelling",
        "`pending_cancel` here, executed there before the cancel came",
        f"{ATTEMPT_AGAIN}: too late, and the fill wins", "`409 too-late-to-cancel`",
    ),
    Point(
        "withdraw-unplaced", gateway("cancel", "send_cancel"), "after", unforeseen,
        "cancel-unanswered",
        "`pending_cancel` of an order whose placement is not answered, cancelled there by our id",
        ATTEMPT_AGAIN, CANCEL_AGAIN,
    ),
    Point(
        "withdraw-written", transaction("send_cancel"), "inside", connection,
        "cancel",
        "`pending_cancel` here, cancelled there", ATTEMPT_AGAIN, CANCEL_AGAIN,
    ),
    Point(
        "withdraw-committed", transaction("send_cancel"), "after", database,
        "cancel",
        "`cancelled`, the money free", f"{ATTEMPT_AGAIN}; it finds the row", CANCEL_AGAIN,
    ),
    Point(
        "withdraw-done", WITHDRAW, "after", unforeseen, "cancel",
        "`cancelled`, the money free", f"{ATTEMPT_AGAIN}; it finds the row", CANCEL_AGAIN,
    ),
)  # fmt: skip
