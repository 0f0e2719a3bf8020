"""Executions the exchange takes back or corrects, and what the error account bears why."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA: tuple[str, ...] = ()


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
