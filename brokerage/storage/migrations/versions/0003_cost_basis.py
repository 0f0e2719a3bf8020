"""What the shares of an opening cost, kept with the entries that post them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Nullable and without a default: no row is rewritten, and what was posted before stays as it is.
COST = (
    """
    ALTER TABLE ledger_entries ADD COLUMN cost_cents bigint
        CHECK (cost_cents IS NULL OR (asset <> 'USD' AND sign(cost_cents) = sign(amount)))
    """,
    """
    COMMENT ON COLUMN ledger_entries.cost_cents IS
        'What shares cost that no order brought (an opening''s), signed like amount; null: unknown.'
    """,
    # All that a user's past is computed from, side by side: in the table a user's entries lie between
    # everybody else's, and who has many of them would wait for a page each.
    """
    CREATE INDEX ledger_entries_of_user ON ledger_entries (user_id, booked_at)
        INCLUDE (asset, amount, cost_cents, order_id) WHERE account = 'user'
    """,
)


def upgrade() -> None:
    for statement in COST:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
