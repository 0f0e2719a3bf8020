"""The statements that write a change: the order, and in the same one all that follows from it.

One statement, because a round trip to the database costs more than the work there. Each of them
also seals what it writes, as the next link of the order's trail.
"""

from typing import Final

from brokerage.domain.trail import COLUMNS, ENTRIES, EVENTS, NOTES, REPORTS, SCHEME, TIMES
from brokerage.storage.named import Statement

NOTES_MAX: Final = 500
"""Attempts that are kept of one order."""


def digest_sql(table: str, **values: str) -> str:
    """The digest of a row with these values, as `brokerage.domain.trail.digest` makes it."""
    fields = (
        f"(extract(epoch FROM {values[column]}) * 1000000)::bigint"
        if column in TIMES
        else values[column]
        for column in COLUMNS[table]
    )
    return f"sha256(convert_to(json_build_array('{table}', {', '.join(fields)})::text, 'UTF8'))"


def _seal(table: str, **values: str) -> str:
    """The hash of the next link of the order `o`, whose row has the newest one."""
    of_row = {
        "user_id": ":user_id::text",
        "order_id": ":order_id::uuid",
        "kind": ":kind::text",
        "actor": ":actor::text",
        "detail": ":detail::jsonb::text",
        "at": ":now::timestamptz",
    }
    return f"'\\x{SCHEME.hex()}'::bytea || " + digest_sql(table, **of_row, **values)


def _seal_event(previous: str, link: str, with_report: bool = False) -> str:
    return _seal(
        EVENTS,
        previous=previous,
        link=link,
        seq="(SELECT event_seq FROM account)",
        step=":step::text",
        version=":version::integer",
        address=":address::text",
        order=":view::jsonb::text",
        cash_cents=":cash_cents::bigint",
        held_cents=":held_cents::bigint",
        position_shares=":position_shares::bigint",
        held_shares=":held_shares::bigint",
        report_id=":report_id::text" if with_report else "NULL",
        parts="encode((SELECT parts FROM came_with), 'hex')" if with_report else "NULL",
    )


_REPORT: Final = {
    "report_id": ":report_id::text",
    "kind": ":report_kind::text",
    "feed_seq": ":feed_seq::bigint",
    "order_id": ":order_id::uuid",
    "user_id": ":user_id::text",
    "symbol": ":symbol::text",
    "shares": ":report_shares::bigint",
    "price_cents": ":report_price_cents::bigint",
    "booked_shares": ":booked_shares::bigint",
    "booked_cents": ":booked_cents::bigint",
    "amends": ":amends::text",
    "reported_at": ":reported_at::timestamptz",
    "settled_at": ":now::timestamptz",
}
_REPORTED: Final = f"""
reported AS (
    INSERT INTO execution_reports ({", ".join(_REPORT)}) SELECT {", ".join(_REPORT.values())}
    WHERE :report_id::text IS NOT NULL
)"""

_ENTRY: Final = {
    "user_id": ":user_id::text",
    "source": ":source::text",
    "leg": "leg",
    "account": "account",
    "asset": "asset",
    "amount": "amount",
    "cause": "cause",
    "order_id": ":order_id::uuid",
    "booked_at": ":now::timestamptz",
}
_POSTINGS: Final = """
    unnest(:posting_accounts::text[], :posting_assets::text[], :posting_amounts::bigint[],
            :posting_causes::text[])
        WITH ORDINALITY AS posting (account, asset, amount, cause, leg)
"""
_CAME_WITH: Final = f"""
came_with AS (
    SELECT string_agg(digest, NULL ORDER BY part) AS parts FROM (
        SELECT 0 AS part, {digest_sql(REPORTS, **_REPORT)} AS digest
        UNION ALL
        SELECT leg, {digest_sql(ENTRIES, **_ENTRY, cost_cents="NULL::bigint")} FROM {_POSTINGS}
    ) AS digests
), {_REPORTED}, posted AS (
    INSERT INTO ledger_entries ({", ".join(_ENTRY)}) SELECT {", ".join(_ENTRY.values())}
    FROM {_POSTINGS}
), """  # noqa: S608 - made of constants
_ACCOUNT: Final = """
WITH account AS (
    UPDATE accounts SET cash_cents = cash_cents + :cash_cents_delta,
        held_cents = held_cents + :held_cents_delta, event_seq = event_seq + 1
    WHERE user_id = :user_id::text RETURNING event_seq
), """

_NEW_ORDER: Final = f"""
route AS (
    INSERT INTO order_routes (order_id, user_id) VALUES (:order_id, :user_id)
), written AS (
    INSERT INTO orders (
        user_id, order_id, idempotency_key, symbol, side, order_type, time_in_force, shares,
        limit_price_cents, price_cents, send_by, status, outcome, filled_shares,
        filled_notional_cents, executed_shares, matched_shares, final_shares, end_status,
        external_order_id, reason, version, created_at, updated_at, links, trail_hash
    ) VALUES (
        :user_id, :order_id, :idempotency_key, :symbol, :side, :order_type, :time_in_force, :shares,
        :limit_price_cents, :price_cents, :send_by, :status, :outcome, :filled_shares,
        :filled_notional_cents, :executed_shares, :matched_shares, :final_shares, :end_status,
        :external_order_id, :reason, :version::integer, :created_at, :updated_at, 1,
        {_seal_event("NULL", "1")}
    ) RETURNING idempotency_key, links, trail_hash
)"""  # noqa: S608 - made of constants


