"""Bad input: each kind has its own code, and leaves nothing behind."""

import json
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from brokerage.contracts.problems import PROBLEMS
from devstack.stack import DevStack
from tests.support.accounts import PatientTransport, account
from tests.support.eventually import eventually

GOOD: dict[str, Any] = {"position": "buy", "symbol": "SPY", "priceInCents": 100, "numShares": 1}


@dataclass(frozen=True)
class Bad:
    """A good placement with something wrong; a header of None is left out."""

    code: str
    body: dict[str, Any] | str | bytes | None = None
    headers: dict[str, str | None] = field(default_factory=dict)


def but(**changes: object) -> dict[str, Any]:
    return {**GOOD, **changes}


BAD = {
    "unknown symbol": Bad("unknown-symbol", but(symbol="NOSUCH")),
    "symbol in lower case": Bad("unknown-symbol", but(symbol="spy")),
    "symbol with a wildcard": Bad("unknown-symbol", but(symbol=">")),
    "symbol with a zero byte": Bad("unknown-symbol", but(symbol="SPY\x00")),
    "symbol is a number": Bad("invalid-request", but(symbol=1)),
    "zero shares": Bad("invalid-shares", but(numShares=0)),
    "negative shares": Bad("invalid-shares", but(numShares=-5)),
    "half a share": Bad("invalid-shares", but(numShares=10.5)),
    "whole shares as a fraction": Bad("invalid-shares", '{"position":"buy","symbol":"SPY",'
                                      '"priceInCents":100,"numShares":10.0}'),
    "shares as text": Bad("invalid-shares", but(numShares="10")),
    "shares are true": Bad("invalid-shares", but(numShares=True)),
    "more shares than exist": Bad("invalid-shares", but(numShares=2**63)),
    "price off the cent": Bad("invalid-price", but(priceInCents=100.5)),
    "free of charge": Bad("invalid-price", but(priceInCents=0)),
    "negative price": Bad("invalid-price", but(priceInCents=-1)),
    "price beyond measure": Bad("invalid-price", but(priceInCents=10**30)),
    "unknown field": Bad("unknown-field", but(userId="mallory")),
    "no shares named": Bad("invalid-request", {"position": "buy", "symbol": "SPY"}),
    "neither buy nor sell": Bad("invalid-request", but(position="hold")),
    "unknown time in force": Bad("invalid-time-in-force", but(timeInForce="fok")),
    "market order until cancelled": Bad(
        "invalid-time-in-force",
        {"position": "buy", "symbol": "SPY", "numShares": 1, "timeInForce": "gtc"},
    ),
    "a list": Bad("invalid-request", "[]"),
    "no JSON": Bad("malformed-json", "{"),
    "nothing": Bad("malformed-json", ""),
    "no UTF-8": Bad("malformed-json", b'{"symbol":"\xff"}'),
    "deep nesting": Bad("malformed-json", "[" * 8000),
    "a form": Bad("unsupported-media-type", None, {"content-type": "text/plain"}),
    "a large body": Bad("body-too-large", but(symbol="S" * 9000)),
    "no key": Bad("idempotency-key-missing", None, {"idempotency-key": None}),
    "malformed key": Bad("idempotency-key-malformed", None, {"idempotency-key": "order-1"}),
    "no token": Bad("token-missing", None, {"authorization": None}),
    "garbled token": Bad("token-invalid", None, {"authorization": "Bearer abc"}),
}  # fmt: skip


async def post(http: httpx.AsyncClient, bad: Bad, key: str) -> httpx.Response:
    """The definite answer to a placement: what a busy node left open is asked again."""
    return (await posted(http, bad, key))[-1]


async def posted(http: httpx.AsyncClient, bad: Bad, key: str) -> list[httpx.Response]:
    """Every answer to a placement until the definite one."""
    answers: list[httpx.Response] = []

    async def is_definite() -> bool:
        answers.append(await post_once(http, bad, key))
        return answers[-1].status_code not in (202, 503)

    await eventually(is_definite, "the placement has an answer", 60.0)
    return answers


