"""What operators find a run by, and the line that stands for it in a list; set once, at its start.

Both travel with the start and cost no event of their own. They name the user by id and nothing
else about a person.
"""

from typing import Final, Protocol, TypedDict

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from brokerage.domain.money import format_dollars

USER_ID: Final = SearchAttributeKey.for_keyword("UserId")
SYMBOL: Final = SearchAttributeKey.for_keyword("Symbol")
SIDE: Final = SearchAttributeKey.for_keyword("Side")
ORDER_TYPE: Final = SearchAttributeKey.for_keyword("OrderType")
ORDER_STATUS: Final = SearchAttributeKey.for_keyword("OrderStatus")
"""Only while the order waits for an answer of the exchange: `workflows.details.status_label`."""
SEARCH_ATTRIBUTES: Final = (USER_ID, SYMBOL, SIDE, ORDER_TYPE, ORDER_STATUS)


class Terms(Protocol):
    """What a customer asked for: a `StartOrder`, or the `Order` that became of it."""

    @property
    def user_id(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def shares(self) -> int: ...
    @property
    def symbol(self) -> str: ...
    @property
    def limit_price_cents(self) -> int | None: ...
    @property
    def time_in_force(self) -> str: ...


class Labels(TypedDict):
    """The options of a start that carry them."""

    static_summary: str
    search_attributes: TypedSearchAttributes


def labels(terms: Terms) -> Labels:
    """The labels of the run of such an order, whoever starts it."""
    price_cents = terms.limit_price_cents
    price = "market" if price_cents is None else f"at {format_dollars(price_cents)}"
    return Labels(
        static_summary=(
            f"{terms.side} {terms.shares:,} {terms.symbol} {price} {terms.time_in_force},"
            f" {terms.user_id}"
        ),
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(USER_ID, terms.user_id),
                SearchAttributePair(SYMBOL, terms.symbol),
                SearchAttributePair(SIDE, str(terms.side)),
                SearchAttributePair(ORDER_TYPE, "market" if price_cents is None else "limit"),
            ]
        ),
    )
