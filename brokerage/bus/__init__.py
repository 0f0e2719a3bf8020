"""NATS: the connection, what is published and heard on it, the last price, the feed's epoch.

May import contracts and domain. Owns nats-py: nothing above this package sees a type of it. The
process opens the bus with `brokerage.bus.connection.open_bus` and closes it on the way out.
"""
