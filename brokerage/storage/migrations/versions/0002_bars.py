"""Bars of 1 second, 1 minute and 1 day, in partitions by time, and how far they were written."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("bars_1s", "bars_1m", "bars_1d")

# A bar starts at `start` by the time of emission; a day begins at midnight in New York.
BARS = """
CREATE TABLE {table} (
    symbol          text NOT NULL,
    start           timestamptz NOT NULL,
    open_cents      bigint NOT NULL,
    high_cents      bigint NOT NULL,
    low_cents       bigint NOT NULL,
    close_cents     bigint NOT NULL,
    volume          bigint NOT NULL CHECK (volume > 0),
    notional_cents  bigint NOT NULL,
    trades          integer NOT NULL CHECK (trades > 0),
    PRIMARY KEY (symbol, start),
    CHECK (low_cents <= least(open_cents, close_cents)),
    CHECK (high_cents >= greatest(open_cents, close_cents))
) PARTITION BY RANGE (start)
"""

PROGRESS = (
    """
    CREATE TABLE bar_progress (
        feed       text PRIMARY KEY,
        epoch      bigint NOT NULL,
        session    text,
        trade_seq  bigint,
        traded_at  timestamptz,
        CHECK (num_nulls(session, trade_seq, traded_at) IN (0, 3))
    ) WITH (fillfactor = 50)
    """,
    """
    COMMENT ON TABLE bar_progress IS
        'The last trade that is in the bars and when it was emitted, written with them;
         only the newest epoch may write.'
    """,
)

# How long a partition is and how long it is kept (null: for ever).
PARTITION_RULES = """
CREATE FUNCTION bar_partition_rules()
RETURNS TABLE (parent text, step interval, retention interval) LANGUAGE sql IMMUTABLE AS $$
    VALUES
        ('bars_1s', interval '6 hours', interval '2 days'),
        ('bars_1m', interval '7 days', interval '90 days'),
        ('bars_1d', interval '1 year', NULL::interval)
$$
"""

# A partition is made apart, then attached: `CREATE ... PARTITION OF` would
# wait for every reader of the table. One lock, so that two who want the same make it once.
MAKE_PARTITIONS = """
CREATE FUNCTION make_bar_partitions(p_starts timestamptz[]) RETURNS SETOF text
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    wanted record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bar_partitions'));
    FOR wanted IN
        WITH firsts AS (
            SELECT DISTINCT parent, step, CASE parent
                WHEN 'bars_1s' THEN date_bin(step, at, '2001-01-01Z')
                WHEN 'bars_1m' THEN date_trunc('week', at)
                ELSE date_trunc('year', at)
            END AS lower
            FROM bar_partition_rules(), unnest(p_starts) AS at
        ), both_of_them AS (
            SELECT parent, step, lower FROM firsts
            UNION
            SELECT parent, step, lower + step FROM firsts
        )
        SELECT parent, lower, lower + step AS upper,
            parent || to_char(lower, '"_p"YYYYMMDD"t"HH24') AS name
        FROM both_of_them ORDER BY parent, lower
    LOOP
        CONTINUE WHEN to_regclass(quote_ident(wanted.name)) IS NOT NULL;
        -- Bars that are still open are updated again and again: room for that in each page.
        EXECUTE format(
            'CREATE TABLE %I (LIKE %I INCLUDING ALL) WITH (fillfactor = 70)',
            wanted.name, wanted.parent
        );
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            wanted.parent, wanted.name, wanted.lower, wanted.upper
        );
        RETURN NEXT wanted.name;
    END LOOP;
END $$
"""

DROP_PARTITIONS = r"""
CREATE FUNCTION drop_bar_partitions(p_now timestamptz DEFAULT now()) RETURNS SETOF text
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    old record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bar_partitions'));
    FOR old IN
        SELECT child.relname AS name
        FROM bar_partition_rules() AS rules
        JOIN pg_inherits ON inhparent = to_regclass(rules.parent)
        JOIN pg_class child ON child.oid = inhrelid
        WHERE substring(pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''(.+)''\)')
            ::timestamptz <= p_now - rules.retention
        ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE %I', old.name);
        RETURN NEXT old.name;
    END LOOP;
END $$
"""


def upgrade() -> None:
    for table in TABLES:
        op.execute(BARS.format(table=table))
    for statement in PROGRESS:
        op.execute(statement)
    op.execute(PARTITION_RULES)
    op.execute(MAKE_PARTITIONS)
    op.execute(DROP_PARTITIONS)
    op.execute("SELECT make_bar_partitions(ARRAY[now()])")


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
