"""What the measurement and its two helpers say to each other, as JSON lines."""

import msgspec


class PublisherSpec(msgspec.Struct):
    """How the publisher begins. Versions count monotonic microseconds from `base_us`."""

    nats_url: str
    symbols: list[str]
    base_us: int


class Publish(msgspec.Struct):
    """From now on publish so many ticks a second, all symbols in turn."""

    ticks_per_second: float


class Published(msgspec.Struct):
    """What was published since the last `Publish`; `versions` are the newest, in symbols' order."""

    ticks: int
    seconds: float
    late_ms_max: float
    versions: list[int]


class Open(msgspec.Struct, tag=True):
    """Open a stream for each of `watch_lists`, `at_once` of them under way together.

    The first `slow` of them have the smallest receive buffer there is; the last `recorded` are kept
    whole, to be checked. `token_secret` signs a token for each viewer, the same one for the same
    `issued_at` (seconds since 1970).
    """

    url: str
    token_secret: str
    issued_at: int
    watch_lists: list[list[str]]
    at_once: int
    slow: int = 0
    recorded: int = 0


class Opened(msgspec.Struct):
    """All are open, and each has its first prices. `refused`: answers that said to come back."""

    seconds: float
    cpu_seconds: float
    refused: int


class Watch(msgspec.Struct, tag=True):
    """Count for `seconds`, and take the ages in a part of the reads, drawn by chance.

    Ages are from the version (`base_us` is where it counts from), or, with None, from the time of
    emission that each tick carries. With `stall` the slow viewers read nothing until `Resume`.
    """

    seconds: float
    sampled: float
    base_us: int | None = None
    stall: bool = False


class Watched(msgspec.Struct):
    """What reached the viewers in the window; slow ones are not in it. `lost` streams ended."""

    seconds: float
    updates: int
    bytes: int
    reads: int
    ages_ms: list[float]
    cpu_seconds: float
    lost: int


class Resume(msgspec.Struct, tag=True):
    """Let the slow viewers read again, for `seconds`."""

    seconds: float
    base_us: int


class Resumed(msgspec.Struct):
    """What each slow viewer had to read before it was up to date."""

    stale_bytes: list[int]
    stale_updates: list[int]


class Check(msgspec.Struct, tag=True):
    """Look at the recorded streams: `versions` are the newest of each symbol, by name."""

    versions: dict[str, int]


class Checked(msgspec.Struct):
    """How much was looked at, and what was wrong with it."""

    streams: int
    updates: int
    faults: list[str]


class Failed(msgspec.Struct):
    """The helper could not do what it was asked to."""

    failed: str


Command = Open | Watch | Resume | Check
