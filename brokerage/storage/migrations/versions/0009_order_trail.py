"""What was said and done for an order, and the chain over it."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PARTITIONS = 8

# Null for what was written before there was a chain: it stays as it is, and says nothing of itself.
ORDERS = (
    """
    ALTER TABLE orders
        ADD COLUMN links integer NOT NULL DEFAULT 0,
        ADD COLUMN trail_hash bytea,
        ADD CHECK ((links = 0) = (trail_hash IS NULL))
    """,
    """
    COMMENT ON COLUMN orders.trail_hash IS
        'The hash of the newest link of the order''s trail, and links how many there are.'
    """,
    """
    ALTER TABLE order_events
        ADD COLUMN link integer,
        ADD COLUMN report_id text,
        ADD COLUMN parts bytea,
        ADD COLUMN hash bytea,
        ADD CHECK ((link IS NULL) = (hash IS NULL))
    """,
    """
    COMMENT ON COLUMN order_events.hash IS
        'The scheme (one byte) and the SHA-256 of the row, the link before it, and parts: the'
        ' digests of the report and the ledger entries that were written with it.'
    """,
    """
    CREATE TABLE order_notes (
        user_id    text NOT NULL,
        order_id   uuid NOT NULL,
        link       integer NOT NULL,
        version    integer NOT NULL,
        kind       text NOT NULL CHECK (kind IN ('attempt', 'report')),
        actor      text NOT NULL,
        detail     jsonb NOT NULL,
        at         timestamptz NOT NULL,
        report_id  text,
        parts      bytea,
        hash       bytea NOT NULL,
        PRIMARY KEY (user_id, order_id, link),
        CHECK ((kind = 'report') = (report_id IS NOT NULL))
    ) PARTITION BY HASH (user_id)
    """,
    *(
        f"""
        CREATE TABLE order_notes_p{remainder} PARTITION OF order_notes
            FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {remainder})
        """
        for remainder in range(PARTITIONS)
    ),
    """
    COMMENT ON TABLE order_notes IS
        'What was said for an order and changed nothing of it: links of the same chain as its events.'
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON order_notes
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON execution_reports
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
)

# Acts belong to no order, so they have a chain of their own. A trigger, since every part of the
# office writes its acts itself; they are rare enough to queue for one row.
ACTS = (
    """
    CREATE TABLE operator_acts_end (
        only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        act_id    bigint NOT NULL,
        hash      bytea
    )
    """,
    """
    INSERT INTO operator_acts_end (act_id) SELECT coalesce(max(act_id), 0) FROM operator_acts
    """,
    """
    COMMENT ON TABLE operator_acts_end IS 'The newest act: whoever writes one waits here for his turn.'
    """,
    """
    ALTER TABLE operator_acts ADD COLUMN hash bytea
    """,
    """
    CREATE FUNCTION chain_act() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        newest operator_acts_end%ROWTYPE;
    BEGIN
        SELECT * INTO newest FROM operator_acts_end FOR UPDATE;
        -- Not the identity's own number: one that is rolled back would leave a gap.
        NEW.act_id := newest.act_id + 1;
        NEW.hash := '\\x01'::bytea || sha256(convert_to(json_build_array(
            'operator_acts', encode(newest.hash, 'hex'), NEW.act_id,
            (extract(epoch FROM NEW.at) * 1000000)::bigint, NEW.operator, NEW.address, NEW.act,
            NEW.subject, NEW.before::text, NEW.after::text, NEW.reason
        )::text, 'UTF8'));
        UPDATE operator_acts_end SET act_id = NEW.act_id, hash = NEW.hash;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER chained BEFORE INSERT ON operator_acts
        FOR EACH ROW EXECUTE FUNCTION chain_act()
    """,
)


def upgrade() -> None:
    for statement in (*ORDERS, *ACTS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
