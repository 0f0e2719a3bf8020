"""Accounts, orders, routes, holds, ledger, execution reports, order events, idempotency keys."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What belongs to a user lies in hash partitions by user: a cell is split by moving partitions, and
# the number cannot be changed in place. What the exchange names lies in tables keyed by its ids.
PARTITIONS = 8

PARTITIONED = ("idempotency_keys", "orders", "holds", "ledger_entries", "order_events")

SCHEMA = (
    """
    CREATE TABLE accounts (
        user_id      text PRIMARY KEY,
        opened_at    timestamptz NOT NULL DEFAULT now(),
        cash_cents   bigint NOT NULL DEFAULT 0,
        held_cents   bigint NOT NULL DEFAULT 0,
        event_seq    bigint NOT NULL DEFAULT 0,
        CHECK (held_cents >= 0),
        CHECK (cash_cents >= held_cents)
    ) WITH (fillfactor = 70)
    """,
    """
    COMMENT ON TABLE accounts IS
        'Balances equal the sum of the user''s ledger entries; event_seq is the last order event''s.'
    """,
    """
    CREATE TABLE positions (
        user_id      text NOT NULL REFERENCES accounts,
        symbol       text NOT NULL,
        shares       bigint NOT NULL DEFAULT 0,
        held_shares  bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, symbol),
        CHECK (held_shares >= 0),
        CHECK (shares >= held_shares)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE idempotency_keys (
        user_id           text NOT NULL,
        key               uuid NOT NULL,
        order_id          uuid NOT NULL,
        body_hash         bytea NOT NULL,
        claimed_at        timestamptz NOT NULL,
        last_price_cents  bigint NOT NULL,
        reply_status      smallint,
        reply_body        text,
        PRIMARY KEY (user_id, key),
        CHECK ((reply_status IS NULL) = (reply_body IS NULL))
    ) PARTITION BY HASH (user_id)
    """,
    """
    CREATE TABLE orders (
        user_id                text NOT NULL,
        order_id               uuid NOT NULL,
        idempotency_key        uuid NOT NULL,
        symbol                 text NOT NULL,
        side                   text NOT NULL CHECK (side IN ('buy', 'sell')),
        order_type             text NOT NULL CHECK (order_type IN ('market', 'limit')),
        time_in_force          text NOT NULL CHECK (time_in_force IN ('day', 'gtc', 'ioc')),
        shares                 bigint NOT NULL CHECK (shares > 0),
        limit_price_cents      bigint CHECK (limit_price_cents > 0),
        price_cents            bigint NOT NULL CHECK (price_cents > 0),
        send_by                timestamptz NOT NULL,
        status                 text NOT NULL,
        outcome                text NOT NULL CHECK (outcome IN ('unknown', 'accepted', 'refused')),
        filled_shares          bigint NOT NULL,
        filled_notional_cents  bigint NOT NULL,
        executed_shares        bigint NOT NULL,
        final_shares           bigint,
        end_status             text,
        external_order_id      text,
        reason                 text,
        version                integer NOT NULL,
        created_at             timestamptz NOT NULL,
        updated_at             timestamptz NOT NULL,
        PRIMARY KEY (user_id, order_id),
        UNIQUE (user_id, idempotency_key),
        CHECK (filled_shares BETWEEN 0 AND shares),
        CHECK (executed_shares >= filled_shares),
        CHECK ((status = 'filled') = (filled_shares = shares)),
        CHECK ((order_type = 'limit') = (limit_price_cents IS NOT NULL))
    ) PARTITION BY HASH (user_id)
    """,
    """
    CREATE INDEX orders_by_time ON orders (user_id, created_at DESC, order_id DESC)
    """,
    """
    CREATE TABLE order_routes (
        order_id  uuid PRIMARY KEY,
        user_id   text NOT NULL
    )
    """,
    """
    COMMENT ON TABLE order_routes IS
        'Whose an order is, written with it: the exchange names orders, not users.'
    """,
    """
    CREATE TABLE external_orders (
        external_order_id  text PRIMARY KEY,
        order_id           uuid NOT NULL UNIQUE,
        user_id            text NOT NULL
    )
    """,
    """
    CREATE TABLE holds (
        user_id   text NOT NULL,
        order_id  uuid NOT NULL,
        asset     text NOT NULL,
        shares    bigint NOT NULL CHECK (shares > 0),
        amount    bigint NOT NULL CHECK (amount > 0),
        PRIMARY KEY (user_id, order_id)
    ) PARTITION BY HASH (user_id)
    """,
    """
    COMMENT ON TABLE holds IS
        'What an open order keeps from being spent twice: cents (asset USD) or shares of its symbol.'
    """,
    """
    CREATE TABLE ledger_entries (
        user_id    text NOT NULL,
        source     text NOT NULL,
        leg        smallint NOT NULL,
        account    text NOT NULL
                   CHECK (account IN ('user', 'clearing', 'opening', 'error', 'suspense')),
        asset      text NOT NULL,
        amount     bigint NOT NULL CHECK (amount <> 0),
        order_id   uuid,
        booked_at  timestamptz NOT NULL,
        PRIMARY KEY (user_id, source, leg)
    ) PARTITION BY HASH (user_id)
    """,
    """
    COMMENT ON TABLE ledger_entries IS
        'Double entry, append only: the legs of one source sum to zero in every asset.'
    """,
    """
    CREATE TABLE execution_reports (
        report_id     text PRIMARY KEY,
        kind          text NOT NULL CHECK (kind IN ('fill', 'end')),
        feed_seq      bigint NOT NULL,
        order_id      uuid NOT NULL,
        user_id       text NOT NULL,
        symbol        text NOT NULL,
        shares        bigint NOT NULL,
        booked_shares bigint NOT NULL,
        price_cents   bigint NOT NULL,
        reported_at   timestamptz NOT NULL,
        settled_at    timestamptz NOT NULL
    )
    """,
    """
    CREATE INDEX execution_reports_by_feed ON execution_reports (feed_seq)
    """,
    """
    CREATE INDEX execution_reports_by_order ON execution_reports (order_id)
    """,
    """
    COMMENT ON TABLE execution_reports IS 'What the exchange reported and we booked, each once, ever.'
    """,
    """
    CREATE TABLE order_events (
        user_id   text NOT NULL,
        seq       bigint NOT NULL,
        order_id  uuid NOT NULL,
        step      text NOT NULL,
        kind      text NOT NULL,
        version   integer NOT NULL,
        actor     text NOT NULL,
        address   text NOT NULL,
        detail    jsonb NOT NULL,
        "order"   jsonb NOT NULL,
        at        timestamptz NOT NULL,
        PRIMARY KEY (user_id, seq),
        UNIQUE (user_id, order_id, step),
        UNIQUE (user_id, order_id, version)
    ) PARTITION BY HASH (user_id)
    """,
    """
    COMMENT ON TABLE order_events IS 'Audit trail, outbox and resume log in one; gapless seq per user.'
    """,
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append only', TG_TABLE_NAME;
    END $$
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_entries
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON order_events
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    -- One statement posts one or more whole transactions: checked where they are written.
    CREATE FUNCTION check_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM posted GROUP BY user_id, source, asset HAVING sum(amount) <> 0
        ) THEN
            RAISE EXCEPTION 'ledger entries do not sum to zero';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER balanced AFTER INSERT ON ledger_entries
        REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION check_balanced()
    """,
)

