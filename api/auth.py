"""Who asks: the user is what a token signed by our issuer says, and nothing else ever is."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final

import jwt
from fastapi import Depends, Request
from jwt.types import Options
from starlette.datastructures import Headers

from api.errors import ProblemError
from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.bus.tickets import TicketInvalid, Tickets
from brokerage.runtime.logs import bind
from brokerage.runtime.settings import Settings

LEEWAY_SECONDS: Final = 10
REQUIRED_CLAIMS: Final = ("exp", "iat", "iss", "aud", "sub")
USER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A user id is part of subjects on the bus: no dot, star, space or line end may be in it."""
OPERATOR_SCOPE: Final = "operator"
TOKENS_REMEMBERED_MAX: Final = 10_000
TOKEN_SECONDS: Final = 12 * 3600
"""How long a token of the development issuer lasts."""


@dataclass(frozen=True, slots=True)
class User:
    """The user a request acts for, and what else the token allows."""

    user_id: str
    scopes: frozenset[str] = frozenset()


class TokenVerifier:
    """Checks tokens against the one algorithm that is configured; raises ValueError without keys.

    One family of keys only: a public key can then never be taken for a shared secret.
    """

    def __init__(self, settings: Settings) -> None:
        self._algorithm = settings.token_algorithm
        self._issuer = settings.token_issuer
        self._audience = settings.token_audience
        self._secret = b""
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        if self._algorithm == "HS256":
            if settings.token_secret is None:
                raise ValueError("HS256 needs SHERWOOD_TOKEN_SECRET")
            self._secret = settings.token_secret.get_secret_value().encode()
        else:
            if settings.token_jwks is None:
                raise ValueError("EdDSA needs SHERWOOD_TOKEN_JWKS")
            self._keys = load_keys(settings.token_jwks)
        self._decoder = jwt.PyJWT(
            options=Options(
                require=list(REQUIRED_CLAIMS), strict_aud=True, enforce_minimum_key_length=True
            )
        )
        # A client shows the same token with every request, and all of them at once when it and its
        # like come back to a node; only a good one is remembered.
        self._checked = lru_cache(TOKENS_REMEMBERED_MAX)(self._check)

    def verify(self, token: str) -> User:
        """The user of a good token; raises `ProblemError` token-expired or token-invalid."""
        user, expires_at = self._checked(token)
        if expires_at + LEEWAY_SECONDS <= time.time():
            raise ProblemError("token-expired", "the token has expired")
        return user

    def _check(self, token: str) -> tuple[User, int]:
        try:
            claims = self._decoder.decode(
                token,
                self._key_for(token),
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
            )
        except jwt.ExpiredSignatureError as error:
            raise ProblemError("token-expired", "the token has expired") from error
        # PyJWT lets some malformed claims through to its own arithmetic (a huge `exp`, a list).
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise ProblemError("token-invalid", "the token is not valid here") from error
        return _user_of(claims), int(claims["exp"])

    def _key_for(self, token: str) -> "bytes | jwt.PyJWK":
        if self._algorithm == "HS256":
            return self._secret
        key_id = jwt.get_unverified_header(token).get("kid")
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        key = self._keys.get(key_id)
        if key is None:
            raise jwt.InvalidKeyError("no such key")
        return key


def load_keys(jwks: str) -> Mapping[str | None, jwt.PyJWK]:
    """The EdDSA keys of a JWK set by their id; the set is JSON text or a file's path.

    Raises ValueError when there is none, or when one of them is private: a verifier needs none.
    """
    text = jwks if jwks.lstrip().startswith("{") else Path(jwks).read_text(encoding="utf-8")
    keys: dict[str | None, jwt.PyJWK] = {}
    for entry in json.loads(text)["keys"]:
        if entry.get("kty") != "OKP":
            continue
        if "d" in entry:
            raise ValueError("SHERWOOD_TOKEN_JWKS holds a private key")
        keys[entry.get("kid")] = jwt.PyJWK(entry, algorithm="EdDSA")
    if not keys:
        raise ValueError("SHERWOOD_TOKEN_JWKS holds no EdDSA key")
    return keys


def _user_of(claims: Mapping[str, Any]) -> User:
    scope = claims.get("scope", "")
    if not USER_ID.fullmatch(claims["sub"]) or not isinstance(scope, str):
        raise ProblemError("token-invalid", "the token names no user of ours")
    return User(claims["sub"], frozenset(scope.split()))


def issue_token(
    settings: Settings, user_id: str, scope: str | None, now: float | None = None
) -> tuple[str, int]:
    """A token of the development issuer and when it ends (seconds since 1970).

    Raises `ProblemError` not-found where this service holds no key to sign with.
    """
    issued_at = int(time.time() if now is None else now)
    claims: dict[str, object] = {
        "sub": user_id,
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "iat": issued_at,
        "exp": issued_at + TOKEN_SECONDS,
    }
    if scope is not None:
        claims["scope"] = scope
    key = settings.token_secret
    if settings.token_algorithm == "EdDSA":
        key = settings.token_private_key
    if key is None:
        raise ProblemError("not-found", "this service issues no tokens")
    token = jwt.encode(claims, key.get_secret_value(), algorithm=settings.token_algorithm)
    return token, issued_at + TOKEN_SECONDS


def user_of(headers: Headers, verifier: TokenVerifier) -> User:
    """The user of a request's bearer token; raises `ProblemError` token-missing, -invalid,
    -expired.
    """
    values = headers.getlist("authorization")
    if not values:
        raise ProblemError("token-missing", "the request has no Authorization header")
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise ProblemError("token-invalid", "one `Authorization: Bearer <token>` is expected")
    return verifier.verify(token)


async def redeem(bus: Bus, ticket: str) -> User:
    """The user of a ticket that was not used before; it carries no scope.

    Raises `ProblemError` ticket-invalid, or unavailable without NATS.
    """
    try:
        return User(await Tickets(bus).redeem(ticket))
    except TicketInvalid as error:
        raise ProblemError("ticket-invalid", "the ticket opens no stream") from error
    except BusUnavailable as error:
        raise ProblemError("unavailable", "tickets cannot be checked now") from error


def identified(request: Request, user: User) -> User:
    """Have the answer to this request tell how many orders the user may still place (`Frame`), and
    its lines in the log who asked.
    """
    request.state.user_id = user.user_id
    bind(user_id=user.user_id)
    return user


async def current_user(request: Request) -> User:
    """The user of the request's bearer token."""
    verifier: TokenVerifier = request.app.state.verifier
    return identified(request, user_of(request.headers, verifier))


CurrentUser = Annotated[User, Depends(current_user)]


async def current_operator(user: CurrentUser) -> User:
    """The same, for a token with the scope `operator`; raises `ProblemError` operator-only."""
    if OPERATOR_SCOPE not in user.scopes:
        raise ProblemError("operator-only", "the token lacks the scope `operator`")
    return user


CurrentOperator = Annotated[User, Depends(current_operator)]
