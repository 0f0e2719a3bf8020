"""docs/problems.md: the catalogue of problems."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from brokerage.contracts.problems import PROBLEMS

INTRODUCTION: Final = """\
# Problems

Every error is `application/problem+json` (RFC 9457) with one stable `code` a cause; the routes that
answer with it say so in `/docs`, and its `type` leads to `GET /problems/{code}`. *Repeat* says
whether the same request may succeed later, as `retryable` does; a placement is repeated with the
same `Idempotency-Key`.

Written by `make pages` from `brokerage/contracts/problems.py`.
"""


def page() -> str:
    """The page, as Markdown."""
    return "\n".join((INTRODUCTION, *_sections()))


def _sections() -> Iterator[str]:
    for status in sorted({kind.status for kind in PROBLEMS.values()}):
        yield f"## {status} {HTTPStatus(status).phrase}\n"
        yield "| Code | What happened | Repeat | What to do |"
        yield "|---|---|---|---|"
        for code, kind in PROBLEMS.items():
            if kind.status == status:
                repeat = "yes" if kind.retryable else "no"
                yield f"| `{code}` | {kind.title} | {repeat} | {kind.advice} |"
        yield ""
