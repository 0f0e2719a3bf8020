import io

from rich.console import Console

from devstack.screen import PlainScreen, links, process_table


def shown(width: int = 120) -> Console:
    return Console(file=io.StringIO(), width=width, color_system=None)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_tells_state_restarts_pid_and_address() -> None:
    console = shown()
    row = {
        "name": "gateway",
        "state": "restarting",
        "restarts": 3,
        "pid": 4711,
        "address": "http://127.0.0.1:8301",
        "detail": "killed by SIGKILL; again in 0.8 s",
    }

    console.print(process_table([row]))

    words = text_of(console).split("\n")[1].split()
    assert words[:5] == ["gateway", "restarting", "3", "4711", "http://127.0.0.1:8301"]
    assert "again in 0.8 s" in text_of(console)


def test_square_brackets_in_a_detail_are_shown_as_they_are() -> None:
    console = shown()
    row = {"name": "api", "state": "failed", "restarts": 0, "pid": None, "address": ""}

    console.print(process_table([{**row, "detail": "[Errno 28] no space left"}]))

    assert "[Errno 28] no space left" in text_of(console)


def test_links_lead_to_the_page_the_api_documentation_and_temporal() -> None:
    text = links({"api": 8000, "temporal-ui": 8233}).plain

    assert "http://127.0.0.1:8000/\n" in text
    assert "http://127.0.0.1:8000/docs" in text
    assert "http://127.0.0.1:8233" in text


def test_plain_output_thins_out_progress_per_process_but_never_events() -> None:
    console = shown()
    now = 1_000.0
    screen = PlainScreen(console, clock=lambda: now)

    for second in range(7):
        now = 1_000.0 + second
        screen.progress("temporal", f"building, {second} s")
    screen.progress("postgres", "making the database")
    screen.event("nats: ready")
    screen.event("nats: restarting")

    said = [line.partition(" s  ")[2] for line in text_of(console).splitlines()]
    assert said == [
        "temporal: building, 0 s",
        "temporal: building, 5 s",
        "postgres: making the database",
        "nats: ready",
        "nats: restarting",
    ]
