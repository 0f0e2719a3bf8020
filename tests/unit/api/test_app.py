"""The application without any server behind it: problems, limits, health, what is mounted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from pydantic import SecretStr

from api.app import create_app
from api.auth import issue_token
from api.frame import BODY_BYTES_MAX
from api.node import NodeState
from brokerage.bus.connection import BusUnavailable
from brokerage.contracts.problems import PROBLEMS
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import DatabaseUnavailable

SETTINGS = Settings(
    environment="development",
    token_secret=SecretStr("a secret of this test, 32 bytes long or more"),
)
KEY = "0c7a9a6e-3f0b-4c53-8a5e-0a4f6f1f2b11"


@pytest.fixture
def app() -> FastAPI:
    """Never started: no part of it is open."""
    return create_app(SETTINGS)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


def authorized() -> dict[str, str]:
    return {"authorization": f"Bearer {issue_token(SETTINGS, 'alice', None)[0]}"}


def assert_problem(response: Response, code: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert body["code"] == code, body
    assert response.status_code == PROBLEMS[code].status == body["status"]
    assert response.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"/problems/{code}"
    assert {"title", "detail", "retryable", "advice"} <= body.keys()
    assert response.headers["x-request-id"]
    if response.status_code == 503:
        assert response.headers["retry-after"] == "1"
    return body


async def test_unknown_address_and_method_are_problems(client: AsyncClient) -> None:
    assert_problem(await client.get("/nowhere"), "not-found")
    # `/order/preview` is none of the orders that `/order/{order_id}` names.
    for path, allowed in (
        ("/orders", "DELETE, GET"),
        ("/order/preview", "POST"),
        ("/ops/dead-letters/replay", "POST"),
        (f"/order/{KEY}", "DELETE, GET"),
    ):
        refused = await client.put(path)
        assert_problem(refused, "method-not-allowed")
        assert refused.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/order"),
        ("GET", f"/order/{KEY}"),
        ("DELETE", f"/order/{KEY}"),
        ("GET", "/orders"),
        ("GET", "/portfolio"),
        ("GET", "/symbols"),
        ("GET", "/symbol/SPY"),
        ("GET", "/symbol/SPY/bars"),
        ("GET", "/portfolio/history"),
        ("GET", "/subscribe?symbols=SPY"),
        ("POST", "/subscribe"),
        ("POST", "/stream-ticket"),
        ("PATCH", "/subscribe/4f1c09ab72.5e0d3c6b"),
    ],
)
async def test_route_without_a_token_is_refused(
    client: AsyncClient, method: str, path: str
) -> None:
    refused = await client.request(method, path)

    assert_problem(refused, "token-missing")
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "bearer x.y.z", "x"])
async def test_header_without_a_good_token_is_refused(client: AsyncClient, value: str) -> None:
    refused = await client.get("/orders", headers={"authorization": value})

    assert_problem(refused, "token-invalid")
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_two_tokens_are_no_token(client: AsyncClient) -> None:
    good = authorized()["authorization"]

    refused = await client.get(
        "/orders", headers=[("authorization", good), ("authorization", good)]
    )

    assert_problem(refused, "token-invalid")


async def test_part_that_is_not_open_yet_is_unavailable(client: AsyncClient) -> None:
    assert_problem(await client.get("/orders", headers=authorized()), "unavailable")


async def test_malformed_order_id_looks_like_an_unknown_one(client: AsyncClient) -> None:
    for order_id in ("7", "x" * 200, KEY + "0", KEY.replace("-", "")):
        assert_problem(
            await client.get(f"/order/{order_id}", headers=authorized()), "order-not-found"
        )


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=ten",
        "cursor=x",
        "status=lost",
        "symbol=spy",
        "symbol=%00",
        "idempotencyKey=x",
    ],
)
async def test_bad_query_is_invalid_and_named(client: AsyncClient, query: str) -> None:
    body = assert_problem(
        await client.get(f"/orders?{query}", headers=authorized()), "invalid-request"
    )

    assert [(error["in"], error["where"]) for error in body["errors"]] == [
        ("query", query.partition("=")[0])
    ]


async def test_other_media_type_is_refused(client: AsyncClient) -> None:
    refused = await client.post(
        "/order", headers={**authorized(), "idempotency-key": KEY}, data={"position": "buy"}
    )

    assert_problem(refused, "unsupported-media-type")


async def test_body_over_the_limit_is_refused_by_its_length(client: AsyncClient) -> None:
    refused = await client.post("/order", content=b"x" * (BODY_BYTES_MAX + 1))

    assert_problem(refused, "body-too-large")


async def test_body_over_the_limit_is_refused_while_it_arrives(client: AsyncClient) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1024
            yield b"x" * 1024

    refused = await client.post("/order", content=chunks())

    assert_problem(refused, "body-too-large")
    assert sent <= BODY_BYTES_MAX + 1024


async def test_request_id_is_taken_over_only_in_a_harmless_shape(client: AsyncClient) -> None:
    good = await client.get("/livez", headers={"x-request-id": "abc-12345678"})
    bad = await client.get("/livez", headers={"x-request-id": "a b; drop"})

    assert good.headers["x-request-id"] == "abc-12345678"
    assert bad.headers["x-request-id"] != "a b; drop"


def fail_with(app: FastAPI, path: str, error: Exception) -> None:
    async def fail() -> None:
        raise error

    app.add_api_route(path, fail)


async def test_part_that_is_away_is_a_503(app: FastAPI, client: AsyncClient) -> None:
    fail_with(app, "/database", DatabaseUnavailable("x"))
    fail_with(app, "/bus", BusUnavailable("y"))

    for path in ("/database", "/bus"):
        assert_problem(await client.get(path), "unavailable")


async def test_unknown_failure_tells_its_id_and_nothing_else(
    app: FastAPI, client: AsyncClient
) -> None:
    fail_with(app, "/fail", RuntimeError("the password is xyzzy"))

    refused = await client.get("/fail")

    body = assert_problem(refused, "internal")
    assert body["requestId"] == refused.headers["x-request-id"]
    assert "xyzzy" not in refused.text
    assert "Traceback" not in refused.text


async def test_node_is_alive_before_it_is_ready(app: FastAPI, client: AsyncClient) -> None:
    state: NodeState = app.state  # type: ignore[assignment]
    state.ready_at = float("inf")

    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/readyz")).status_code == 503


async def test_stopping_node_is_not_ready(app: FastAPI, client: AsyncClient) -> None:
    state: NodeState = app.state  # type: ignore[assignment]
    state.ready_at = 0.0
    before = (await client.get("/readyz")).status_code

    state.stopping.set()

    assert before == 200
    assert (await client.get("/readyz")).status_code == 503


async def test_node_whose_part_died_is_not_ready_and_ends(
    app: FastAPI, client: AsyncClient
) -> None:
    state: NodeState = app.state  # type: ignore[assignment]
    state.ready_at = 0.0
    ended: list[bool] = []
    state.on_failure = lambda: ended.append(True)
    before = (await client.get("/readyz")).status_code

    state.fail(RuntimeError("a part died"))

    assert before == 200
    assert (await client.get("/readyz")).status_code == 503
    assert ended == [True]


async def test_metrics_name_routes_and_never_ids(client: AsyncClient) -> None:
    await client.get(f"/order/{KEY}")

    metrics = (await client.get("/metrics")).text

    assert 'route="/order/{order_id}"' in metrics
    assert KEY not in metrics


async def test_every_problem_has_a_page(client: AsyncClient) -> None:
    for code, kind in PROBLEMS.items():
        assert (await client.get(f"/problems/{code}")).json()["title"] == kind.title


async def test_production_issues_no_tokens() -> None:
    app = create_app(SETTINGS.model_copy(update={"environment": "production"}))

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        refused = await client.post("/dev/token", json={"user": "alice"})

    assert_problem(refused, "not-found")


async def test_token_request_names_a_user(client: AsyncClient) -> None:
    for body, code in (
        ({"user": "a b"}, "invalid-request"),
        ({"user": ""}, "invalid-request"),
        ({"user": "a" * 65}, "invalid-request"),
        ({"user": "alice\n"}, "invalid-request"),
        ({"user": "alice", "scope": "root"}, "invalid-request"),
        ({"user": "alice", "admin": True}, "unknown-field"),
    ):
        assert_problem(await client.post("/dev/token", json=body), code)


async def test_openapi_lists_the_codes_of_every_route(client: AsyncClient) -> None:
    description = (await client.get("/openapi.json")).json()

    place = description["paths"]["/order"]["post"]
    documented = {
        code
        for response in place["responses"].values()
        for code in response.get("content", {})
        .get("application/problem+json", {})
        .get("examples", {})
    }
    assert {"unknown-symbol", "idempotency-key-reused", "feed-stale"} <= documented
    assert place["requestBody"]["required"]
    assert place["parameters"][0]["name"] == "Idempotency-Key"


async def test_openapi_describes_what_belongs_to_a_stream(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]

    change = paths["/subscribe/{stream_id}"]["patch"]
    assert {"200", "401", "404", "422", "503"} <= change["responses"].keys()
    assert "symbols" in change["requestBody"]["content"]["application/json"]["example"]
    assert {"200", "401", "429", "503"} <= paths["/stream-ticket"]["post"]["responses"].keys()
