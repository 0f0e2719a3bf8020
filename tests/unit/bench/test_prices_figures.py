"""Rows, what is aimed at, and what a run makes of its figures."""

from pathlib import Path

import pytest

from bench.figures import percentile
from bench.prices.aims import aims, ratio, verdict
from bench.prices.messages import Opened, Published, Resumed, Watched
from bench.prices.plan import FULL, LIGHT, ROWS, WATCHED, Row, parse_row, symbol_names, watch_lists
from bench.prices.plot import draw
from bench.prices.run import Kind, Measured
from bench.prices.stalled import Stalled
from bench.prices.tables import KINDS, delivery_grid, load_grid


def _watched(updates: int, ages_ms: list[float], seconds: float = 10.0) -> Watched:
    return Watched(seconds, updates, updates * 150, updates // 10, ages_ms, 2.0, 0)


def _measured(
    kind: Kind, row: Row, delivered_per_second: int, age_ms: float = 50.0, core: float = 0.8
) -> Measured:
    return Measured(
        kind=kind,
        row=row,
        opened=Opened(seconds=1.0, cpu_seconds=0.2, refused=0),
        watched=_watched(delivered_per_second * 10, [age_ms * n / 50 for n in range(1, 101)]),
        published=Published(int(row.ticks_per_second * 9), 10.0, 5.0, []),
        shares={"server": core, "client": 0.4, "publisher": 0.1, "NATS": 0.1},
        kernel=0.5,
        strangers=0.01,
        rss_before=100_000_000,
        rss_opened=150_000_000,
        rss_after=100_000_000 + row.viewers * 20_000,
        checked=None,
        came_back=Opened(seconds=2.0, cpu_seconds=0.2, refused=0),
    )


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentile([float(number) for number in range(1, 101)], 99) == 99
    assert percentile([3.0], 50) == 3
    assert percentile([], 99) == 0


def test_a_row_is_read_as_it_is_written() -> None:
    assert parse_row("5000x200") == FULL
    assert FULL.ticks_per_second == 10_000
    assert FULL.offered_per_second == 1_000_000


@pytest.mark.parametrize("text", ["", "5000", "5000x", "0x10", "10x0", "1e3x10", "10 x 10"])
def test_what_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="VIEWERSxUPDATES"):
        parse_row(text)


def test_each_viewer_watches_distinct_symbols_and_the_same_seed_draws_the_same() -> None:
    names = symbol_names()
    lists = watch_lists(names, 50)

    assert len(set(names)) == 1_000
    assert all(len(set(symbols)) == WATCHED and set(symbols) <= set(names) for symbols in lists)
    assert lists == watch_lists(names, 50)
    assert lists != watch_lists(names, 50, seed=2)


def test_offered_is_what_was_really_published() -> None:
    one = _measured("hub", FULL, 720_000)

    assert one.offered_share == pytest.approx(0.9)
    assert one.delivered_per_second / one.offered_per_second == pytest.approx(0.8)
    assert one.connection_bytes == 20_000
    assert one.opened_per_second == 5_000


def test_the_ratio_is_the_median_of_runs_in_turns() -> None:
    pairs = [(800_000, 40_000), (900_000, 30_000), (500_000, 50_000)]
    measured = []
    for ours, theirs in pairs:
        measured += [_measured("hub", FULL, ours), _measured("usual", FULL, theirs)]

    assert ratio(measured) == 20
    assert ratio(measured[:1]) is None


def test_the_last_line_says_the_first_row_in_short() -> None:
    measured = [_measured("hub", FULL, 810_000, 71.3), _measured("usual", FULL, 33_000)]
    light = [_measured("hub", LIGHT, 20_000), _measured("usual", LIGHT, 20_000)]

    assert verdict([*light, *measured]) == "hub/naive: 24.5x delivered, p99 141 ms"
    assert verdict(light) is None
    assert verdict(measured[:1]) is None


def test_aims_are_judged_by_the_median_run() -> None:
    rates = (700_000, 810_000, 820_000)
    measured = [_measured("hub", FULL, rate, age_ms=80.0) for rate in rates]
    measured += [_measured("usual", FULL, 40_000)] * 3

    found = {aim.what: aim.met for aim in aims(measured)}

    assert found == {
        "5,000 x 200: at least 800,000 delivered/s": True,
        "5,000 x 200: at least 20 times the usual way": True,
        "5,000 x 200: p99 at most 170 ms": True,
        "at most 21 kB a stream, of 5,000": True,
        "at least 3,000 streams opened/s, by viewers new to the node": True,
        "at least 3,000 streams opened/s, when all come back at once": False,
    }


def test_a_missed_aim_is_said_to_be() -> None:
    found = aims([_measured("hub", LIGHT, 20_000, age_ms=20.0, core=0.31)])

    assert [(aim.measured, aim.met) for aim in found] == [("39.6 ms", False), ("0.31", False)]


def test_stalled_viewers_are_judged_by_the_worst_of_them() -> None:
    before, during = _watched(1_000, [10.0] * 100), _watched(1_000, [11.5] * 100)
    resumed = Resumed(stale_bytes=[20_000, 120_000], stale_updates=[100, 600])

    found = aims([], Stalled(before, during, resumed, (100_000_000, 110_000_000, 110_500_000)))

    assert [aim.met for aim in found] == [False, False, True]
    assert found[1].measured == "120.0 kB at most, 70.0 kB on average"


def test_a_row_is_told_by_the_medians_of_its_runs_and_each_run_by_itself() -> None:
    measured = [
        _measured(kind, row, rate)
        for rate in (1_000, 5_000, 2_000)
        for row in ROWS
        for kind in KINDS
    ]
    delivered, load = delivery_grid(measured), load_grid(measured)

    assert [row[1] for row in delivered.rows] == ["2,000"] * 6
    assert delivered.title.endswith("medians of 3 runs")
    assert [row[3] for row in load.rows] == ["1,000"] * 6 + ["5,000"] * 6 + ["2,000"] * 6
    for grid in (delivered, load):
        assert {len(row) for row in grid.rows} == {len(grid.headings)}


def test_the_same_figures_are_the_same_picture(tmp_path: Path) -> None:
    measured = [_measured(kind, row, 20_000) for row in ROWS for kind in KINDS]

    for name in ("a.svg", "b.svg"):
        draw(measured, tmp_path / name)

    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
