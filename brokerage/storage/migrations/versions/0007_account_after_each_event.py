"""The account as it was after each order event, and what the event log needs to be read."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Null for events from before: what an account was then is not known, and must not be guessed.
SCHEMA = (
    """
    ALTER TABLE order_events
        ADD COLUMN symbol text GENERATED ALWAYS AS ("order" ->> 'symbol') STORED,
        ADD COLUMN cash_cents bigint,
        ADD COLUMN held_cents bigint,
        ADD COLUMN position_shares bigint,
        ADD COLUMN held_shares bigint,
        ADD CHECK (num_nulls(cash_cents, held_cents, position_shares, held_shares) IN (0, 4))
    """,
    """
    COMMENT ON COLUMN order_events.position_shares IS
        'Like the other balances, after the event; position and held shares are of its symbol.'
    """,
    """
    CREATE INDEX order_events_by_symbol ON order_events (user_id, symbol, seq)
    """,
)


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
