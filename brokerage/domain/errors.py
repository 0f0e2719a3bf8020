"""The kinds of no.

    Exception
    ├── Rejected          the answer is no, for a reason with a code; never retried
    └── InvariantBroken   impossible if the code is right; never caught, always looked at

What is merely unavailable has no class here: the domain asks nobody.
"""


class Rejected(Exception):
    """An order that breaks a rule. `code` is stable; `required` and `available` are what it lacked
    (cents or shares, as the code says); `extra` is what else a client is told, by its public names.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        required: int | None = None,
        available: int | None = None,
        **extra: object,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.required = required
        self.available = available
        self.extra = extra


class InvariantBroken(Exception):
    """Something happened that the rules say cannot happen."""