async def post_once(http: httpx.AsyncClient, bad: Bad, key: str) -> httpx.Response:
    headers: dict[str, str | None] = {
        "content-type": "application/json",
        "idempotency-key": key,
        "authorization": http.headers["authorization"],
    }
    headers.update(bad.headers)
    body = GOOD if bad.body is None else bad.body
    if isinstance(body, dict):
        body = json.dumps(body)
    request = http.build_request("POST", "/order", content=body)
    for name, value in headers.items():
        request.headers.pop(name, None)
        if value is not None:
            request.headers[name] = value
    return await http.send(request)


def assert_problem(response: httpx.Response, code: str) -> None:
    body = response.json()
    assert (body["code"], response.status_code) == (code, PROBLEMS[code].status), body
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == response.status_code
    assert body["retryable"] is False


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_has_its_code_and_stores_nothing(stack: DevStack, name: str) -> None:
    key = str(uuid4())
    async with account(stack.api_url, patient=True) as alice:
        refused = await post(alice.http, BAD[name], key)

        assert_problem(refused, BAD[name].code)
        listed = (await alice.http.get("/orders")).json()
        assert listed == {"items": [], "nextCursor": None, "asOfSeq": 0}
        # The key is as good as new: nothing was remembered against it.
        answers = await posted(alice.http, Bad("", but(numShares=2)), key)
        assert "idempotent-replayed" not in answers[0].headers
        accepted = answers[-1]
        assert (accepted.status_code, accepted.json()["numShares"]) == (201, 2)


NOT_WHOLE = ("522.10000001", "52210.0", "1e3", "-0.0", "NaN", '"10"', "true", "9" * 40, "[1]")
ROUTES_WITH_NUMBERS = {
    "numShares of an order": ("POST", "/order", "numShares", "invalid-shares"),
    "priceInCents of an order": ("POST", "/order", "priceInCents", "invalid-price"),
    "numShares of a preview": ("POST", "/order/preview", "numShares", "invalid-shares"),
    "priceInCents of a preview": ("POST", "/order/preview", "priceInCents", "invalid-price"),
}


@pytest.mark.parametrize("name", ROUTES_WITH_NUMBERS)
async def test_no_number_is_rounded(stack: DevStack, name: str) -> None:
    method, path, field, code = ROUTES_WITH_NUMBERS[name]
    async with account(stack.api_url, patient=True) as alice:
        headers = {"content-type": "application/json", "idempotency-key": str(uuid4())}
        for text in NOT_WHOLE:
            body = json.dumps(but(**{field: "HERE"})).replace('"HERE"', text)
            refused = await alice.http.request(method, path, content=body, headers=headers)

            assert_problem(refused, code)
            assert [error["where"] for error in refused.json()["errors"]] == [f"#/{field}"]
        assert (await alice.http.get("/orders")).json()["asOfSeq"] == 0


async def test_no_limit_is_rounded(stack: DevStack) -> None:
    async with account(stack.api_url, scope="operator", patient=True) as operator:
        before = (await operator.http.get("/ops/limits")).json()
        for text in NOT_WHOLE:
            refused = await operator.http.put(
                "/ops/limits/order-shares",
                content=f'{{"reason": "a test", "value": {text}}}',
                headers={"content-type": "application/json"},
            )

            whole_but_too_much = text.isdigit()
            assert_problem(
                refused, "limit-out-of-bounds" if whole_but_too_much else "invalid-request"
            )
        assert (await operator.http.get("/ops/limits")).json() == before


async def test_two_keys_are_malformed(stack: DevStack) -> None:
    async with account(stack.api_url, patient=True) as alice:
        request = alice.http.build_request("POST", "/order", json=GOOD)
        request.headers = httpx.Headers(
            [
                *request.headers.multi_items(),
                ("idempotency-key", str(uuid4())),
                ("idempotency-key", str(uuid4())),
            ]
        )

        assert_problem(await alice.http.send(request), "idempotency-key-malformed")


