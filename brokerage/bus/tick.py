"""A tick as it travels: encoded once, by the feed; joined as bytes by everybody after it."""

import time
from datetime import datetime
from typing import Final

import msgspec

EPOCH_SHIFT: Final = 36
"""`v` is epoch * 2**36 + trade sequence: below 2**53 for 131,072 runs of the feed."""


class Tick(
    msgspec.Struct,
    frozen=True,
    rename={
        "price_cents": "priceInCents",
        "open_cents": "openInCents",
        "high_cents": "highInCents",
        "low_cents": "lowInCents",
    },
):
    """The newest price of a symbol, and its trading day so far.

    `at` is RFC 3339 in UTC with milliseconds; `v` orders the ticks of one symbol.
    """

    symbol: str
    price_cents: int
    open_cents: int
    high_cents: int
    low_cents: int
    volume: int
    at: str
    v: int


class _Version(msgspec.Struct):
    v: int


class _Emission(msgspec.Struct):
    at: datetime


_decode_tick = msgspec.json.Decoder(Tick).decode
_decode_emission = msgspec.json.Decoder(_Emission).decode
_decode_version = msgspec.json.Decoder(_Version).decode


def decode_tick(fragment: bytes) -> Tick:
    """The tick in `fragment`; raises `msgspec.DecodeError` for anything else."""
    return _decode_tick(fragment)


def version_of(fragment: bytes) -> int:
    """Only `v`: all that ordering needs."""
    return _decode_version(fragment).v


def emitted_at(fragment: bytes) -> float:
    """When the exchange emitted the trade, in seconds since 1970."""
    return _decode_emission(fragment).at.timestamp()


def version(epoch: int, trade_seq: int) -> int:
    """The version of a symbol's state after the trade `trade_seq`."""
    return (epoch << EPOCH_SHIFT) + trade_seq


def untraded(symbol: str) -> bytes:
    """The fragment of a symbol that never traded."""
    return (
        b'{"symbol":%b,"priceInCents":null,"openInCents":null,"highInCents":null,'
        b'"lowInCents":null,"volume":null,"at":null,"v":null}' % msgspec.json.encode(symbol)
    )


def utc_text(at_ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 text."""
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"