# One call claims a key or says what became of it. `state`: new, known, mismatch, no-account.
CLAIM = """
CREATE FUNCTION claim_key(
    p_user text, p_key uuid, p_order uuid, p_body_hash bytea, p_last_price bigint
) RETURNS TABLE (
    state text, claimed_at timestamptz, last_price_cents bigint,
    reply_status smallint, reply_body text
) LANGUAGE plpgsql AS $$
DECLARE
    claim idempotency_keys%ROWTYPE;
BEGIN
    SELECT * INTO claim FROM idempotency_keys k WHERE k.user_id = p_user AND k.key = p_key;
    IF NOT FOUND THEN
        IF NOT EXISTS (SELECT FROM accounts a WHERE a.user_id = p_user) THEN
            RETURN QUERY SELECT 'no-account', now(), 0::bigint, NULL::smallint, NULL::text;
            RETURN;
        END IF;
        INSERT INTO idempotency_keys AS k
            (user_id, key, order_id, body_hash, claimed_at, last_price_cents)
            VALUES (p_user, p_key, p_order, p_body_hash, clock_timestamp(), p_last_price)
            ON CONFLICT DO NOTHING RETURNING * INTO claim;
        IF FOUND THEN
            RETURN QUERY SELECT 'new', claim.claimed_at, claim.last_price_cents,
                NULL::smallint, NULL::text;
            RETURN;
        END IF;
        -- Somebody with the same key was faster by less than this function takes.
        SELECT * INTO claim FROM idempotency_keys k WHERE k.user_id = p_user AND k.key = p_key;
    END IF;
    IF claim.body_hash <> p_body_hash THEN
        RETURN QUERY SELECT 'mismatch', claim.claimed_at, claim.last_price_cents,
            NULL::smallint, NULL::text;
        RETURN;
    END IF;
    IF claim.reply_status IS NULL AND NOT EXISTS (
        SELECT FROM orders o WHERE o.user_id = p_user AND o.order_id = p_order
    ) THEN
        -- Its API died, or answered 503: admitted again, with today's time and price.
        UPDATE idempotency_keys k
            SET claimed_at = clock_timestamp(), last_price_cents = p_last_price
            WHERE k.user_id = p_user AND k.key = p_key RETURNING * INTO claim;
    END IF;
    RETURN QUERY SELECT 'known', claim.claimed_at, claim.last_price_cents,
        claim.reply_status, claim.reply_body;
END $$;
"""

# The books of one order, read under the user's lock. A statement that waited for a lock still reads
# with the snapshot it began with, hence a function: each of its statements takes a fresh one.
LOCK_BOOKS = """
CREATE FUNCTION lock_books(p_user text, p_order uuid, p_symbol text, p_reports text[])
RETURNS TABLE (
    cash_cents bigint, held_cents bigint, position_shares bigint, held_shares bigint,
    hold_shares bigint, known_reports text[], "order" orders
) LANGUAGE plpgsql AS $$
DECLARE
    account accounts%ROWTYPE;
    placed orders%ROWTYPE;
BEGIN
    SELECT * INTO account FROM accounts a WHERE a.user_id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT * INTO placed FROM orders o WHERE o.user_id = p_user AND o.order_id = p_order;
    RETURN QUERY
        SELECT account.cash_cents, account.held_cents,
            coalesce(p.shares, 0), coalesce(p.held_shares, 0), coalesce(h.shares, 0),
            ARRAY(SELECT r.report_id FROM execution_reports r
                  WHERE r.report_id = ANY (p_reports)),
            placed
        FROM (SELECT 1) AS one
        LEFT JOIN positions p
            ON p.user_id = p_user AND p.symbol = coalesce(placed.symbol, p_symbol)
        LEFT JOIN holds h ON h.user_id = p_user AND h.order_id = p_order;
END $$;
"""


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)
    for table in PARTITIONED:
        for remainder in range(PARTITIONS):
            op.execute(
                f"CREATE TABLE {table}_p{remainder} PARTITION OF {table} "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {remainder})"
            )
    op.execute(CLAIM)
    op.execute(LOCK_BOOKS)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
