"""The few orders that only the exchange's answer can move, found without looking at the others."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = (
    """
    CREATE INDEX orders_unanswered ON orders (updated_at, order_id)
        WHERE status IN ('pending', 'pending_cancel')
           OR (time_in_force = 'ioc' AND status IN ('submitted', 'partially_filled'))
    """,
)


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
