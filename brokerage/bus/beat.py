"""What the feed and its readers say to each other beside the ticks."""

from typing import Literal

import msgspec


class Trading(msgspec.Struct, frozen=True, rename="camel"):
    """Whether the exchange takes orders, by what hours, and in which symbols trading is halted.

    The times are those of its regular session (ms since 1970), whether `sessions` makes it bind or
    not; None while the market is closed and nobody knows for how long.
    """

    is_open: bool
    sessions: Literal["off", "regular", "closed"]
    next_open_ms: int | None
    next_close_ms: int | None
    halted: frozenset[str]


class Beat(msgspec.Struct, frozen=True, rename="camel"):
    """Said on `feed.beat`: the exchange spoke at `at` (ms since 1970, its clock) or just after.

    `trade_seq` is the newest public trade taken. Every symbol was published under `epoch` before.
    `trading` comes whole with each beat: whoever missed a change has it a second later.
    """

    at: int
    trade_seq: int
    epoch: int
    trading: Trading


class Resend(msgspec.Struct, frozen=True):
    """Said on `feed.resend`; `epoch` is the newest that the asker knows."""

    epoch: int


_decode_beat = msgspec.json.Decoder(Beat).decode
_decode_resend = msgspec.json.Decoder(Resend).decode


def decode_beat(payload: bytes) -> Beat:
    """The beat in `payload`; raises `msgspec.DecodeError` for anything else."""
    return _decode_beat(payload)


def decode_resend(payload: bytes) -> Resend:
    """The request in `payload`; raises `msgspec.DecodeError` for anything else."""
    return _decode_resend(payload)
