"""The statements that write a change: the order, and in the same one all that follows from it.

One statement, because a round trip to the database costs more than the work there.
"""

from typing import Final

from brokerage.storage.named import Statement

_NEW_ORDER: Final = """
route AS (
    INSERT INTO order_routes (order_id, user_id) VALUES (:order_id, :user_id)
), written AS (
    INSERT INTO orders (
        user_id, order_id, idempotency_key, symbol, side, order_type, time_in_force, shares,
        limit_price_cents, price_cents, send_by, status, outcome, filled_shares,
        filled_notional_cents, executed_shares, matched_shares, final_shares, end_status,
        external_order_id, reason, version, created_at, updated_at
    ) VALUES (
        :user_id, :order_id, :idempotency_key, :symbol, :side, :order_type, :time_in_force, :shares,
        :limit_price_cents, :price_cents, :send_by, :status, :outcome, :filled_shares,
        :filled_notional_cents, :executed_shares, :matched_shares, :final_shares, :end_status,
        :external_order_id, :reason, :version::integer, :created_at, :updated_at
    ) RETURNING idempotency_key
)"""

_CHANGED_ORDER: Final = """
written AS (
    UPDATE orders SET
        status = :status, outcome = :outcome, filled_shares = :filled_shares,
        filled_notional_cents = :filled_notional_cents, executed_shares = :executed_shares,
        matched_shares = :matched_shares, final_shares = :final_shares, end_status = :end_status,
        external_order_id = :external_order_id, reason = :reason, version = :version::integer,
        updated_at = :updated_at
    WHERE user_id = :user_id AND order_id = :order_id AND version = :version::integer - 1
    RETURNING idempotency_key
), mapped AS (
    INSERT INTO external_orders (external_order_id, order_id, user_id)
    SELECT :newly_mapped::text, :order_id, :user_id WHERE :newly_mapped::text IS NOT NULL
), reported AS (
    INSERT INTO execution_reports
        (report_id, kind, feed_seq, order_id, user_id, symbol, shares, price_cents, booked_shares,
         booked_cents, amends, reported_at, settled_at)
    SELECT :report_id::text, :report_kind, :feed_seq, :order_id, :user_id, :symbol,
        :report_shares, :report_price_cents, :booked_shares, :booked_cents, :amends, :reported_at,
        :now
    WHERE :report_id::text IS NOT NULL
)"""

_CONSEQUENCES: Final = """
, account AS (
    UPDATE accounts SET cash_cents = cash_cents + :cash_cents_delta,
        held_cents = held_cents + :held_cents_delta, event_seq = event_seq + 1
    WHERE user_id = :user_id RETURNING event_seq
), moved_position AS (
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
), posted AS (
    INSERT INTO ledger_entries
        (user_id, source, leg, account, asset, amount, cause, order_id, booked_at)
    SELECT :user_id, :source, leg, account, asset, amount, cause, :order_id, :now
    FROM unnest(:posting_accounts::text[], :posting_assets::text[], :posting_amounts::bigint[],
            :posting_causes::text[])
        WITH ORDINALITY AS posting (account, asset, amount, cause, leg)
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
INSERT INTO order_events
    (user_id, seq, order_id, step, kind, version, actor, address, detail, "order", at,
     cash_cents, held_cents, position_shares, held_shares)
SELECT :user_id, event_seq, :order_id, :step, :kind, :version::integer, :actor, :address, :detail,
    :view, :now, :cash_cents, :held_cents, :position_shares, :held_shares
FROM account, written
RETURNING seq
"""

NEW_ORDER: Final = Statement.of("WITH" + _NEW_ORDER + _CONSEQUENCES)
"""Writes an order that does not exist yet; returns the sequence of its event."""

CHANGE_ORDER: Final = Statement.of("WITH" + _CHANGED_ORDER + _CONSEQUENCES)
"""Writes an order that is at the version before; returns its event's sequence, or no row."""

NOTE_REPORT: Final = Statement.of(
    """
    INSERT INTO execution_reports
        (report_id, kind, feed_seq, order_id, user_id, symbol, shares, price_cents, booked_shares,
         booked_cents, amends, reported_at, settled_at)
    VALUES (:report_id, :report_kind, :feed_seq, :order_id, :user_id, :symbol, :report_shares,
        :report_price_cents, 0, 0, :amends, :reported_at, :now)
    """
)
"""Remembers a report that changed nothing."""
