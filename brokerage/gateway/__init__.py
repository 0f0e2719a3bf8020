"""The order API of the exchange, and the one service all orders go through to it.

`client` is what activities and streaming use: it asks over the bus and loads no HTTP. Everything
else is the service's own: `exchange` (owns httpx and the two connections), `batching`, `service`.
May import `brokerage.bus`, `brokerage.contracts`, `brokerage.runtime` and `exchange.protocol`.
Opened and closed by `workers.gateway`.
"""
