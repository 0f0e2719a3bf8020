"""What an examination of a running system finds, as operators are told."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """`unknown`: it cannot be seen from here, which is no fault by itself."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was `found`, and how to `mend` it unless all is well."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


def well(check: str, found: str) -> Finding:
    """A finding that needs nothing."""
    return Finding(check, Verdict.OK, found)


def wrong(check: str, found: str, mend: str) -> Finding:
    """A finding that somebody must act upon."""
    return Finding(check, Verdict.WRONG, found, mend)


def unknown(check: str, found: str, mend: str) -> Finding:
    """What cannot be seen from here; `mend` says where to look."""
    return Finding(check, Verdict.UNKNOWN, found, mend)
