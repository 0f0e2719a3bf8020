"""Is it traded here? Asked of every symbol that a client names.

Also what keeps wildcards of the bus out of its subjects.
"""

from collections.abc import Sequence

from api.errors import ProblemError
from streaming.directory import Directory


def check_loaded(directory: Directory) -> None:
    """Raise `ProblemError` unavailable while this node has no list of symbols."""
    if not directory.ready:
        raise ProblemError("unavailable", "the directory of symbols is not loaded yet")


def check_traded(directory: Directory, name: str) -> None:
    """Raise `ProblemError` unless there is such a symbol, as a part of an address."""
    check_loaded(directory)
    if directory.name_of(name) is None:
        raise ProblemError(
            "symbol-not-found", f"{name[:32]} is not traded here", symbols=[name[:32]]
        )


def check_known(directory: Directory, symbols: Sequence[str]) -> None:
    """Raise `ProblemError` unless all of them are traded, as a part of a request."""
    check_loaded(directory)
    if unknown := directory.unknown(symbols):
        raise ProblemError(
            "unknown-symbol", f"not traded here: {', '.join(unknown)[:200]}", symbols=unknown
        )
