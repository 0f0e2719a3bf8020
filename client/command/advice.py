"""What to do next about an error: a sentence for people, beside the error itself."""

from client.command.render import order_line
from client.errors import NotAuthorised, OutcomeUnknown, Problem, SherwoodError, Unreachable


def advice_of(error: SherwoodError) -> str | None:
    """What somebody at a terminal can do now; None where the error says it all."""
    match error:
        case Problem(order=order) if order is not None:
            return f"{order.id}  {order_line(order)}"
        case OutcomeUnknown():
            return f"find out, without placing twice: the same command with --key {error.key}"
        case Unreachable():
            return (
                "is it running? `make up` starts one here, `sherwood doctor` says what is wrong; "
                "SHERWOOD_API_URL names another"
            )
        case Problem(code="token-expired"):
            return (
                "a new one: `export SHERWOOD_TOKEN=$(sherwood token USER)`; with --user USER it is "
                "renewed without a word"
            )
        case Problem(code="operator-only"):
            return "a token for it: `sherwood token USER --operator`, or --user USER"
        case NotAuthorised():
            return "a new token: `sherwood token USER`, or let --user USER fetch one"
        case Problem(extra={"advice": str(advice)}):
            return advice
    return None
