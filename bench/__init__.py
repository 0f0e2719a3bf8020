"""Measurements and the demo: a load on a whole stack, and whether the books survived it.

May import client, devstack and exchange.protocol; of the server only what reads (brokerage.storage,
contracts), activities for the shape our workflow is compared with, and brokerage.bus to publish as
the feed does. Started by hand, never part of a running system; it ends every process it starts.
"""
