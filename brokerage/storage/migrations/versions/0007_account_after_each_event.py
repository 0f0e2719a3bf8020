"""The account as it was after each order event, and what the event log needs to be read."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA: tuple[str, ...] = ()


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
