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
    # `look_at` is when a worker has to see to it: when it goes off, and again while it cancels.
    """
    CREATE TABLE cancel_after (
        user_id     text PRIMARY KEY REFERENCES accounts,
        seconds     integer NOT NULL CHECK (seconds BETWEEN 0 AND 86400),
        armed_at    timestamptz NOT NULL,
        address     text NOT NULL,
        cancels_at  timestamptz,
        went_off_at timestamptz,
        cancelling  boolean NOT NULL DEFAULT false,
        look_at     timestamptz
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE INDEX cancel_after_due ON cancel_after (look_at) WHERE look_at IS NOT NULL
    """,
    """
    COMMENT ON TABLE cancel_after IS
        'Each user''s dead-man switch: unless it is armed anew before `cancels_at`, their open orders
        are cancelled. `went_off_at` is when that happened last.'
    """,
)


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
