"""What an order and a viewer cost here, and from that what many users need.

Start it with `python -m bench.capacity` (`make capacity`).
"""
