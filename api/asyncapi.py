"""The AsyncAPI document of the two streams, whose events are server-sent.

AsyncAPI tells from the side of who is described: Sherwood sends.
"""

from functools import cache
from typing import Final

from pydantic import BaseModel

from api import prices_stream
from api.components import Object, example_of, ref, rename, schemas_of
from api.documentation import BEARER, BEARER_OR_TICKET
from api.schemas import SEQ_MAX, OrderEventBody
from api.stream_schemas import (
    Nothing,
    OrdersHeartbeat,
    OrdersHello,
    OrdersReset,
    Prices,
    PricesHello,
)

DESCRIPTION: Final = """\
Live prices, and what happens to one's orders, as server-sent events: `event` is a message's name,
`data` its payload. Requests that open a stream, and their refusals, are described in OpenAPI
(`GET /openapi.json`).

A stream ends after 12 to 18 minutes, when its node stops, and when its client takes nothing for 30
seconds. Open it again, with a new ticket if it was opened by one, after the milliseconds of its
last `retry`; also when nothing came for three times `heartbeatSeconds`, comments included. Events
may be added: pass over those that you do not know.
"""
PRICES: Final = """\
`hello` is first, `prices` with every symbol second. Never a queue: who reads slowly gets fewer
events, each with the newest ticks. A quiet stream has a comment every `heartbeatSeconds`. There is
nothing to resume: a new stream begins with the newest tick of every symbol, on whichever node.
`PATCH /subscribe/{streamId}` changes what a live stream shows.
"""
ORDERS: Final = """\
Each `order` once, in order, none left out: the event's `id` is its `seq`, the next one's is one
more. It begins after the event that `Last-Event-ID` names, else `after`; 0 is the first of the
account, neither means from now on. What was lost with a connection is told by the next stream that
begins after the last `id`, on any node. `GET /orders` and `GET /portfolio` say in `asOfSeq` up to
where they know: a stream after that leaves no hole. A `heartbeat` comes every `heartbeatSeconds`.
"""
SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "From `POST /stream-ticket`.",
    },
}
SYMBOLS: Final = {"symbols": {"type": "string", "description": "Separated by commas."}}
AFTER: Final = {"after": {"type": "integer", "minimum": 0, "maximum": SEQ_MAX}}


@cache
def document() -> Object:
    """The whole document, put together once; its schemas are called as those of OpenAPI are."""
    schemas: Object = {}
    described: Object = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sherwood streams",
            "version": "1",
            "description": DESCRIPTION,
            "license": {"name": "Apache 2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "node": {
                "host": "{host}",
                "protocol": "http",
                "description": "Any node.",
                "variables": {"host": {"default": "localhost:8000"}},
            }
        },
        "channels": {
            "prices": {
                "address": prices_stream.PATH,
                "title": "Live prices",
                "description": PRICES,
                "messages": {
                    "hello": _message("The stream has begun", PricesHello, schemas),
                    "prices": _message("What symbols cost now", Prices, schemas),
                    "stale": _message("The exchange was silent for 5 seconds", Nothing, schemas),
                    "live": _message("The exchange is heard again", Nothing, schemas),
                },
            },
            "orders": {
                "address": "/orders/stream",
                "title": "Order events",
                "description": ORDERS,
                "messages": {
                    "hello": _message("The stream has begun", OrdersHello, schemas),
                    "order": _message("An order changed", OrderEventBody, schemas),
                    "heartbeat": _message("You have everything", OrdersHeartbeat, schemas),
                    "reset": _message("You know more than there is", OrdersReset, schemas),
                },
            },
        },
        "operations": {
            "streamPrices": _operation("prices", "POST", BEARER),
            "streamPricesByTicket": _operation("prices", "GET", BEARER_OR_TICKET, SYMBOLS),
            "streamOrders": _operation("orders", "GET", BEARER_OR_TICKET, AFTER),
        },
        "components": {"schemas": schemas, "securitySchemes": SECURITY},
    }
    rename(described)
    return described


def _message(title: str, model: type[BaseModel], schemas: Object) -> Object:
    """An event of a stream; its payload's schemas are added to `schemas`."""
    schemas |= schemas_of(model)
    payload = ref("schemas", model.__name__)
    return {
        "title": title,
        "description": schemas[model.__name__]["description"],
        "payload": payload,
        "examples": [{"payload": example_of(payload, schemas)}],
    }


def _operation(
    channel: str, method: str, security: list[dict[str, list[str]]], query: Object | None = None
) -> Object:
    """How a channel is opened; each of `security` is enough."""
    binding: Object = {"method": method, "bindingVersion": "0.3.0"}
    if query is not None:
        binding["query"] = {"type": "object", "properties": query}
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "security": [ref("securitySchemes", name) for one in security for name in one],
        "bindings": {"http": binding},
    }
