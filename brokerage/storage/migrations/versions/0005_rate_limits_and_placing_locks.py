"""Tokens of the rate limits and the placing lock, taken with the claim of a key."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA: tuple[str, ...] = ()


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
