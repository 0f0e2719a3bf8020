"""What the feed and its readers say to each other beside the ticks."""

import msgspec


class Beat(msgspec.Struct, frozen=True, rename="camel"):
    """Said on `feed.beat`: the exchange spoke at `at` (ms since 1970, its clock) or just after.

    `trade_seq` is the newest public trade taken. Every symbol was published under `epoch` before.
    """

    at: int
    trade_seq: int
    epoch: int


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
