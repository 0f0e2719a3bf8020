"""What a process shows of the kill switch, once it obeys it: one that does not would show 0."""

from functools import cache
from typing import NamedTuple

from prometheus_client import Gauge


class KillSwitchGauges(NamedTuple):
    """The level by scope, and whether it is known at all."""

    level: Gauge
    readable: Gauge


@cache
def kill_switch_gauges() -> KillSwitchGauges:
    """The gauges of this process, made when they are first asked for."""
    level = Gauge(
        "sherwood_kill_switch_level",
        "The level of the kill switch by scope; of users and symbols the highest.",
        ("scope",),
    )
    readable = Gauge(
        "sherwood_kill_switch_readable",
        "1 while this process knows the kill switch; 0: no order passes here.",
    )
    return KillSwitchGauges(level, readable)