def _changed_order(*, with_report: bool) -> str:
    seal = _seal_event("encode(o.trail_hash, 'hex')", "o.links + 1", with_report)
    return f"""
written AS (
    UPDATE orders AS o SET
        status = :status, outcome = :outcome, filled_shares = :filled_shares,
        filled_notional_cents = :filled_notional_cents, executed_shares = :executed_shares,
        matched_shares = :matched_shares, final_shares = :final_shares, end_status = :end_status,
        external_order_id = :external_order_id, reason = :reason, version = :version::integer,
        updated_at = :updated_at, links = o.links + 1, trail_hash = {seal}
    WHERE o.user_id = :user_id AND o.order_id = :order_id AND o.version = :version::integer - 1
    RETURNING o.idempotency_key, o.links, o.trail_hash
), mapped AS (
    INSERT INTO external_orders (external_order_id, order_id, user_id)
    SELECT :newly_mapped::text, :order_id, :user_id WHERE :newly_mapped::text IS NOT NULL
)"""  # noqa: S608 - made of constants


_CONSEQUENCES: Final = """
, moved_position AS (
    UPDATE positions SET shares = shares + :position_shares_delta::bigint,
        held_shares = held_shares + :held_shares_delta::bigint
    WHERE user_id = :user_id AND symbol = :symbol
      AND (:position_shares_delta::bigint <> 0 OR :held_shares_delta::bigint <> 0)
    RETURNING symbol
), new_position AS (
    INSERT INTO positions (user_id, symbol, shares, held_shares)
    SELECT :user_id, :symbol, :position_shares_delta::bigint, :held_shares_delta::bigint
    WHERE :position_shares_delta::bigint <> 0 AND NOT EXISTS (SELECT FROM moved_position)
), kept_hold AS (
    INSERT INTO holds AS h (user_id, order_id, symbol, asset, price_cents, shares, amount)
    SELECT :user_id, :order_id, :symbol, :hold_asset, :price_cents, :hold_shares::bigint,
        :hold_amount::bigint
    WHERE :hold_shares::bigint > 0
    ON CONFLICT (user_id, order_id) DO UPDATE SET
        shares = EXCLUDED.shares, amount = EXCLUDED.amount WHERE h.shares <> EXCLUDED.shares
), freed_hold AS (
    DELETE FROM holds
    WHERE user_id = :user_id AND order_id = :order_id AND :hold_shares::bigint = 0
), replied AS (
    UPDATE idempotency_keys k SET reply_status = :reply_status, reply_body = :reply_body
    FROM written
    WHERE :reply_status::smallint IS NOT NULL AND k.user_id = :user_id
      AND k.key = written.idempotency_key AND k.reply_status IS NULL
), off_the_fast_path AS (
    DELETE FROM placing_locks
    WHERE user_id = :user_id AND symbol = :symbol AND order_id = :order_id
      AND :status::text <> 'pending'
)
"""


def _event(report_id: str, parts: str) -> str:
    return f"""
INSERT INTO order_events
    (user_id, seq, order_id, step, kind, version, actor, address, detail, "order", at,
     cash_cents, held_cents, position_shares, held_shares, link, report_id, parts, hash)
SELECT :user_id, event_seq, :order_id, :step, :kind, :version::integer, :actor, :address, :detail,
    :view, :now, :cash_cents, :held_cents, :position_shares, :held_shares, links, {report_id},
    {parts}, trail_hash
FROM account, written
RETURNING seq
"""  # noqa: S608 - made of constants


_ALONE: Final = _event("NULL", "NULL")

NEW_ORDER: Final = Statement.of(_ACCOUNT + _NEW_ORDER + _CONSEQUENCES + _ALONE)
"""Writes an order that does not exist yet; returns the sequence of its event."""

CHANGE_ORDER: Final = Statement.of(
    _ACCOUNT + _changed_order(with_report=False) + _CONSEQUENCES + _ALONE
)
"""Writes an order that is at the version before; returns its event's sequence, or no row."""

BOOK_REPORT: Final = Statement.of(
    _ACCOUNT
    + _CAME_WITH
    + _changed_order(with_report=True)
    + _CONSEQUENCES
    + _event(":report_id::text", "(SELECT parts FROM came_with)")
)
"""The same, with the report that changes it and the entries it brings to the ledger."""

NOTE: Final = Statement.of(
    f"""
    WITH came_with AS (
        SELECT CASE WHEN :report_id::text IS NOT NULL THEN {
        digest_sql(REPORTS, **_REPORT)
    } END AS parts
    ), {_REPORTED}, linked AS (
        UPDATE orders AS o SET links = o.links + 1, trail_hash = {
        _seal(
            NOTES,
            previous="encode(o.trail_hash, 'hex')",
            link="o.links + 1",
            version="o.version",
            report_id=":report_id::text",
            parts="encode(came_with.parts, 'hex')",
        )
    }
        FROM came_with
        WHERE o.user_id = :user_id AND o.order_id = :order_id
          AND (:report_id::text IS NOT NULL OR o.links - o.version < {NOTES_MAX})
        RETURNING o.links, o.version, o.trail_hash
    )
    INSERT INTO order_notes
        (user_id, order_id, link, version, kind, actor, detail, at, report_id, parts, hash)
    SELECT :user_id, :order_id, links, version, :kind, :actor, :detail, :now, :report_id::text,
        parts, trail_hash
    FROM linked, came_with RETURNING link
    """  # noqa: S608 - made of constants
)
"""Keeps what changed nothing: an attempt at the exchange, or a report, which is then remembered."""
