"""A recorded day of trades, loaded whole."""

import gzip
import hashlib
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

NEW_YORK = ZoneInfo("America/New_York")
_SYMBOL = re.compile(rb"[A-Z][A-Z.]*")
_decode_numbers = msgspec.json.Decoder(list[int]).decode


@dataclass(frozen=True)
class Tape:
    """Trades in time order, as parallel columns; `times_ms` counts from midnight, New York.

    `symbol_indexes` points into `symbols`; `checksum` names the content; `midnight_ms` is the epoch
    time of the recorded day's midnight, None if the day is not known.
    """

    symbols: Sequence[str] = ()
    times_ms: "array[int]" = field(default_factory=lambda: array("l"))
    symbol_indexes: "array[int]" = field(default_factory=lambda: array("h"))
    prices_cents: "array[int]" = field(default_factory=lambda: array("l"))
    shares: "array[int]" = field(default_factory=lambda: array("l"))
    midnight_ms: int | None = None
    checksum: str = "none"

    def __len__(self) -> int:
        return len(self.times_ms)


def load_tape(path: Path | None) -> Tape:
    """Read a tape (`time_ms,symbol,price_cents,shares`, gzipped or not); None: the one that ships.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not a trade, or the lines are not in time order.
    """
    if path is None:
        file = resources.files("exchange").joinpath("tape/us-trades-2013-10-07.csv.gz")
        return parse_tape(file.read_bytes(), file.name)
    return parse_tape(path.read_bytes(), path.name)


def parse_tape(content: bytes, name: str) -> Tape:
    """Read the content of a tape file; a date in `name` is the day it was recorded."""
    checksum = hashlib.sha256(content).hexdigest()[:16]
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    header, _, rows = content.replace(b"\r", b"").partition(b"\n")
    names = sorted(set(_SYMBOL.findall(rows)))
    # The rows become one JSON array of whole numbers, symbols by their index: that is read in a
    # third of the time that splitting takes, and reading the tape is most of the time to start.
    for index, symbol in enumerate(names):
        rows = rows.replace(b"," + symbol + b",", b",%d," % index)
    try:
        numbers = _decode_numbers(b"[" + rows.strip(b"\n").replace(b"\n", b",") + b"]")
    except msgspec.DecodeError as error:
        raise ValueError(f"{name} is not a tape: {error}") from error
    if header != b"time_ms,symbol,price_cents,shares" or len(numbers) % 4:
        raise ValueError(f"{name} is not a tape of time_ms,symbol,price_cents,shares")
    times = numbers[0::4]
    if times != sorted(times):
        raise ValueError(f"{name} is not in time order")
    return Tape(
        symbols=[symbol.decode("ascii") for symbol in names],
        times_ms=array("l", times),
        symbol_indexes=array("h", numbers[1::4]),
        prices_cents=array("l", numbers[2::4]),
        shares=array("l", numbers[3::4]),
        midnight_ms=_midnight_ms(name),
        checksum=checksum,
    )


def _midnight_ms(name: str) -> int | None:
    found = re.search(r"(\d{4})-(\d{2})-(\d{2})", name)
    if found is None:
        return None
    day = date(int(found[1]), int(found[2]), int(found[3]))
    return int(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).timestamp() * 1000)
