"""Loops measure what they say, and the least HTTP reads what the API sends."""

import asyncio
from types import SimpleNamespace

import pytest

from bench.loops import Samples, closed_loop, open_loop
from bench.rawhttp import BadAnswer, _content_length


def test_percentiles_are_by_nearest_rank() -> None:
    samples = Samples(10.0, [float(number) for number in range(100, 0, -1)], {"201": 100})

    assert samples.percentile_ms(50) == 50
    assert samples.percentile_ms(99) == 99
    assert samples.percentile_ms(100) == 100
    assert samples.rate == 10


def test_no_samples_have_percentiles_of_zero() -> None:
    assert Samples(0.0, [], {}).percentile_ms(99) == 0


async def test_open_loop_does_not_wait_for_answers() -> None:
    answered = asyncio.Event()
    asked: list[int] = []

    async def ask(number: int) -> str:
        asked.append(number)
        if len(asked) == 10:
            answered.set()
        await answered.wait()
        return "201"

    samples = await open_loop(ask, rate=1_000, seconds=0.01)

    assert sorted(asked) == list(range(10))
    assert samples.endings == {"201": 10}


async def test_closed_loop_has_as_many_requests_under_way_as_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    under_way = most = 0
    monkeypatch.setattr("bench.loops.time", SimpleNamespace(perf_counter=lambda: now))

    async def ask(number: int) -> str:
        nonlocal now, under_way, most
        now += 0.1
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return "201" if number else "503"

    samples = await closed_loop(ask, clients=3, seconds=1.0)

    assert most == 3
    assert samples.endings["503"] == 1
    assert sum(samples.endings.values()) == len(samples.latencies_ms) >= 10


def test_content_length_is_read_whatever_its_case() -> None:
    assert _content_length(b"HTTP/1.1 201 x\r\nContent-Length: 312\r\nlocation: /\r\n\r\n") == 312


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(BadAnswer):
        _content_length(b"HTTP/1.1 201 x\r\ntransfer-encoding: chunked\r\n\r\n")
