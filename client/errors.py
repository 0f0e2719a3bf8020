"""Every way a request can fail, as exceptions.

SherwoodError
├── Unreachable         no answer: refused, reset, timed out
├── UnexpectedAnswer    an answer this client cannot read
├── OutcomeUnknown      a placement that may or may not have been taken; carries its key
└── Problem             the server answered with an error; carries code, detail, order
    ├── Refused         the answer is no: 400, 409, 422 and other 4xx
    ├── NotFound        404; somebody else's order looks exactly the same
    ├── NotAuthorised   401, 403
    ├── RateLimited     429
    ├── Unavailable     not now, ask again: 502, 503, 504, and a retryable 409 about no order
    └── ServerFailed    500 and the like: a bug of the server's
"""

from collections.abc import Mapping
from uuid import UUID

from client.models import Order


class SherwoodError(Exception):
    """Anything that went wrong between this client and Sherwood.

    `may_have_arrived`: some attempt of this request may have been taken by the server.
    `retry_after_seconds`: how long the server asked to wait, if it did.
    """

    may_have_arrived: bool = False
    retry_after_seconds: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same request can be expected to succeed later."""
        return False


class Unreachable(SherwoodError):
    """There was no answer."""

    @property
    def retryable(self) -> bool:
        """Always: the next attempt may find the server."""
        return True


class UnexpectedAnswer(SherwoodError):
    """The answer was not what the interface promises."""


class OutcomeUnknown(SherwoodError):
    """A placement without a definite answer; the same key finds out and never places twice."""

    def __init__(self, key: UUID, cause: SherwoodError) -> None:
        self.key = key
        self.cause = cause
        super().__init__(f"it is not known whether the order was placed: {cause}")

    @property
    def retryable(self) -> bool:
        """Always, with the same key."""
        return True


class Problem(SherwoodError):
    """The server's own account of what went wrong (problem+json).

    `code` is stable and for programs, `detail` is for people, `order` is there where the problem
    is about one, and `extra` holds the fields of this code only, such as required and available.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retryable: bool = False,
        order: Order | None = None,
        extra: Mapping[str, object] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.order = order
        self.extra = dict(extra or {})
        self.retry_after_seconds = retry_after_seconds
        self._retryable = retryable
        super().__init__(f"{detail} ({code})")

    @property
    def retryable(self) -> bool:
        """What the server said; without its word, true for what passes by itself."""
        return self._retryable


class Refused(Problem):
    """The answer is no, and repeating the request does not change it."""


class NotFound(Problem):
    """There is no such thing, or it belongs to somebody else."""


class NotAuthorised(Problem):
    """The token is missing, expired, foreign, or lacks the scope."""


class RateLimited(Problem):
    """Too many requests; wait `retry_after_seconds`."""


class Unavailable(Problem):
    """Not now: the same request may be repeated later."""


class ServerFailed(Problem):
    """The server broke; what it had done by then is not known."""
