import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming import flusher
from streaming.flusher import Flusher
from tests.support.eventually import eventually
from tests.support.screens import Room, Screen, room

SYMBOLS = ("AAPL", "META", "SPY")


async def test_viewer_has_the_snapshot_first_and_then_only_what_changed() -> None:
    async with room("AAPL", "META") as here:
        here.tick("AAPL")
        _, screen = here.view("AAPL", "META")
        v = here.tick("META")

        await eventually(lambda: screen.versions("META") == [v], "the change is shown")

    assert [[tick["symbol"] for tick in ticks] for _, ticks in screen.events] == [
        ["AAPL", "META"],
        ["META"],
    ]


async def test_newcomer_is_not_told_again_what_its_snapshot_had() -> None:
    async with room("AAPL") as here:
        _, first = here.view("AAPL")
        v = here.tick("AAPL")  # waits for the next pass
        _, second = here.view("AAPL")
        newest = here.tick("AAPL")

        await eventually(lambda: first.versions("AAPL")[-1:] == [newest], "the first is told")

    assert second.versions("AAPL") == [v, newest]


async def test_viewers_of_one_list_get_the_same_bytes() -> None:
    async with room("AAPL", "META") as here:
        (_, one), (_, two) = here.view("AAPL", "META"), here.view("META", "AAPL")
        v = here.tick("AAPL")
        await eventually(lambda: v in two.versions("AAPL"), "both are told")

    assert one.bodies[-1] is two.bodies[-1]


async def test_client_that_does_not_read_misses_all_but_the_newest() -> None:
    async with room("AAPL", "META") as here:
        (_, slow), (_, quick) = here.view("AAPL", "META"), here.view("AAPL")
        slow.shut()
        stuck = here.tick("AAPL")
        await eventually(lambda: stuck in quick.versions("AAPL"), "a write waits")
        ticks = [stuck]
        for _ in range(50):
            ticks.append(here.tick("AAPL"))
            await eventually(lambda: quick.versions("AAPL") == ticks, "others are told")
        meta = here.tick("META")

        slow.read()
        await eventually(lambda: meta in slow.versions("META"), "it is told what it missed")

    assert slow.versions("AAPL") == [stuck, ticks[-1]]
    assert quick.versions("AAPL") == ticks


async def test_everybody_is_told_that_prices_are_stale_and_live_again() -> None:
    async with room("AAPL") as here:
        (_, reads), (_, slow) = here.view("AAPL"), here.view("AAPL")
        slow.shut()
        here.tick("AAPL")
        here.flusher.tell_live(False)
        await eventually(lambda: reads.kinds()[-1] == "stale", "it is told")
        _, late = here.view("AAPL")
        here.flusher.tell_live(True)
        await eventually(lambda: reads.kinds()[-1] == "live", "it is told again")

        slow.read()
        await eventually(lambda: "live" in late.kinds(), "the newcomer is told too")

    assert late.kinds() == ["prices", "stale", "live"]
    assert "stale" not in slow.kinds(), "it was over before it read"


async def test_quiet_stream_beats_and_a_long_one_ends() -> None:
    async with room("AAPL", heartbeat_seconds=0.0) as here:
        (_, quiet), (_, old) = here.view("AAPL"), here.view("AAPL", ends_at=0.0)
        await eventually(lambda: quiet.comments >= 1 and old.ended, "a beat and an end")

    assert not quiet.ended


async def test_client_that_reads_nothing_for_long_is_cut_off() -> None:
    async with room("AAPL", stalled_seconds_max=0.0) as here:
        viewer, screen = here.view("AAPL")
        viewer.task = asyncio.current_task()
        screen.shut()
        here.tick("AAPL")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert viewer.ended
            viewer.task.uncancel()  # type: ignore[union-attr]
        else:
            raise AssertionError("unreachable")


async def test_stream_that_breaks_does_not_end_the_others() -> None:
    async def broken(message: object) -> None:
        raise RuntimeError("the response is complete")

    async with room("AAPL") as here:
        (viewer, _), (_, other) = here.view("AAPL"), here.view("AAPL")
        viewer.send = broken
        v = here.tick("AAPL")
        await eventually(lambda: v in other.versions("AAPL"), "the other is told")

    assert viewer.ended


async def test_tick_that_cannot_be_measured_is_shown_and_so_are_those_after_it() -> None:
    async with room("AAPL") as here:
        _, screen = here.view("AAPL")
        ticks = [here.tick("AAPL", at="some time")]
        await eventually(lambda: screen.versions("AAPL") == ticks, "it is shown")

        ticks.append(here.tick("AAPL"))
        await eventually(lambda: screen.versions("AAPL") == ticks, "the next is shown too")


async def test_long_pass_lets_the_loop_turn_and_shows_the_newest_to_whom_it_comes_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On no machine are three thousand writes as quick as that.
    monkeypatch.setattr(flusher, "BATCH_SECONDS", 0.0005)
    async with room("AAPL", "META") as here:
        screens = [here.view("AAPL")[1] for _ in range(3_000)]
        turns: list[int] = []

        async def tick_on() -> None:
            # Each turn of the loop brings a newer price while the pass is still on its way.
            while not all(screen.versions("AAPL") for screen in screens):
                turns.append(here.tick("AAPL"))
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tick_on())
        await eventually(
            lambda: all(screen.versions("AAPL")[-1] == turns[-1] for screen in screens),
            "everybody has the newest",
        )

    assert all(rising(screen.versions("AAPL")) for screen in screens)
    assert len({screen.versions("AAPL")[0] for screen in screens}) > 1, "the loop turned meanwhile"


def rising(versions: Sequence[int]) -> bool:
    return all(before < after for before, after in pairwise(versions))


Step = tuple[str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["tick", "view", "shut", "read", "turn", "stale", "live"]),
        st.integers(min_value=0, max_value=9),
    ),
    max_size=60,
)


@given(steps)
def test_whatever_happens_versions_rise_and_the_newest_is_shown(script: list[Step]) -> None:
    asyncio.run(_play(script))


async def _play(script: list[Step]) -> None:
    async with room(*SYMBOLS) as here:
        screens: list[Screen] = []
        for kind, number in script:
            await _do(here, screens, kind, number)
        for screen in screens:
            screen.read()
        newest = {symbol: here.tick(symbol) for symbol in SYMBOLS}
        watched = [
            (screen, topic.symbol)
            for viewer, screen in zip(here.flusher.viewers.values(), screens, strict=True)
            for topic in viewer.watch_list.topics
        ]
        await eventually(
            lambda: all(s.versions(name)[-1:] == [newest[name]] for s, name in watched),
            "everybody has the newest",
        )
        assert all(rising(screen.versions(symbol)) for screen, symbol in watched)


async def _do(here: Room, screens: list[Screen], kind: str, number: int) -> None:
    writer: Flusher = here.flusher
    match kind:
        case "tick":
            here.tick(SYMBOLS[number % 3])
        case "view":
            names = SYMBOLS[: 1 + number % 3]
            screens.append(here.view(*names)[1])
        case "shut" | "read" if screens:
            screen = screens[number % len(screens)]
            screen.shut() if kind == "shut" else screen.read()
        case "stale" | "live":
            writer.tell_live(kind == "live")
        case "turn":
            await asyncio.sleep(0.001 * number)
