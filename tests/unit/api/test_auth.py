"""Tokens: the good one is taken, and every way of being bad has its code."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from api.auth import TOKEN_SECONDS, TokenVerifier, User, issue_token, load_keys
from api.errors import ProblemError
from brokerage.runtime.settings import Settings

SECRET = "a secret of this test, 32 bytes long or more"
OTHER_SECRET = "another secret that this service never had....."


def hs256_settings() -> Settings:
    return Settings(token_algorithm="HS256", token_secret=SecretStr(SECRET))


def claims(**changes: object) -> dict[str, Any]:
    """Claims of a good token, with `changes`; a change to None leaves the claim out."""
    now = int(time.time())
    base: dict[str, Any] = {
        "sub": "alice",
        "iss": "sherwood",
        "aud": "sherwood",
        "iat": now,
        "exp": now + 60,
    }
    base.update(changes)
    return {name: value for name, value in base.items() if value is not None}


def signed(payload: dict[str, Any], **options: Any) -> str:
    return jwt.encode(payload, options.pop("key", SECRET), algorithm="HS256", **options)


def segment(value: object) -> str:
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def hand_signed(payload: object) -> str:
    """A well-signed token with a payload that no honest issuer would make."""
    return jwt.PyJWS().encode(json.dumps(payload).encode(), SECRET, algorithm="HS256")


def ed25519_jwk(key: Ed25519PrivateKey, key_id: str | None) -> dict[str, str]:
    raw = key.public_key().public_bytes_raw()
    entry = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
    }
    return entry if key_id is None else {**entry, "kid": key_id}


def pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def code_of(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(ProblemError) as refused:
        verifier.verify(token)
    return refused.value.code


def test_good_token_names_its_user_and_scopes() -> None:
    verifier = TokenVerifier(hs256_settings())

    user = verifier.verify(signed(claims(scope="operator other")))

    assert user == User("alice", frozenset({"operator", "other"}))


BAD: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "words": lambda: "not a token",
    "two parts": lambda: ".".join(signed(claims()).split(".")[:2]),
    "no signature": lambda: signed(claims()).rsplit(".", 1)[0] + ".",
    "changed payload": lambda: ".".join(
        [
            signed(claims()).split(".")[0],
            segment(claims(sub="mallory")),
            signed(claims()).split(".")[2],
        ]
    ),
    "foreign secret": lambda: signed(claims(), key=OTHER_SECRET),
    "algorithm none": lambda: jwt.encode(claims(), "", algorithm="none"),
    "algorithm none, header only": lambda: ".".join(
        [segment({"alg": "none", "typ": "JWT"}), segment(claims()), ""]
    ),
    "algorithm HS512": lambda: jwt.encode(claims(), SECRET + SECRET, algorithm="HS512"),
    "algorithm in lower case": lambda: ".".join(
        [segment({"alg": "hs256"}), *signed(claims()).split(".")[1:]]
    ),
    "RSA token": lambda: jwt.encode(
        claims(), rsa.generate_private_key(65537, 2048), algorithm="RS256"
    ),
    "EdDSA token": lambda: jwt.encode(claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA"),
    "unknown critical header": lambda: signed(claims(), headers={"crit": ["x"], "x": 1}),
    "no exp": lambda: signed(claims(exp=None)),
    "no iat": lambda: signed(claims(iat=None)),
    "no iss": lambda: signed(claims(iss=None)),
    "no aud": lambda: signed(claims(aud=None)),
    "no sub": lambda: signed(claims(sub=None)),
    "foreign issuer": lambda: signed(claims(iss="nottingham")),
    "issuer with a tail": lambda: signed(claims(iss="sherwood.example")),
    "foreign audience": lambda: signed(claims(aud="nottingham")),
    "several audiences": lambda: signed(claims(aud=["sherwood", "nottingham"])),
    "made in the future": lambda: signed(claims(iat=int(time.time()) + 3600)),
    "not valid yet": lambda: signed(claims(nbf=int(time.time()) + 3600)),
    "exp is text": lambda: signed(claims(exp="tomorrow")),
    "exp is a list": lambda: signed(claims(exp=[1])),
    "exp is infinite": lambda: hand_signed(claims(exp=float("inf"))),
    "sub is a number": lambda: hand_signed(claims(sub=7)),
    "sub is empty": lambda: signed(claims(sub="")),
    "sub has a dot": lambda: signed(claims(sub="a.b")),
    "sub is a wildcard": lambda: signed(claims(sub=">")),
    "sub has a line end": lambda: signed(claims(sub="alice\n")),
    "sub has a zero byte": lambda: signed(claims(sub="alice\x00")),
    "sub is too long": lambda: signed(claims(sub="a" * 65)),
    "scope is a list": lambda: signed(claims(scope=["operator"])),
    "payload is a list": lambda: hand_signed([1, 2]),
    "payload is no JSON": lambda: jwt.PyJWS().encode(b"\xff\x00", SECRET, algorithm="HS256"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_token_is_invalid(name: str) -> None:
    verifier = TokenVerifier(hs256_settings())

    assert code_of(verifier, BAD[name]()) == "token-invalid"


def test_expired_token_has_a_code_of_its_own() -> None:
    verifier = TokenVerifier(hs256_settings())
    now = int(time.time())

    assert code_of(verifier, signed(claims(iat=now - 120, exp=now - 60))) == "token-expired"


def test_clocks_may_differ_by_a_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = TokenVerifier(hs256_settings())
    now = int(time.time())

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Stopped":
            return cls.fromtimestamp(now, tz or UTC)

    # However long this takes, it is the same second for both that look at the time.
    monkeypatch.setattr("jwt.api_jwt.datetime", Stopped)
    monkeypatch.setattr("api.auth.time", SimpleNamespace(time=lambda: now))

    assert verifier.verify(signed(claims(iat=now - 60, exp=now - 5))).user_id == "alice"
    assert verifier.verify(signed(claims(iat=now + 5))).user_id == "alice"


def test_issued_token_is_good_for_twelve_hours() -> None:
    settings = hs256_settings()

    before = int(time.time())
    token, expires_at = issue_token(settings, "alice", "operator")
    after = int(time.time())

    assert TokenVerifier(settings).verify(token) == User("alice", frozenset({"operator"}))
    assert before <= expires_at - TOKEN_SECONDS <= after


def test_the_key_is_found_by_its_id() -> None:
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    jwks = json.dumps({"keys": [ed25519_jwk(old, "old"), ed25519_jwk(new, "new")]})
    verifier = TokenVerifier(Settings(token_algorithm="EdDSA", token_jwks=jwks))

    by_new = jwt.encode(claims(), new, algorithm="EdDSA", headers={"kid": "new"})
    by_nobody = jwt.encode(claims(), new, algorithm="EdDSA", headers={"kid": "lost"})
    by_the_other = jwt.encode(claims(), new, algorithm="EdDSA", headers={"kid": "old"})
    without_id = jwt.encode(claims(), new, algorithm="EdDSA")

    assert verifier.verify(by_new).user_id == "alice"
    for token in (by_nobody, by_the_other, without_id):
        assert code_of(verifier, token) == "token-invalid"


def test_public_key_is_not_taken_for_a_secret() -> None:
    key = Ed25519PrivateKey.generate()
    entry = ed25519_jwk(key, None)
    verifier = TokenVerifier(
        Settings(token_algorithm="EdDSA", token_jwks=json.dumps({"keys": [entry]}))
    )
    signing_input = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(claims())}"
    mac = jwt.get_algorithm_by_name("HS256").sign(signing_input.encode(), entry["x"].encode())
    forged = f"{signing_input}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    assert code_of(verifier, forged) == "token-invalid"


def test_development_issuer_signs_with_its_private_key() -> None:
    key = Ed25519PrivateKey.generate()
    settings = Settings(
        token_algorithm="EdDSA",
        token_jwks=json.dumps({"keys": [ed25519_jwk(key, None)]}),
        token_private_key=SecretStr(pem(key)),
    )

    token, _ = issue_token(settings, "alice", None)

    assert TokenVerifier(settings).verify(token) == User("alice")


def test_service_without_a_signing_key_issues_nothing() -> None:
    jwks = json.dumps({"keys": [ed25519_jwk(Ed25519PrivateKey.generate(), "one")]})

    with pytest.raises(ProblemError) as refused:
        issue_token(Settings(token_algorithm="EdDSA", token_jwks=jwks), "alice", None)

    assert refused.value.code == "not-found"


def test_private_key_among_the_public_ones_stops_the_start() -> None:
    entry = {**ed25519_jwk(Ed25519PrivateKey.generate(), "one"), "d": "secret"}

    with pytest.raises(ValueError, match="private key"):
        load_keys(json.dumps({"keys": [entry]}))


def test_verifier_without_keys_stops_the_start() -> None:
    for settings in (Settings(token_algorithm="HS256"), Settings(token_algorithm="EdDSA")):
        with pytest.raises(ValueError, match="needs"):
            TokenVerifier(settings)
