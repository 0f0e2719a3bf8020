"""What an account may do, what an order may be at most, and who changed either when and why."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = (
    """
    ALTER TABLE accounts ADD COLUMN state text NOT NULL DEFAULT 'active'
        CHECK (state IN ('active', 'close-only', 'frozen'))
    """,
    """
    CREATE TABLE limits (
        name     text NOT NULL,
        subject  text NOT NULL DEFAULT '',
        value    bigint NOT NULL CHECK (value >= 0),
        PRIMARY KEY (name, subject)
    )
    """,
    """
    COMMENT ON TABLE limits IS
        'The value for a subject (a user or a symbol, as the name says); subject '''' is everybody''s.'
    """,
    """
    INSERT INTO limits (name, value) VALUES
        ('order-shares', 100000),
        ('order-notional-cents', 10000000000),
        ('position-shares', 1000000),
        ('user-orders-per-second', 10),
        ('user-orders-burst', 20),
        ('symbol-orders-per-second', 500),
        ('global-orders-per-second', 2000)
    """,
    """
    CREATE FUNCTION limit_value(p_name text, p_subject text) RETURNS bigint LANGUAGE sql STABLE AS $$
        SELECT value FROM limits WHERE name = p_name AND subject IN (p_subject, '')
        ORDER BY subject DESC LIMIT 1
    $$
    """,
    """
    CREATE TABLE operator_acts (
        act_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at        timestamptz NOT NULL DEFAULT now(),
        operator  text NOT NULL,
        address   text NOT NULL,
        act       text NOT NULL,
        subject   text NOT NULL,
        before    jsonb,
        after     jsonb,
        reason    text NOT NULL CHECK (reason <> '')
    )
    """,
    """
    CREATE INDEX operator_acts_by_subject ON operator_acts (subject, act_id)
    """,
    """
    COMMENT ON TABLE operator_acts IS 'Every change an operator made, written with it; append only.'
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON operator_acts
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    # A user's open orders of a symbol are found among the holds. An index of the orders by status
    # would make every change of an order write all of its indexes; a hold's key never changes.
    """
    ALTER TABLE holds ADD COLUMN symbol text, ADD COLUMN price_cents bigint
    """,
    """
    UPDATE holds h SET symbol = o.symbol, price_cents = o.price_cents
    FROM orders o WHERE o.user_id = h.user_id AND o.order_id = h.order_id
    """,
    """
    ALTER TABLE holds ALTER COLUMN symbol SET NOT NULL, ALTER COLUMN price_cents SET NOT NULL,
        ADD CHECK (asset IN ('USD', symbol)),
        ADD CHECK (amount = shares * CASE asset WHEN 'USD' THEN price_cents ELSE 1 END)
    """,
    """
    CREATE INDEX holds_by_symbol ON holds (user_id, symbol, asset, price_cents)
    """,
    """
    CREATE TYPE standing AS (
        order_shares_max bigint, order_notional_cents_max bigint, position_shares_max bigint,
        incoming_shares bigint,
        opposing_order uuid, opposing_price_cents bigint, opposing_status text
    )
    """,
)


def limit_sql(name: str, subject: str) -> str:
    """`limit_value`, written out: a function that reads a table costs more than what it reads."""
    return (
        f"(SELECT value FROM limits WHERE name = '{name}' AND subject IN ({subject}, '') "
        "ORDER BY subject DESC LIMIT 1)"
    )


# What counts for a new order besides the balances. An order that has ended at the exchange keeps
# its hold until its executions are booked, but trades no more. Not in plain SQL, whose functions are
# planned anew with every call: that took longer than all the rest of placing an order.
STANDING = f"""
CREATE FUNCTION standing_of(p_user text, p_symbol text, p_side text) RETURNS standing
LANGUAGE plpgsql STABLE AS $$
DECLARE
    its_standing standing;
BEGIN
    SELECT {limit_sql("order-shares", "p_user")}, {limit_sql("order-notional-cents", "p_user")},
        {limit_sql("position-shares", "p_symbol")},
        (SELECT coalesce(sum(h.shares), 0)::bigint FROM holds h
         WHERE h.user_id = p_user AND h.symbol = p_symbol AND h.asset = 'USD'),
        opposing.order_id, opposing.price_cents, opposing.status
    INTO its_standing
    FROM (SELECT 1) AS one
    LEFT JOIN (
        (SELECT o.order_id, o.price_cents, o.status
         FROM holds h JOIN orders o ON o.user_id = h.user_id AND o.order_id = h.order_id
         WHERE p_side = 'buy' AND h.user_id = p_user AND h.symbol = p_symbol
           AND h.asset = p_symbol AND o.end_status IS NULL
         ORDER BY h.price_cents LIMIT 1)
        UNION ALL
        (SELECT o.order_id, o.price_cents, o.status
         FROM holds h JOIN orders o ON o.user_id = h.user_id AND o.order_id = h.order_id
         WHERE p_side = 'sell' AND h.user_id = p_user AND h.symbol = p_symbol
           AND h.asset = 'USD' AND o.end_status IS NULL
         ORDER BY h.price_cents DESC LIMIT 1)
    ) AS opposing ON true;
    RETURN its_standing;
END $$
"""

# As it was, and for an order that does not exist yet (`p_side` says which) the account's state and
# standing, read under the same lock: what an operator changed counts for the next order exactly.
LOCK_BOOKS = """
CREATE FUNCTION lock_books(
    p_user text, p_order uuid, p_symbol text, p_side text, p_reports text[]
) RETURNS TABLE (
    cash_cents bigint, held_cents bigint, position_shares bigint, held_shares bigint,
    hold_shares bigint, known_reports text[], "order" orders, state text, standing standing
) LANGUAGE plpgsql AS $$
DECLARE
    account accounts%ROWTYPE;
    placed orders%ROWTYPE;
    its_standing standing;
BEGIN
    SELECT * INTO account FROM accounts a WHERE a.user_id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO placed FROM orders o WHERE o.user_id = p_user AND o.order_id = p_order;
    IF placed.order_id IS NULL AND p_side <> '' THEN
        its_standing := standing_of(p_user, p_symbol, p_side);
    END IF;
    RETURN QUERY
        SELECT account.cash_cents, account.held_cents,
            coalesce(p.shares, 0), coalesce(p.held_shares, 0), coalesce(h.shares, 0),
            ARRAY(SELECT r.report_id FROM execution_reports r
                  WHERE r.report_id = ANY (p_reports)),
            placed, account.state, its_standing
        FROM (SELECT 1) AS one
        LEFT JOIN positions p
            ON p.user_id = p_user AND p.symbol = coalesce(placed.symbol, p_symbol)
        LEFT JOIN holds h ON h.user_id = p_user AND h.order_id = p_order;
END $$
"""


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)
    op.execute(STANDING)
    op.execute("DROP FUNCTION lock_books(text, uuid, text, text[])")
    op.execute(LOCK_BOOKS)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
