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
    COMMENT ON TABLE operator_acts IS 'Every change an operator made, written with it; append only.'
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON operator_acts
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
)


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
