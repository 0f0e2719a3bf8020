"""Executions the exchange takes back or corrects, and what the error account bears why."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = (
    """
    ALTER TABLE orders ADD COLUMN matched_shares bigint NOT NULL DEFAULT 0
    """,
    """
    UPDATE orders SET matched_shares = executed_shares
    """,
    """
    COMMENT ON COLUMN orders.matched_shares IS
        'Every share the exchange ever executed, those it took back too; the rest may still come.'
    """,
    # A bust lowers what was filled and executed, and leaves the status. What a customer cannot give
    # back stays his: more may then be filled than is executed.
    """
    ALTER TABLE orders
        DROP CONSTRAINT orders_check1,
        DROP CONSTRAINT orders_check2,
        ALTER COLUMN matched_shares DROP DEFAULT,
        ADD CHECK (executed_shares BETWEEN 0 AND matched_shares),
        ADD CHECK (filled_shares <= matched_shares),
        ADD CHECK (status = 'filled' OR filled_shares < shares),
        ADD CHECK (status <> 'filled' OR matched_shares >= shares)
    """,
    """
    ALTER TABLE ledger_entries
        ADD COLUMN cause text CHECK (cause IN (
            'overfill', 'price-worse-than-limit', 'uncovered-late-fill', 'late-fill-after-reject',
            'uncovered-bust', 'uncovered-correction')),
        ADD CHECK (account = 'error' OR cause IS NULL)
    """,
    # What was posted before has none, and stays as it is.
    """
    ALTER TABLE ledger_entries
        ADD CHECK (account <> 'error' OR cause IS NOT NULL) NOT VALID
    """,
    """
    COMMENT ON COLUMN ledger_entries.cause IS 'Why the firm bears it; with the error account only.'
    """,
    """
    CREATE INDEX ledger_entries_of_error
        ON ledger_entries (booked_at DESC, source DESC)
        INCLUDE (cause, user_id, order_id, asset, amount) WHERE account = 'error'
    """,
    """
    ALTER TABLE execution_reports
        DROP CONSTRAINT execution_reports_kind_check,
        ADD CHECK (kind IN ('fill', 'end', 'bust', 'correction')),
        ADD COLUMN amends text,
        ADD COLUMN booked_cents bigint NOT NULL DEFAULT 0,
        ADD CHECK ((kind IN ('bust', 'correction')) = (amends IS NOT NULL))
    """,
    """
    ALTER TABLE execution_reports ALTER COLUMN booked_cents DROP DEFAULT
    """,
    """
    COMMENT ON COLUMN execution_reports.amends IS
        'The execution that a bust or correction is about; its shares, price and booked are then'
        ' what stands of it.'
    """,
    """
    CREATE INDEX execution_reports_by_amended
        ON execution_reports (amends, feed_seq DESC) WHERE amends IS NOT NULL
    """,
    """
    CREATE INDEX execution_reports_of_user
        ON execution_reports (user_id, reported_at DESC, report_id DESC)
        WHERE kind = 'fill' AND booked_shares > 0
    """,
    """
    CREATE INDEX execution_reports_of_user_by_symbol
        ON execution_reports (user_id, symbol, reported_at DESC, report_id DESC)
        WHERE kind = 'fill' AND booked_shares > 0
    """,
    """
    CREATE VIEW executions AS
        SELECT f.report_id AS execution_id, f.feed_seq, f.order_id, f.user_id, f.symbol,
            f.reported_at, f.settled_at, coalesce(a.kind, f.kind) AS kind,
            coalesce(a.shares, f.shares) AS shares,
            coalesce(a.price_cents, f.price_cents) AS price_cents,
            coalesce(a.booked_shares, f.booked_shares) AS booked_shares,
            coalesce(a.booked_cents, f.booked_cents) AS booked_cents,
            f.price_cents AS first_price_cents, f.booked_shares AS first_booked_shares,
            f.booked_cents AS first_booked_cents, a.reported_at AS amended_at
        FROM execution_reports f
        LEFT JOIN LATERAL (
            SELECT * FROM execution_reports r WHERE r.amends = f.report_id
            ORDER BY r.feed_seq DESC LIMIT 1
        ) a ON true
        WHERE f.kind = 'fill'
    """,
    """
    COMMENT ON VIEW executions IS
        'Each execution as it stands after the newest bust or correction, and as it was first booked.'
    """,
    # For an auditor; it reads whole tables.
    """
    CREATE VIEW order_entries AS
        SELECT l.order_id, l.account,
            sum(CASE WHEN l.asset = 'USD' THEN 0 WHEN o.side = 'buy' THEN l.amount
                     ELSE -l.amount END)::bigint AS shares,
            sum(CASE WHEN l.asset <> 'USD' THEN 0 WHEN o.side = 'buy' THEN -l.amount
                     ELSE l.amount END)::bigint AS cents
        FROM ledger_entries l
        JOIN orders o ON o.user_id = l.user_id AND o.order_id = l.order_id
        GROUP BY l.order_id, l.account
    """,
    """
    COMMENT ON VIEW order_entries IS
        'What an order brought to each account of the ledger: shares and what they cost, as it trades.'
    """,
    """
    CREATE TABLE waiting_amendments (
        order_id    uuid NOT NULL,
        report_id   text NOT NULL,
        report      jsonb NOT NULL,
        waits_since timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (order_id, report_id)
    )
    """,
    """
    COMMENT ON TABLE waiting_amendments IS
        'Busts and corrections that overtook their execution; booked right after it.'
    """,
)


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
