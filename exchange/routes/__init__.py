"""The HTTP and WebSocket routes of the exchange: thin, over `exchange.venue` and `exchange.hub`.

May import everything of the exchange except `exchange.server`, which owns their lifecycle.
"""
