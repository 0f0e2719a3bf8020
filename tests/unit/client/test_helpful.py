"""What the command says beside an error, and what the shell completes."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from client.command.cli import app
from client.command.session import Wiring
from tests.unit.client.fake_sherwood import ORDER, ORDER_ID, TICK, FakeSherwood, Run, problem

SYMBOLS = {
    "items": [
        TICK | {"symbol": symbol, "name": name}
        for symbol, name in (("META", "Meta Platforms"), ("AAPL", "Apple"), ("AIG", "AIG"))
    ],
    "nextCursor": None,
}


def directory() -> httpx.Response:
    return httpx.Response(200, json=SYMBOLS)


@pytest.mark.parametrize(("typed", "meant"), [("MTEA", "META"), ("APPLE", "AAPL")])
def test_unknown_symbol_is_answered_with_the_nearest_names(
    server: FakeSherwood, run: Run, typed: str, meant: str
) -> None:
    for _ in range(2):
        server.answer("POST", "/order", problem(422, "unknown-symbol", symbols=[typed]))
        server.answer("GET", "/symbols", directory())

    told = run("buy", typed, "1")
    as_json = run("buy", typed, "1", "--json")

    assert told.exit_code == 3
    assert f"did you mean {meant}?" in told.stderr
    assert json.loads(as_json.stderr)["error"]["nearest"] == [meant]


def test_advice_that_cannot_be_had_leaves_the_refusal_as_it_is(
    server: FakeSherwood, run: Run
) -> None:
    server.answer("GET", "/symbol/NOPE", problem(404, "symbol-not-found", symbols=["NOPE"]))
    server.answer("GET", "/symbols", problem(403, "no-account"))

    result = run("symbols", "NOPE")

    assert result.exit_code == 4
    assert "symbol-not-found" in result.stderr
    assert "did you mean" not in result.stderr


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (
            problem(401, "token-expired", advice="Get a new one."),
            "export SHERWOOD_TOKEN=$(sherwood token USER)",
        ),
        (problem(401, "token-invalid"), "a new token: `sherwood token USER`"),
        (problem(403, "operator-only", advice="Use another."), "`sherwood token USER --operator`"),
        (problem(409, "in-the-way", advice="Wait for it."), "Wait for it."),
        (httpx.ConnectError("refused"), "`make up` starts one here"),
    ],
)
def test_error_says_what_to_do_next(
    server: FakeSherwood, run: Run, answer: Any, advice: str
) -> None:
    server.answer("GET", "/portfolio", *[answer] * 5)

    assert advice in run("portfolio").stderr


@pytest.mark.parametrize(
    ("words", "meant"), [(("ordrs",), "orders"), (("ops", "time-line"), "timeline")]
)
def test_misspelt_command_is_answered_with_the_one_that_is_meant(
    run: Run, words: tuple[str, ...], meant: str
) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
    assert f"'{meant}'" in result.stderr


def completed(server: FakeSherwood, words: str, tmp_path: Any) -> list[str]:
    """What bash is told to complete after `words`."""
    environment = {
        "_SHERWOOD_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "SHERWOOD_TOKEN": "t0ken",
        "SHERWOOD_API_URL": "http://sherwood.test",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    result = CliRunner().invoke(
        app, [], env=environment, obj=Wiring(http_transport=server), prog_name="sherwood"
    )
    return result.stdout.split()


def test_shell_completes_symbols_and_open_orders(server: FakeSherwood, tmp_path: Any) -> None:
    server.answer("GET", "/symbols", directory(), directory())
    server.answer("GET", "/orders", httpx.Response(200, json={"items": [ORDER]}))

    assert completed(server, "sherwood buy a", tmp_path) == ["aapl", "aig"]
    assert completed(server, "sherwood watch META M", tmp_path) == ["META"]
    assert completed(server, "sherwood cancel ", tmp_path) == [ORDER_ID]


def test_shell_completes_nothing_where_the_server_is_away(
    server: FakeSherwood, tmp_path: Any
) -> None:
    server.answer("GET", "/symbols", httpx.ConnectError("refused"))

    assert completed(server, "sherwood buy m", tmp_path) == []
