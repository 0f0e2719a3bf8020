import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from rich.console import Console

from client.command.plots import bars_across, show_bars, show_curve, sparkline
from client.models import Bar
from tests.unit.client.fake_sherwood import FakeSherwood, Run

BAR = {
    "at": "2026-03-02T14:30:00Z",
    "openInCents": 52_000,
    "highInCents": 52_300,
    "lowInCents": 51_950,
    "closeInCents": 52_210,
    "volume": 1_800,
    "notionalInCents": 93_600_000,
    "trades": 12,
}
LATER = BAR | {"at": "2026-03-02T14:31:00Z", "openInCents": 52_210, "closeInCents": 52_520}
BARS = ("GET", "/symbol/META/bars")
HISTORY = {
    "window": "1d",
    "step": "5m",
    "openedAt": "2026-03-02T14:30:00Z",
    "baseValueInCents": 10_000_000,
    "windowProfitInCents": -500,
    "uncosted": [],
    "points": [
        {
            "at": f"2026-03-02T14:3{minute}:00Z",
            "valueInCents": value,
            "cashInCents": 9_000_000,
            "profitInCents": None if value is None else value - 10_000_000,
            "unpriced": ["META"] if value is None else [],
        }
        for minute, value in ((0, 10_000_000), (1, None), (2, 9_999_500))
    ],
}


def test_bars_in_a_pipe_are_a_table_with_what_it_comes_to_beside_it(
    server: FakeSherwood, run: Run
) -> None:
    server.answer(*BARS, httpx.Response(200, json={"items": [BAR, LATER], "nextCursor": None}))

    result = run("bars", "meta", "--from", "2026-03-02T14:30", "--to", "2026-03-03")

    assert [line.split() for line in result.stdout.splitlines()] == [
        ["AT", "(UTC)", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME", "TRADES"],
        ["2026-03-02", "14:30:00", "520.00", "523.00", "519.50", "522.10", "1,800", "12"],
        ["2026-03-02", "14:31:00", "522.10", "523.00", "519.50", "525.20", "1,800", "12"],
    ]
    assert result.stderr == "from 520.00 to 525.20: +5.20 (+1.00%), 3,600 shares traded\n"
    assert dict(server.requests[0].url.params) == {
        "interval": "1m",
        "from": "2026-03-02T14:30:00+00:00",
        "to": "2026-03-03T00:00:00+00:00",
        "limit": "50",
    }


def test_bars_as_json_are_what_the_server_said(server: FakeSherwood, run: Run) -> None:
    body = {"items": [BAR], "nextCursor": "b"}
    server.answer(*BARS, httpx.Response(200, json=body))

    assert json.loads(run("bars", "META", "--interval", "1d", "--json").stdout) == body


def test_no_bars_are_said_to_be_none(server: FakeSherwood, run: Run) -> None:
    server.answer(*BARS, httpx.Response(200, json={"items": []}))

    result = run("bars", "META")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no trades in that time\n"


def test_history_says_what_the_account_was_worth_and_where_nobody_knows(
    server: FakeSherwood, run: Run
) -> None:
    server.answer("GET", "/portfolio/history", httpx.Response(200, json=HISTORY))

    result = run("portfolio-history", "--window", "1w")

    _, first, unknown, _, _, *facts = result.stdout.splitlines()
    assert first.split() == ["2026-03-02", "14:30:00", "100,000.00", "90,000.00", "0.00"]
    assert unknown.split()[2:] == ["-", "90,000.00", "-"]
    assert facts[-1].split() == ["profit", "since", "-5.00"]
    assert result.stderr == "no value while there was no price of META\n"
    assert dict(server.requests[0].url.params) == {"window": "1w"}


def _bars(number: int) -> list[Bar]:
    begin = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    return [
        Bar(
            at=begin + timedelta(minutes=at),
            open_cents=52_000 + at,
            high_cents=52_100 + at,
            low_cents=51_900 + at,
            close_cents=52_050 + at,
            volume=1,
            notional_cents=52_000,
            trades=1,
        )
        for at in range(number)
    ]


def _candles(console: Console) -> None:
    show_bars(console, "META 1m", _bars(bars_across(console)))


def _curve(console: Console) -> None:
    bars = _bars(30)
    show_curve(console, "META 1m", [bar.at for bar in bars], [bar.close_cents for bar in bars])


def _one(console: Console) -> None:
    show_bars(console, "META 1m", _bars(1))


@pytest.mark.parametrize("draw", [_candles, _curve, _one])
@pytest.mark.parametrize(("width", "height"), [(40, 15), (80, 24)])
def test_plot_fits_the_terminal(draw: Callable[[Console], None], width: int, height: int) -> None:
    console = Console(force_terminal=True, width=width, height=height, record=True)

    draw(console)

    lines = [line.rstrip() for line in console.export_text().rstrip().splitlines()]
    assert "META 1m" in lines[0]
    assert max(map(len, lines)) <= width
    assert len(lines) <= height - 4
    assert "14:30" in lines[-1]


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([5], "▁"), ([5, 5], "▁▁"), ([0, 7, 3], "▁█▄"), ([100, 98, 107], "▂▁█")],
)
def test_sparkline_is_as_high_as_the_values(values: list[int], line: str) -> None:
    assert sparkline(values) == line
