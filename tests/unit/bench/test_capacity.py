"""What many users need, from what one order and one viewer cost."""

from dataclasses import replace

import msgspec
import pytest

from bench.capacity.command import FIGURES, PAGE
from bench.capacity.figures import Figures, OrderCost, ViewerCost, read
from bench.capacity.needs import Assumptions, batches, connections, monthly, needs
from bench.capacity.page import page

FIGURED = Figures(
    machine="a machine",
    day="2026-11-26",
    load_before=0.0,
    order=OrderCost(
        orders=100,
        rate=15.0,
        cpu_ms={
            "temporal": 18.0,
            "postgres": 6.0,
            "orders": 12.0,
            "api": 3.0,
            "gateway": 2.0,
            "executions": 2.0,
            "feed": 0.5,
            "nats": 1.5,
        },
        events=15,
        transitions=4,
        executions=1.0,
        postgres_rows=12,
        postgres_commits=8,
        postgres_bytes=4_000,
        postgres_log_bytes=9_000,
        temporal_bytes=10_000,
        jetstream_messages=1.0,
    ),
    viewer=ViewerCost(
        viewers=1_000,
        core=0.0003,
        memory_bytes=20_000,
        updates_per_second=20,
        bytes_per_second=4_000,
    ),
    memory_bytes=dict.fromkeys(
        ("temporal", "postgres", "orders", "api", "gateway", "executions", "feed", "nats"), 2**27
    ),
)
ASSUMED = Assumptions(peak_orders_per_second=30_000, busy=0.6, transitions_per_cell=2_000)


def count(name: str, figures: Figures = FIGURED, assumed: Assumptions = ASSUMED) -> int:
    (found,) = (one for one in needs(figures, assumed) if one.name.startswith(name))
    return found.count


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cells", 60),  # 30,000 x 4 / 2,000
        ("orders,", 600),  # 30,000 x 12 ms = 360 cores, each planned for six tenths
        ("api, ", 150),
        ("gateway", 100),
        ("feed", 50),  # 25 at work, each with its standby
        ("partitions", 12),  # 30,000 / 2,500
        ("api for viewers", 1_000),  # 2 M viewers; 0.6 of a core is 2,000 of them
        ("connections", 225),  # two a gateway, one a feed
    ],
)
def test_as_many_as_the_peak_takes(name: str, expected: int) -> None:
    assert count(name) == expected


def test_a_node_has_no_more_viewers_than_it_lets_in() -> None:
    light = msgspec.structs.replace(FIGURED.viewer, core=1e-6)

    assert count("api for viewers", msgspec.structs.replace(FIGURED, viewer=light)) == 200


def test_where_gateways_are_cheap_round_trips_decide_about_connections() -> None:
    order = msgspec.structs.replace(FIGURED.order, cpu_ms=FIGURED.order.cpu_ms | {"gateway": 0.01})
    cheap = msgspec.structs.replace(FIGURED, order=order)
    slow = replace(ASSUMED, exchange_answer_seconds=0.1)

    assert batches(slow) == 60  # 500 placements a second each
    assert connections(cheap, slow) == 60 + 25
    assert connections(cheap, ASSUMED) == 4 + 25


def test_twice_the_peak_takes_twice_the_cells_and_no_more_for_the_mean() -> None:
    double = replace(ASSUMED, peak_orders_per_second=60_000)

    assert count("cells", assumed=double) == 2 * count("cells")
    before, after = monthly(FIGURED, ASSUMED), monthly(FIGURED, double)
    assert after["cells, streams and feeds"] == pytest.approx(
        2 * before["cells, streams and feeds"], rel=0.01
    )
    assert after["processes for orders"] == pytest.approx(before["processes for orders"], rel=0.01)
    assert after["disk"] == pytest.approx(before["disk"])


def test_money_follows_the_prices() -> None:
    free = replace(ASSUMED, core_hour=0, gib_hour=0, disk_gib_month=0, traffic_gib=1.0)
    cost = dict(monthly(FIGURED, free))

    # 20 M users x 1.5 h x 21 days x 3,600 s x 4,000 bytes
    assert cost.pop("traffic to viewers") == pytest.approx(9.072e15 / 2**30, rel=0.001)
    assert set(cost.values()) == {0.0}


def test_the_page_is_what_its_figures_and_the_arithmetic_say() -> None:
    assert PAGE.read_text() == page(read(FIGURES), Assumptions()), (
        "python -m bench.capacity --again"
    )
