import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from client.auth import DevelopmentUser, TokenCache
from client.errors import NotFound
from client.models import Token
from client.sherwood import Sherwood
from tests.unit.client.fake_sherwood import FakeSherwood, problem

URL = "http://sherwood.test"
PORTFOLIO = {"userId": "alice", "cashInCents": 1, "heldCashInCents": 0, "buyingPowerInCents": 1}


def in_hours(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def token_answer(token: str, hours: float = 12) -> httpx.Response:
    return httpx.Response(200, json={"token": token, "expiresAt": in_hours(hours).isoformat()})


def portfolio_answer() -> httpx.Response:
    return httpx.Response(200, json=PORTFOLIO)


async def ask_twice(server: FakeSherwood, folder: Path) -> None:
    """Ask for the portfolio in two runs of their own."""
    for _ in range(2):
        auth = DevelopmentUser(URL, "alice", TokenCache(folder))
        async with Sherwood(URL, auth=auth, http_transport=server) as sherwood:
            await sherwood.portfolio()


async def test_token_is_fetched_once_and_kept_for_the_next_run(
    server: FakeSherwood, tmp_path: Path
) -> None:
    server.answer("POST", "/dev/token", token_answer("one"))
    server.answer("GET", "/portfolio", portfolio_answer(), portfolio_answer())

    await ask_twice(server, tmp_path / "cache" / "sherwood")

    assert server.sent("Authorization") == [None, "Bearer one", "Bearer one"]


async def test_kept_token_is_for_its_owner_only(tmp_path: Path) -> None:
    TokenCache(tmp_path / "sherwood").write(URL, "alice", Token(token="t", expires_at=in_hours(1)))

    (kept,) = (tmp_path / "sherwood").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


async def test_token_about_to_end_is_fetched_anew(server: FakeSherwood, tmp_path: Path) -> None:
    server.answer("POST", "/dev/token", token_answer("one", hours=0.01), token_answer("two"))
    server.answer("GET", "/portfolio", portfolio_answer(), portfolio_answer())

    await ask_twice(server, tmp_path)

    assert server.sent("Authorization") == [None, "Bearer one", None, "Bearer two"]


@pytest.mark.parametrize("refusal", [(401, "token-invalid"), (403, "no-account")])
async def test_kept_token_of_an_earlier_server_is_replaced_and_the_request_sent_again(
    server: FakeSherwood, tmp_path: Path, refusal: tuple[int, str]
) -> None:
    TokenCache(tmp_path).write(URL, "alice", Token(token="old", expires_at=in_hours(1)))
    server.answer("POST", "/dev/token", token_answer("new"))
    server.answer(
        "GET",
        "/portfolio",
        problem(*refusal),
        portfolio_answer(),
        portfolio_answer(),
    )

    await ask_twice(server, tmp_path)

    assert server.sent("Authorization") == ["Bearer old", None, "Bearer new", "Bearer new"]


async def test_server_without_development_tokens_says_so(
    server: FakeSherwood, tmp_path: Path
) -> None:
    server.answer("POST", "/dev/token", problem(404, "not-in-production"))

    with pytest.raises(NotFound, match="not-in-production"):
        await ask_twice(server, tmp_path)


def test_tokens_of_users_and_servers_are_kept_apart(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path)

    cache.write(URL, "alice", Token(token="a", expires_at=in_hours(1)))
    cache.write(URL, "bob", Token(token="b", expires_at=in_hours(1)))
    cache.write("http://other.test", "alice", Token(token="o", expires_at=in_hours(1)))

    assert [cache.read(URL, "alice"), cache.read(URL, "bob")] == ["a", "b"]
    assert cache.read("http://other.test", "alice") == "o"


def test_cache_that_cannot_be_written_or_read_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    cache = TokenCache(blocked)

    cache.write(URL, "alice", Token(token="a", expires_at=in_hours(1)))
    cache.forget(URL, "alice")

    assert cache.read(URL, "alice") is None


async def test_token_of_another_scope_is_another_token(
    server: FakeSherwood, tmp_path: Path
) -> None:
    server.answer("POST", "/dev/token", token_answer("plain"), token_answer("operator"))
    server.answer("GET", "/portfolio", portfolio_answer(), portfolio_answer())

    for scope in (None, "operator"):
        auth = DevelopmentUser(URL, "alice", TokenCache(tmp_path), scope=scope)
        async with Sherwood(URL, auth=auth, http_transport=server) as sherwood:
            await sherwood.portfolio()

    assert server.sent("Authorization") == [None, "Bearer plain", None, "Bearer operator"]
    assert json.loads(server.requests[2].content) == {"user": "alice", "scope": "operator"}