async def test_tokens_of_others_are_not_taken(stack: DevStack) -> None:
    now = int(time.time())
    claims = {"sub": "alice", "iss": "sherwood", "aud": "sherwood", "iat": now, "exp": now + 60}
    foreign = jwt.encode(claims, "a secret that is not this service's", algorithm="HS256")

    async with account(stack.api_url, patient=True) as alice:
        for route in ("/orders", "/portfolio", "/symbols", f"/order/{uuid4()}"):
            refused = await alice.http.get(route, headers={"authorization": f"Bearer {foreign}"})
            assert_problem(refused, "token-invalid")


async def test_expired_token_is_told_so(stack: DevStack) -> None:
    secret = (stack.settings.home / "token-secret").read_text().strip()
    then = int(time.time()) - 3600
    claims = {"sub": "alice", "iss": "sherwood", "aud": "sherwood", "iat": then, "exp": then + 60}
    expired = jwt.encode(claims, secret, algorithm="HS256")

    async with account(stack.api_url, patient=True) as alice:
        refused = await alice.http.get("/orders", headers={"authorization": f"Bearer {expired}"})

    assert_problem(refused, "token-expired")


async def test_too_little_cash_is_a_refusal_that_is_kept(stack: DevStack) -> None:
    key = str(uuid4())
    wanted = Bad("", but(priceInCents=15_000, numShares=1_000))
    async with account(stack.api_url, patient=True) as alice:
        first = await post(alice.http, wanted, key)
        again = await post(alice.http, wanted, key)
        listed = (await alice.http.get("/orders")).json()["items"]
        portfolio = (await alice.http.get("/portfolio")).json()

    assert_problem(first, "insufficient-buying-power")
    body = first.json()
    assert (body["required"], body["available"]) == (15_000_000, 10_000_000)
    assert body["order"]["status"] == "rejected"
    assert again.content == first.content
    assert again.status_code == 422
    assert again.headers["idempotent-replayed"] == "true"
    assert [order["status"] for order in listed] == ["rejected"]
    assert portfolio["heldCashInCents"] == 0


async def test_too_few_shares_is_a_refusal_that_is_kept(stack: DevStack) -> None:
    async with account(stack.api_url, patient=True) as alice:
        refused = await post(
            alice.http,
            Bad("", but(position="sell", priceInCents=20_000, numShares=101)),
            str(uuid4()),
        )

    assert_problem(refused, "insufficient-shares")
    assert (refused.json()["required"], refused.json()["available"]) == (101, 100)


async def test_key_with_another_body_is_reused(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url, patient=True) as alice:
        await post(alice.http, Bad("", GOOD), key)
        for change in (
            {"numShares": 2},
            {"priceInCents": 101},
            {"symbol": "IBM"},
            {"timeInForce": "gtc"},
        ):
            refused = await post(alice.http, Bad("", but(**change)), key)
            assert_problem(refused, "idempotency-key-reused")
        assert len((await alice.http.get("/orders")).json()["items"]) == 1


async def test_token_without_an_account_places_nothing(stack: DevStack) -> None:
    secret = (stack.settings.home / "token-secret").read_text().strip()
    now = int(time.time())
    claims = {
        "sub": f"nobody-{uuid4().hex[:8]}",
        "iss": "sherwood",
        "aud": "sherwood",
        "iat": now,
        "exp": now + 60,
    }
    token = jwt.encode(claims, secret, algorithm="HS256")
    async with httpx.AsyncClient(
        base_url=stack.api_url,
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30.0,
        transport=PatientTransport(),
    ) as http:
        placed = await post(http, Bad("", GOOD), str(uuid4()))
        portfolio = await http.get("/portfolio")

    assert_problem(placed, "no-account")
    assert_problem(portfolio, "no-account")
