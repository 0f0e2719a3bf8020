"""S1, S2, S15, S16: what clients were told is on record, and stays so. Pure, over evidence."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.checker.evidence import Evidence
from tests.checker.history import Call
from tests.checker.postgres import OrderRow
from tests.checker.violations import Violation

REUSED: Final = "idempotency-key-reused"


def acknowledged_is_durable(evidence: Evidence) -> Iterator[Violation]:
    """S1: what a 2xx said is on record: the placed order with its terms; the wish to cancel, or
    that the order was cancelled without it.
    """
    rows = {(one.user_id, one.order_id): one for one in evidence.tables.orders}
    cancels = {
        one.order_id
        for one in evidence.tables.events
        if one.kind == "cancel-requested" or one.order["status"] == "cancelled"
    }
    for call in evidence.calls:
        if call.outcome != "ok":
            continue
        if call.op == "place":
            order_id = call.answer["id"]
            row = rows.get((call.user, order_id))
            if row is None:
                told = f"{call.status} to {call.user} for {dict(call.body or {})}"
                yield Violation("S1", order_id, f"told {told}, and there is no such order")
            elif not _has_terms(row, call.body or {}):
                yield Violation("S1", order_id, f"asked for {dict(call.body or {})}, kept as {row}")
        elif call.op == "cancel" and call.order_id not in cancels:
            order_id = call.order_id or ""
            yield Violation("S1", order_id, f"told {call.status} to a cancel that nobody recorded")


def one_order_a_key(evidence: Evidence) -> Iterator[Violation]:
    """S2: a key of a user is one order, whatever is sent with it and whoever else uses it; its
    first definitive answer stays its answer.
    """
    owners = {one.order_id: one.user_id for one in evidence.tables.orders}
    orders: dict[tuple[str, str], list[OrderRow]] = defaultdict(list)
    for row in evidence.tables.orders:
        orders[row.user_id, row.idempotency_key].append(row)
    answers: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in evidence.calls:
        if call.op == "place" and call.key is not None and call.status in (201, 202, 422):
            answers[call.user, call.key].append(call)
    for user_and_key in orders.keys() | answers.keys():
        where, own, calls = " ".join(user_and_key), orders[user_and_key], answers[user_and_key]
        yield from _one_order(where, own, calls)
        yield from _one_answer(where, calls)
        for call in calls:
            owner = owners.get(_order(call).get("id", ""), call.user)
            if owner != call.user:
                yield Violation("S2", where, f"told {owner}'s {_order(call)}")


def _one_order(where: str, own: Sequence[OrderRow], calls: Sequence[Call]) -> Iterator[Violation]:
    """A key has one row, and only the body of that is answered with it."""
    if len(own) > 1:
        yield Violation("S2", where, f"orders {[one.order_id for one in own]}")
    for call in calls if own else ():
        if _has_terms(own[0], call.body or {}) == (_code(call) == REUSED):
            answer = f"{call.status} {_code(call) or ''}"
            yield Violation("S2", where, f"{answer} to {call.body}, kept is {own[0]}")


def _one_answer(where: str, calls: Sequence[Call]) -> Iterator[Violation]:
    """What was answered once for good, with an order, is what is answered ever after."""
    kept = [(one.status, one.answer) for one in calls if one.status != 202 and _order(one)]
    if any(one != kept[0] for one in kept):
        yield Violation("S2", where, f"answered with {kept}")


def reads_follow_writes(evidence: Evidence) -> Iterator[Violation]:
    """S15: whatever is told of an order is a version on record, as it is there, and no older than
    what this user had been told before asking.
    """
    versions = {
        (one.user_id, one.order_id, one.version): one.order for one in evidence.tables.events
    }
    seen: dict[tuple[str, str], list[tuple[Call, int]]] = defaultdict(list)
    wrong: set[tuple[str, int]] = set()
    for call in evidence.calls:
        for told in call.orders_told():
            where, version = (call.user, told["id"]), told["version"]
            seen[where].append((call, version))
            recorded = versions.get((*where, version))
            if recorded != told and (told["id"], version) not in wrong:
                wrong.add((told["id"], version))
                yield Violation("S15", told["id"], f"told {told}, on record is {recorded}")
        if call.op == "read" and call.status == 404 and call.order_id is not None:
            seen[call.user, call.order_id].append((call, 0))
    for (_, order_id), reads in seen.items():
        # Both in the order of time: what had returned before a call began binds it.
        returned = sorted(reads, key=lambda one: one[0].returned_at)
        newest, position = 0, 0
        for call, version in sorted(reads, key=lambda one: one[0].invoked_at):
            while returned[position][0].returned_at < call.invoked_at:
                newest = max(newest, returned[position][1])
                position += 1
            # A placement is answered for good with what was true at first.
            if version < newest and call.op != "place":
                stale = f"{call.op} told version {version} after {newest} was told"
                yield Violation("S15", order_id, stale)


def pages_are_whole(evidence: Evidence) -> Iterator[Violation]:
    """S16: a walk through a list shows every order that was there before exactly once, newest
    first, whatever comes meanwhile.
    """
    placed: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for call in evidence.calls:
        if call.op == "place" and call.outcome == "ok":
            placed[call.user].append((call.returned_at, call.answer["id"]))
    for call in evidence.calls:
        if call.op != "list" or call.outcome != "ok":
            continue
        items = call.answer["items"]
        shown = Counter(one["id"] for one in items)
        for order_id, count in shown.items():
            if count > 1:
                yield Violation("S16", order_id, f"shown {count} times in one walk")
        for returned_at, order_id in placed[call.user]:
            if returned_at < call.invoked_at and order_id not in shown:
                yield Violation("S16", order_id, "left out by a walk that began after its answer")
        order = [(one["createdAt"], one["id"]) for one in items]
        if order != sorted(order, reverse=True):
            yield Violation("S16", call.user, f"not newest first: {order}")


def _has_terms(row: OrderRow, body: Mapping[str, Any]) -> bool:
    return (row.side, row.symbol, row.shares, row.limit_price_cents, row.time_in_force) == (
        body["position"],
        body["symbol"],
        body["numShares"],
        body.get("priceInCents"),
        body.get("timeInForce", "day"),
    )


def _order(call: Call) -> Mapping[str, Any]:
    """The order that an answer shows; bad input is answered without one."""
    return next(call.orders_told(), {})


def _code(call: Call) -> str | None:
    return call.answer.get("code") if isinstance(call.answer, dict) else None
