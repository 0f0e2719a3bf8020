"""Order workers that come and go with the backlog, by the rule that a cluster would use.

Start it with `python -m bench.scale` (`make demo-scale`).
"""
