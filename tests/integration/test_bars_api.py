"""`GET /symbol/{name}/bars`: the past of a symbol, by interval, range and page."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import httpx
import pytest

from brokerage.contracts.problems import PROBLEMS
from brokerage.storage.bar_reads import INTERVALS
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.history import OldBar, put_bars

# Long before the shared stack was started: what its feed writes is of today.
NOON = datetime.combine(datetime.now(UTC) - timedelta(days=40), time(12), UTC)
SYMBOL = "ORCL"
MINUTES = 200
"""Minutes with a bar, of 5 each the fourth without one."""


def minute(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


def old_minutes() -> list[OldBar]:
    return [
        OldBar(
            SYMBOL,
            minute(number),
            close_cents=1_000 + number,
            open_cents=1_001 + number,
            high_cents=1_005 + number,
            low_cents=990 + number,
            volume=10 + number,
            trades=number % 7 + 1,
        )
        for number in range(MINUTES)
        if number % 5 != 3
    ]


@pytest.fixture(scope="module")
async def past(stack: DevStack) -> DevStack:
    """The stack with a past."""
    url = stack.env["SHERWOOD_DATABASE_URL"]
    await put_bars(url, "bars_1m", old_minutes())
    yesterday = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=30)
    seconds = [OldBar(SYMBOL, yesterday + timedelta(seconds=n), 500 + n) for n in range(10)]
    await put_bars(url, "bars_1s", seconds)
    # Midnight in New York is 04:00 UTC in summer and 05:00 in winter.
    days = [
        OldBar(SYMBOL, datetime(2020, 10, 31, 4, tzinfo=UTC), 7_000),
        OldBar(SYMBOL, datetime(2020, 11, 1, 4, tzinfo=UTC), 7_100),
        OldBar(SYMBOL, datetime(2020, 11, 2, 5, tzinfo=UTC), 7_200),
    ]
    await put_bars(url, "bars_1d", days)
    return stack


@pytest.fixture
async def http(past: DevStack) -> AsyncIterator[httpx.AsyncClient]:
    async with account(past.api_url, patient=True) as alice:
        yield alice.http


async def bars(http: httpx.AsyncClient, **query: str | int) -> list[dict[str, Any]]:
    """Every page of an answer, one after the other."""
    items: list[dict[str, Any]] = []
    while True:
        response = await http.get(f"/symbol/{SYMBOL}/bars", params=query)
        assert response.status_code == 200, response.text
        page = response.json()
        assert len(page["items"]) <= int(query.get("limit", 500))
        items += page["items"]
        if page["nextCursor"] is None:
            return items
        query["cursor"] = page["nextCursor"]


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def test_bar_has_its_fields(http: httpx.AsyncClient) -> None:
    first = (await bars(http, **{"from": text(NOON), "to": text(minute(1))}))[0]

    assert first == {
        "at": text(NOON),
        "openInCents": 1_001,
        "highInCents": 1_005,
        "lowInCents": 990,
        "closeInCents": 1_000,
        "volume": 10,
        "notionalInCents": 10_000,
        "trades": 1,
    }


async def test_range_is_half_open_and_ascending(http: httpx.AsyncClient) -> None:
    found = await bars(http, **{"from": text(minute(2)), "to": text(minute(7))})

    assert [bar["at"] for bar in found] == [text(minute(number)) for number in (2, 4, 5, 6)]


@pytest.mark.parametrize("limit", [1, 7, 159, 160, 161])
async def test_pages_hold_every_bar_once(http: httpx.AsyncClient, limit: int) -> None:
    query: dict[str, str | int] = {"from": text(NOON), "to": text(minute(MINUTES)), "limit": limit}

    found = await bars(http, **query)

    assert [bar["at"] for bar in found] == [text(bar.start) for bar in old_minutes()]


async def test_without_from_the_last_ones_before_to_are_told(http: httpx.AsyncClient) -> None:
    response = await http.get(
        f"/symbol/{SYMBOL}/bars", params={"to": text(minute(MINUTES)), "limit": 3}
    )

    page = response.json()
    assert [bar["at"] for bar in page["items"]] == [text(minute(n)) for n in (196, 197, 199)]
    assert page["nextCursor"] is None


async def test_without_a_range_the_last_ones_up_to_now_are_told(http: httpx.AsyncClient) -> None:
    found = await bars(http, limit=5_000)

    starts = [bar["at"] for bar in found]
    assert starts == sorted(starts)
    assert starts[:160] == [text(bar.start) for bar in old_minutes()]


@pytest.mark.parametrize(("interval", "minutes"), [("5m", 5), ("15m", 15), ("1h", 60)])
@pytest.mark.parametrize("limit", [1, 2, 500])
@pytest.mark.parametrize("offset", [0, 4])
async def test_longer_bars_are_the_sums_of_minutes(
    http: httpx.AsyncClient, interval: str, minutes: int, limit: int, offset: int
) -> None:
    expected: dict[datetime, list[OldBar]] = {}
    for bar in old_minutes():
        begin = NOON + (bar.start - NOON) // timedelta(minutes=minutes) * timedelta(minutes=minutes)
        expected.setdefault(begin, []).append(bar)

    query: dict[str, str | int] = {"interval": interval, "limit": limit}
    query |= {"from": text(minute(offset)), "to": text(minute(MINUTES - 19))}
    found = await bars(http, **query)

    # Only bars that begin within the range, but those whole.
    assert found == [
        {
            "at": text(begin),
            "openInCents": parts[0].open_cents,
            "highInCents": max(part.high_cents or 0 for part in parts),
            "lowInCents": min(part.low_cents or 0 for part in parts),
            "closeInCents": parts[-1].close_cents,
            "volume": sum(part.volume for part in parts),
            "notionalInCents": sum(part.volume * part.close_cents for part in parts),
            "trades": sum(part.trades for part in parts),
        }
        for begin, parts in expected.items()
        if minute(offset) <= begin < minute(MINUTES - 19)
    ]


@pytest.mark.parametrize(("interval", "minutes"), [("5m", 5), ("15m", 15), ("1h", 60)])
async def test_last_longer_bars_are_whole(
    http: httpx.AsyncClient, interval: str, minutes: int
) -> None:
    query: dict[str, str | int] = {"interval": interval, "to": text(minute(MINUTES))}

    whole = await bars(http, **query)
    last = await bars(http, **query, limit=2)

    assert len(whole) == -(-MINUTES // minutes)
    assert last == whole[-2:]


async def test_seconds_and_days_are_kept_too(http: httpx.AsyncClient) -> None:
    seconds = await bars(http, interval="1s", to=text(datetime.now(UTC) - timedelta(hours=29)))
    days = await bars(http, **{"interval": "1d", "from": "2020-11-01", "to": "2020-11-03"})

    assert [bar["closeInCents"] for bar in seconds] == list(range(500, 510))
    # A date in UTC cuts where the date in New York does.
    assert [(bar["at"], bar["closeInCents"]) for bar in days] == [
        ("2020-11-01T04:00:00Z", 7_100),
        ("2020-11-02T05:00:00Z", 7_200),
    ]


async def test_zone_of_a_time_is_respected(http: httpx.AsyncClient) -> None:
    query = {"from": minute(0).strftime("%Y-%m-%dT14:00:00+02:00"), "limit": "1"}

    found = (await http.get(f"/symbol/{SYMBOL}/bars", params=query)).json()

    assert found["items"][0]["at"] == text(NOON)


async def test_symbol_that_never_traded_then_has_no_bars(http: httpx.AsyncClient) -> None:
    response = await http.get(
        "/symbol/IBM/bars", params={"from": text(NOON), "to": text(minute(9))}
    )

    assert response.json() == {"items": [], "nextCursor": None}


async def test_trades_of_now_are_in_bars_of_every_length(http: httpx.AsyncClient) -> None:
    async def page(interval: str, begin: str) -> list[dict[str, Any]]:
        query: dict[str, str | int] = {"interval": interval, "from": begin, "limit": 5_000}
        answer = await http.get("/symbol/SPY/bars", params=query)
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def attempt() -> None:
        day = (await http.get("/symbol/SPY/bars", params={"interval": "1d"})).json()["items"][-1:]
        assert day
        async with asyncio.TaskGroup() as tasks:
            pages = [tasks.create_task(page(interval, day[0]["at"])) for interval in INTERVALS]
        for page_of_interval in pages:
            items = page_of_interval.result()
            assert items
            assert items[0]["openInCents"] == day[0]["openInCents"]
            assert items[-1]["closeInCents"] == day[0]["closeInCents"]
            assert sum(bar["volume"] for bar in items) == day[0]["volume"]
            assert sum(bar["trades"] for bar in items) == day[0]["trades"]

    # Until all were read between two writes of the feed; at once, so that they are.
    await eventually(attempt, "bars of every length agree", timeout_seconds=120)


LONG_AGO = {"from": "2020-01-01", "to": "2020-01-02"}


@pytest.mark.parametrize(
    ("path", "query", "code", "where"),
    [
        ("/symbol/NOSUCH/bars", {}, "symbol-not-found", None),
        ("/symbol/orcl/bars", {}, "symbol-not-found", None),
        ("/symbol/%3E/bars", {}, "symbol-not-found", None),
        ("/symbol/ORCL%00/bars", {}, "symbol-not-found", None),
        ("/symbol/ORCL/bars", {"interval": "2m"}, "invalid-request", "interval"),
        ("/symbol/ORCL/bars", {"interval": "1M"}, "invalid-request", "interval"),
        ("/symbol/ORCL/bars", {"interval": ""}, "invalid-request", "interval"),
        ("/symbol/ORCL/bars", {"limit": "0"}, "invalid-request", "limit"),
        ("/symbol/ORCL/bars", {"limit": "5001"}, "invalid-request", "limit"),
        ("/symbol/ORCL/bars", {"limit": "many"}, "invalid-request", "limit"),
        ("/symbol/ORCL/bars", {"from": "yesterday"}, "invalid-request", "from"),
        ("/symbol/ORCL/bars", {"from": "1767225600"}, "invalid-request", "from"),
        ("/symbol/ORCL/bars", {"from": "2026-02-30"}, "invalid-request", "from"),
        ("/symbol/ORCL/bars", {"to": "2026-03-02T14:30:00"}, "invalid-request", "to"),
        ("/symbol/ORCL/bars", {"to": "2026-03-02T14:30:00 02:00"}, "invalid-request", "to"),
        ("/symbol/ORCL/bars", {"to": "0001-01-01T00:00:00+01:00"}, "invalid-request", "to"),
        ("/symbol/ORCL/bars", {"cursor": "x"}, "invalid-request", "cursor"),
        ("/symbol/ORCL/bars", {"cursor": "y" * 201}, "invalid-request", "cursor"),
        ("/symbol/ORCL/bars", {"from": text(NOON), "to": text(NOON)}, "invalid-range", None),
        ("/symbol/ORCL/bars", {"from": text(minute(1)), "to": text(NOON)}, "invalid-range", None),
        ("/symbol/ORCL/bars", {"from": "2020-01-01"}, "range-not-kept", None),
        ("/symbol/ORCL/bars", {"to": "2020-01-01"}, "range-not-kept", None),
        ("/symbol/ORCL/bars", {"interval": "1h", **LONG_AGO}, "range-not-kept", None),
        ("/symbol/ORCL/bars", {"interval": "1s", "from": text(NOON)}, "range-not-kept", None),
    ],
)
async def test_bad_question_has_its_code(
    http: httpx.AsyncClient, path: str, query: dict[str, str], code: str, where: str | None
) -> None:
    refused = await http.get(path, params=query)

    body = refused.json()
    assert (body["code"], refused.status_code) == (code, PROBLEMS[code].status), body
    assert refused.headers["content-type"] == "application/problem+json"
    assert body["retryable"] is False
    if where is not None:
        assert [(error["in"], error["where"]) for error in body["errors"]] == [("query", where)]


async def test_refusal_says_from_when_bars_are_kept(http: httpx.AsyncClient) -> None:
    async def first_kept() -> httpx.Response:
        refused = await http.get(f"/symbol/{SYMBOL}/bars", params={"from": "2020-01-01"})
        query = {"from": refused.json()["keptFrom"], "limit": "1"}
        return await http.get(f"/symbol/{SYMBOL}/bars", params=query)

    answered = await first_kept()
    if answered.status_code == 422:
        # It moves once an hour: only now, then.
        answered = await first_kept()

    assert answered.json()["items"][0]["at"] == text(NOON)


async def test_cursor_of_another_interval_is_refused(http: httpx.AsyncClient) -> None:
    query = {"from": text(NOON), "limit": "1"}
    page = (await http.get(f"/symbol/{SYMBOL}/bars", params=query)).json()

    refused = await http.get(
        f"/symbol/{SYMBOL}/bars", params={"interval": "5m", "cursor": page["nextCursor"]}
    )

    assert refused.json()["code"] == "invalid-request"


@pytest.mark.parametrize("interval", INTERVALS)
async def test_any_length_of_range_is_answered(http: httpx.AsyncClient, interval: str) -> None:
    answered = await http.get(
        f"/symbol/{SYMBOL}/bars", params={"interval": interval, "to": "9999-12-31T23:59:59Z"}
    )

    assert answered.status_code == 200
