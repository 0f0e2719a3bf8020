"""Orders as addresses name them."""

import re
from typing import Final

from api.cancelling import order_not_found
from brokerage.runtime.logs import bind

ORDER_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def parse_order_id(text: str) -> str:
    """The id in lower case, which the request's lines in the log name from now on.

    Raises `ProblemError` order-not-found for what cannot be one.
    """
    if not ORDER_ID.fullmatch(text):
        raise order_not_found()
    order_id = text.lower()
    bind(order_id=order_id)
    return order_id
