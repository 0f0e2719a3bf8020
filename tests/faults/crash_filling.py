"""Where a process can be lost while an execution is booked, in order."""

from typing import Final

from tests.faults.crash_points import (
    ANOTHER_WORKER,
    Point,
    Seam,
    bus,
    connection,
    database,
    driver,
    temporal,
    transaction,
    unforeseen,
)

ADOPT: Final = Seam("orders", "activities.orders:OrderActivities.adopt")
HEAR: Final = Seam("feed", "streaming.forwarding:Forwarder.take")
PUBLISH: Final = Seam("feed", "nats.js.client:JetStreamContext.publish_async")
APPEND: Final = Seam("feed", "brokerage.bus.execution_log:ExecutionLog.append")
FETCHED: Final = Seam("executions", "streaming.executions:Executions.take")
ROUTE: Final = Seam("executions", "streaming.routes:Routes.find")
TELL: Final = Seam("executions", "streaming.order_workflows:OrderWorkflows.fill")
ACKNOWLEDGE: Final = Seam("executions", "nats.aio.msg:Msg.ack")
REOPEN: Final = Seam("executions", "streaming.order_workflows:OrderWorkflows._reopen")
PARK: Final = Seam("executions", "brokerage.bus.executions:Parking.park")
SETTLE: Final = Seam("orders", "activities.orders:OrderActivities.settle")

NOTHING_SEEN: Final = "nothing: the fill comes a little later"
REDELIVERED: Final = "JetStream gives the report out again after 10 s; it is recognised by its id"
REPLAYED: Final = "the feed's next owner has the exchange repeat what the stream may lack"

FILLING: Final = (
    Point(
        "feed-heard", HEAR, "before", connection, "fill",
        "the execution, in the exchange's journal", REPLAYED, NOTHING_SEEN,
    ),
    Point(
        "feed-publishing", PUBLISH, "before", driver, "fill",
        "the execution, in the exchange's journal", REPLAYED, NOTHING_SEEN,
    ),
    Point(
        "feed-published", PUBLISH, "after", driver, "fill",
        "the report in the stream, perhaps",
        f"{REPLAYED}; a second one has the same message id", NOTHING_SEEN,
    ),
    Point(
        "feed-stored", APPEND, "after", bus, "fill",
        "the report in the stream", f"{REPLAYED}; what it has is recognised", NOTHING_SEEN,
    ),
    Point(
        "report-fetched", FETCHED, "before", unforeseen, "fill",
        "the report in the stream, not acknowledged", REDELIVERED, NOTHING_SEEN,
    ),
    Point(
        "report-routed", ROUTE, "after", database, "fill",
        "the report in the stream, not acknowledged", REDELIVERED, NOTHING_SEEN,
    ),
    Point(
        "report-untold", TELL, "before", temporal, "fill",
        "the report in the stream, not acknowledged", REDELIVERED, NOTHING_SEEN,
    ),
    Point(
        "report-told", TELL, "after", temporal, "fill",
        "the fill, booked; the report not acknowledged", REDELIVERED, "the fill",
    ),
    Point(
        "report-acknowledged", ACKNOWLEDGE, "after", driver, "fill",
        "the fill, booked; the report acknowledged", "nobody needs to", "the fill",
    ),
    Point(
        "settle-begun", SETTLE, "before", unforeseen, "fill",
        "the accepted update in the workflow's history", ANOTHER_WORKER, NOTHING_SEEN,
    ),
    Point(
        "settle-written", transaction("settle"), "inside", connection, "fill",
        "the accepted update; Postgres takes back what was not committed", ANOTHER_WORKER,
        NOTHING_SEEN,
    ),
    Point(
        "settle-committed", transaction("settle"), "after", database, "fill",
        "the fill, booked", f"{ANOTHER_WORKER}, and finds it booked", "the fill",
    ),
    Point(
        "settle-done", SETTLE, "after", unforeseen, "fill",
        "the fill, booked", f"{ANOTHER_WORKER}, and finds it booked", "the fill",
    ),
    Point(
        "reopen-before", REOPEN, "before", temporal, "fill-late",
        "the report in the stream; the order's workflow has ended", REDELIVERED, NOTHING_SEEN,
    ),
    Point(
        "reopen-after", REOPEN, "after", temporal, "fill-late",
        "the late fill, booked; the report not acknowledged", REDELIVERED, "the fill",
    ),
    Point(
        "adopt-begun", ADOPT, "before", unforeseen, "fill-late",
        "a run that is to adopt the row", ANOTHER_WORKER, NOTHING_SEEN,
    ),
    Point(
        "park-before", PARK, "before", bus, "fill-unknown",
        "the report in the stream, of an order whose id is not known yet", REDELIVERED,
        NOTHING_SEEN,
    ),
    Point(
        "park-after", PARK, "after", bus, "fill-unknown",
        "the report in both streams", f"{REDELIVERED}, as is its parked copy", NOTHING_SEEN,
    ),
)  # fmt: skip
