"""Data that moves: the exchange's feed, ticks, the hub that fans prices out, executions.

May import `brokerage` and `exchange.protocol`. Owns the websocket to the exchange's feed. Nothing
here starts by itself: `workers` and `api` open each part with an `async with` and close it.
"""
