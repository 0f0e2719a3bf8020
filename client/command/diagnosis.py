"""What `sherwood doctor` finds, and the part of it that is looked at from here."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from client.errors import NotAuthorised, SherwoodError, Unreachable
from client.findings import Finding
from client.models import Clock
from client.sherwood import Sherwood

SKEW_SECONDS_MAX: Final = 1.0


async def examine(
    sherwood: Sherwood, base_url: str, now: Callable[[], datetime]
) -> tuple[Finding, ...]:
    """Look at the API from here, and ask it for what is behind it. Never raises SherwoodError."""
    try:
        readiness = await sherwood.ops.readiness()
    except Unreachable as error:
        mend = (
            "`make up` starts everything, `make status` says what runs; SHERWOOD_API_URL names "
            "another place"
        )
        return (_wrong("api-reachable", str(error), mend),)
    except SherwoodError as error:  # readiness is told to anybody: this is about the token
        mend = "start Postgres, which knows the accounts, or set SHERWOOD_TOKEN"
        return (_ok("api-reachable", base_url), _wrong("token", str(error), mend))
    findings = [_ok("api-reachable", base_url)]
    if readiness.ok:
        findings.append(_ok("api-ready", "takes requests"))
    else:
        closed = ", ".join(sorted(part for part, is_open in readiness.parts.items() if not is_open))
        mend = "mend what is wrong below first, then wait ten seconds; the log of `api` says more"
        findings.append(_wrong("api-ready", f"not ready; not open: {closed or 'nothing'}", mend))
    return (*findings, *await _market(sherwood, now), *await _behind(sherwood))


async def _market(sherwood: Sherwood, now: Callable[[], datetime]) -> list[Finding]:
    asked = now()
    try:
        clock = await sherwood.clock()
    except NotAuthorised as error:
        mend = "`export SHERWOOD_TOKEN=$(sherwood token NAME --operator)`, or --user NAME"
        return [_wrong("token", str(error), mend)]
    except SherwoodError as error:
        return [_wrong("clock", str(error), "see what is wrong below; the log of `api` says more")]
    answered = now()
    ahead_seconds = (clock.at - asked - (answered - asked) / 2).total_seconds()
    # The answer took some time, and nobody knows when in it the server looked at its clock.
    doubt_seconds = (answered - asked).total_seconds() / 2
    found = f"the server's is {ahead_seconds:+.3f} s from the one here"
    mend = "have NTP set both clocks: tokens and tickets would be taken for expired, or too new"
    skewed = abs(ahead_seconds) > SKEW_SECONDS_MAX + doubt_seconds
    return [_wrong("clock", found, mend) if skewed else _ok("clock", found), _feed(clock)]


def _feed(clock: Clock) -> Finding:
    if clock.feed == "live":
        return _ok("feed", "live")
    mend = (
        "see that `feed` and the exchange run and reach each other (`make status`, "
        "`python -m devstack logs feed-1`); no order is taken until then"
    )
    return _wrong("feed", "silent", mend)


async def _behind(sherwood: Sherwood) -> tuple[Finding, ...]:
    """What only the server can see."""
    try:
        return (await sherwood.ops.doctor()).items
    except Unreachable as error:
        return (_wrong("behind-the-api", str(error), "see the log of `api`"),)
    except SherwoodError as error:
        mend = "a token with the operator's scope: `sherwood token NAME --operator`, or --user NAME"
        return (Finding(check="behind-the-api", verdict="unknown", found=str(error), mend=mend),)


def _ok(check: str, found: str) -> Finding:
    return Finding(check=check, verdict="ok", found=found)


def _wrong(check: str, found: str, mend: str) -> Finding:
    return Finding(check=check, verdict="wrong", found=found, mend=mend)
