"""Whether what is installed is what the lock says."""

import re
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from brokerage.contracts.findings import Finding, unknown, well, wrong

LOCK: Final = Path(__file__).parents[1] / "requirements" / "runtime.txt"
PINNED: Final = re.compile(r"^([\w.-]+)==([^\s;\\]+)( ;)?", re.MULTILINE)
CHECK: Final = "packages"
SHOWN_MAX: Final = 5


def examine_packages(lock: Path = LOCK) -> Finding:
    """Compare with the lock. A pin with a marker may be for another system, and be missing here."""
    if not lock.exists():
        return unknown(CHECK, "no lock lies beside the code", "compare with the release's lock")
    pins: dict[str, set[str]] = defaultdict(set)
    optional = set()
    for name, pinned, has_marker in PINNED.findall(lock.read_text()):
        pins[name].add(pinned)
        if has_marker:
            optional.add(name)
    others = [
        f"{name} {installed or 'is missing'} ({' or '.join(sorted(pinned))})"
        for name, pinned in pins.items()
        if (installed := _installed(name)) not in pinned
        and not (installed is None and name in optional)
    ]
    if not others:
        return well(CHECK, f"{len(pins)} as locked")
    rest = f" and {len(others) - SHOWN_MAX} more" if len(others) > SHOWN_MAX else ""
    mend = (
        f"`pip install --no-deps --require-hashes -r requirements/{lock.name}`, or `make clean up`"
    )
    return wrong(CHECK, ", ".join(others[:SHOWN_MAX]) + rest, mend)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
