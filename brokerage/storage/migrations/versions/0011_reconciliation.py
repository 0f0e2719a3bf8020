"""Reports of reconciliation."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE reconciliations (
        run_id      text PRIMARY KEY,
        day         date NOT NULL,
        started_at  timestamptz NOT NULL,
        started_by  text NOT NULL,
        reason      text NOT NULL
    )
    """,
    """
    COMMENT ON COLUMN reconciliations.day IS 'The day in New York on which the run began.'
    """,
    """
    CREATE INDEX reconciliations_by_time ON reconciliations (started_at DESC, run_id DESC)
    """,
    """
    CREATE TABLE reconciliation_differences (
        run_id    text NOT NULL REFERENCES reconciliations,
        kind      text NOT NULL,
        subject   text NOT NULL,
        key       text NOT NULL,
        user_id   text,
        ours      text,
        theirs    text,
        state     text NOT NULL CHECK (state IN ('healed', 'needs-a-person')),
        note      text NOT NULL,
        found_at  timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (run_id, kind, subject, key)
    )
    """,
    """
    CREATE TABLE reconciliation_verdicts (
        run_id       text PRIMARY KEY REFERENCES reconciliations,
        finished_at  timestamptz NOT NULL,
        verdict      text NOT NULL CHECK (verdict IN ('clean', 'healed', 'needs-a-person')),
        sequence     bigint NOT NULL,
        orders       bigint NOT NULL,
        reports      bigint NOT NULL,
        healed       bigint NOT NULL,
        waiting      bigint NOT NULL
    )
    """,
    """
    CREATE INDEX reconciliation_verdicts_agreed ON reconciliation_verdicts (finished_at)
        WHERE verdict <> 'needs-a-person'
    """,
    *(
        f"""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
        """
        for table in (
            "reconciliations", "reconciliation_differences", "reconciliation_verdicts"
        )
    ),
)


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
