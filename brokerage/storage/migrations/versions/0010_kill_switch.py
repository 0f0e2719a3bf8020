"""The kill switch and the dead-man switch."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

SCHEMA: tuple[str, ...] = (
    # An act of the kill switch is copied from its bucket, perhaps by several nodes at once.
    """
    ALTER TABLE operator_acts ADD COLUMN act_key text UNIQUE
    """,
)


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
