"""Tokens of the rate limits and the placing lock, taken with the claim of a key."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = (
    """
    -- Unlogged: nothing is written ahead for them. After a crash every bucket is full, no lock held.
    CREATE UNLOGGED TABLE order_rates (
        scope    text NOT NULL CHECK (scope IN ('user', 'symbol', 'global', 'sweep')),
        subject  text NOT NULL,
        slot     smallint NOT NULL,
        tat      timestamptz NOT NULL,
        PRIMARY KEY (scope, subject, slot)
    ) WITH (fillfactor = 50)
    """,
    """
    COMMENT ON TABLE order_rates IS
        'GCRA: tat is when a bucket is full again (theoretical arrival time); none is a full one. '
        'A busy limit has several slots, each with its share, so that claims do not queue for one row.'
    """,
    """
    CREATE UNLOGGED TABLE placing_locks (
        user_id     text NOT NULL,
        symbol      text NOT NULL,
        order_id    uuid NOT NULL,
        expires_at  timestamptz NOT NULL,
        PRIMARY KEY (user_id, symbol)
    ) WITH (fillfactor = 50)
    """,
    """
    COMMENT ON TABLE placing_locks IS
        'The one order of a user and symbol on its fast path; freed with the write that ends that.'
    """,
)

FUNCTIONS = (
    """
    -- In PL/pgSQL, which keeps its plans: a function in SQL is planned at each call, and four of
    -- them were most of a claim's work.
    CREATE OR REPLACE FUNCTION limit_value(p_name text, p_subject text) RETURNS bigint
    LANGUAGE plpgsql STABLE AS $$
    BEGIN
        RETURN coalesce(
            (SELECT l.value FROM limits l WHERE l.name = p_name AND l.subject = p_subject),
            (SELECT l.value FROM limits l WHERE l.name = p_name AND l.subject = '')
        );
    END $$
    """,
    """
    -- How long one token of one slot takes to come back. A rate of 0 gives none: ask in an hour.
    CREATE FUNCTION token_interval(p_per_second bigint, p_slots integer) RETURNS interval
    LANGUAGE sql IMMUTABLE AS $$
        SELECT make_interval(secs => coalesce(p_slots / nullif(p_per_second, 0)::float8, 3600))
    $$
    """,
    """
    -- What a user may place; '' is who has no row of their own in `limits`.
    CREATE FUNCTION rate_of_user(
        p_user text, OUT per_second bigint, OUT burst bigint, OUT token_seconds float8
    ) LANGUAGE plpgsql STABLE AS $$
    BEGIN
        per_second := limit_value('user-orders-per-second', p_user);
        burst := CASE WHEN per_second > 0 THEN limit_value('user-orders-burst', p_user) ELSE 0 END;
        token_seconds := extract(epoch FROM token_interval(per_second, 1));
    END $$
    """,
    """
    -- A row is locked until its transaction is on disk: one slot for every 100 a second.
    CREATE FUNCTION rate_slots(p_per_second bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
        SELECT least(16, greatest(1, p_per_second / 100))::integer
    $$
    """,
    """
    -- How long until a bucket that holds `p_window` of tokens has one; at most zero: now. Taking it
    -- makes the bucket full again at p_at + this + p_window. What lies a minute further ahead than
    -- can be was written before the clock was set back: the bucket is full.
    CREATE FUNCTION token_wait(
        p_tat timestamptz, p_at timestamptz, p_interval interval, p_window interval
    ) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN p_tat > p_at + p_window + interval '1 minute' THEN p_at
            ELSE greatest(p_tat, p_at) END + p_interval - p_window - p_at
    $$
    """,
    """
    -- The fullest slot that nobody is taking from, locked; where all are, one is waited for.
    CREATE FUNCTION lock_slot(p_scope text, p_subject text, p_slots integer, p_at timestamptz)
    RETURNS order_rates LANGUAGE plpgsql AS $$
    DECLARE
        found_slot order_rates%ROWTYPE;
        any_slot CONSTANT smallint := floor(random() * p_slots);
    BEGIN
        LOOP
            -- They are made all at once: with the last one, all are there.
            IF NOT EXISTS (
                SELECT FROM order_rates r
                WHERE r.scope = p_scope AND r.subject = p_subject AND r.slot = p_slots - 1
            ) THEN
                INSERT INTO order_rates (scope, subject, slot, tat)
                    SELECT p_scope, p_subject, n, p_at FROM generate_series(0, p_slots - 1) n
                    ON CONFLICT DO NOTHING;
            END IF;
            SELECT * INTO found_slot FROM order_rates r
                WHERE r.scope = p_scope AND r.subject = p_subject AND r.slot < p_slots
                ORDER BY r.tat LIMIT 1 FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                RETURN found_slot;
            END IF;
            SELECT * INTO found_slot FROM order_rates r
                WHERE r.scope = p_scope AND r.subject = p_subject AND r.slot = any_slot FOR UPDATE;
            IF FOUND THEN
                RETURN found_slot;
            END IF;
            -- Swept between two statements.
        END LOOP;
    END $$
    """,
    """
    -- Every ten seconds one claim removes what says nothing any more. It waits for nobody: whoever
    -- holds such a row may be waiting for a slot of that claim.
    CREATE FUNCTION sweep_admission(p_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM order_rates r WHERE r.scope = 'sweep' AND r.tat > p_at) THEN
            RETURN;
        END IF;
        INSERT INTO order_rates AS r (scope, subject, slot, tat)
            VALUES ('sweep', '', 0, p_at + interval '10 seconds')
            ON CONFLICT (scope, subject, slot) DO UPDATE SET tat = EXCLUDED.tat WHERE r.tat <= p_at;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        DELETE FROM order_rates WHERE (scope, subject, slot) IN (
            SELECT r.scope, r.subject, r.slot FROM order_rates r
            WHERE r.scope = 'user' AND r.tat <= p_at FOR UPDATE SKIP LOCKED
        );
        DELETE FROM placing_locks WHERE (user_id, symbol) IN (
            SELECT l.user_id, l.symbol FROM placing_locks l
            WHERE l.expires_at <= p_at FOR UPDATE SKIP LOCKED
        );
    END $$
    """,
    """
    DROP FUNCTION claim_key(text, uuid, uuid, bytea, bigint)
    """,
    """
    -- One call claims a key or says what became of it. `state`: new, known, mismatch, no-account,
    -- rate-limited, placing; the last four have taken nothing. Everything is looked at before
    -- anything is written, under the lock of the user's own row: nothing needs to be rolled back.
    -- Tests choose the time; everybody else's is the server's.
    CREATE FUNCTION claim_key(
        p_user text, p_key uuid, p_order uuid, p_symbol text, p_body_hash bytea,
        p_last_price bigint, p_at timestamptz DEFAULT clock_timestamp(),
        OUT state text, OUT claimed_at timestamptz, OUT last_price_cents bigint,
        OUT reply_status smallint, OUT reply_body text,
        OUT burst bigint, OUT token_seconds float8, OUT full_in_seconds float8,
        OUT refused_by text, OUT per_second bigint, OUT retry_after_seconds float8
    ) LANGUAGE plpgsql AS $$
    DECLARE
        one_second CONSTANT interval := interval '1 second';
        symbol_rate CONSTANT bigint := limit_value('symbol-orders-per-second', p_symbol);
        global_rate CONSTANT bigint := limit_value('global-orders-per-second', '');
        symbol_token CONSTANT interval := token_interval(symbol_rate, rate_slots(symbol_rate));
        global_token CONSTANT interval := token_interval(global_rate, rate_slots(global_rate));
        user_token interval;
        claim idempotency_keys%ROWTYPE;
        is_known boolean;
        own order_rates%ROWTYPE;
        of_symbol order_rates%ROWTYPE;
        of_all order_rates%ROWTYPE;
        wait_own interval;
        wait_symbol interval;
        wait_all interval;
    BEGIN
        IF NOT EXISTS (SELECT FROM accounts a WHERE a.user_id = p_user) THEN
            state := 'no-account';
            RETURN;
        END IF;
        SELECT u.per_second, u.burst, u.token_seconds INTO per_second, burst, token_seconds
            FROM rate_of_user(p_user) u;
        user_token := make_interval(secs => token_seconds);
        own := lock_slot('user', p_user, 1, p_at);
        full_in_seconds := greatest(0, extract(epoch FROM own.tat - p_at));

        SELECT * INTO claim FROM idempotency_keys k WHERE k.user_id = p_user AND k.key = p_key;
        is_known := FOUND;
        IF is_known AND claim.body_hash <> p_body_hash THEN
            state := 'mismatch';
            RETURN;
        END IF;
        -- With neither reply nor row nor lock its API died, or answered 503: it is admitted again,
        -- with today's time and price.
        IF is_known AND (
            claim.reply_status IS NOT NULL
            OR EXISTS (SELECT FROM orders o WHERE o.user_id = p_user AND o.order_id = p_order)
            OR EXISTS (
                SELECT FROM placing_locks l WHERE l.user_id = p_user AND l.symbol = p_symbol
                AND l.order_id = p_order AND l.expires_at > p_at
            )
        ) THEN
            state := 'known';
        ELSE
            state := 'rate-limited';
            wait_own := token_wait(own.tat, p_at, user_token, burst * user_token);
            SELECT 'user', extract(epoch FROM wait_own) INTO refused_by, retry_after_seconds;
            IF retry_after_seconds > 0 THEN
                RETURN;
            END IF;
            SELECT extract(epoch FROM l.expires_at - p_at) INTO retry_after_seconds
                FROM placing_locks l
                WHERE l.user_id = p_user AND l.symbol = p_symbol AND l.order_id <> p_order
                AND l.expires_at > p_at;
            IF FOUND THEN
                state := 'placing';
                RETURN;
            END IF;
            of_symbol := lock_slot('symbol', p_symbol, rate_slots(symbol_rate), p_at);
            wait_symbol := token_wait(of_symbol.tat, p_at, symbol_token, one_second);
            SELECT 'symbol', symbol_rate, extract(epoch FROM wait_symbol)
                INTO refused_by, per_second, retry_after_seconds;
            IF retry_after_seconds > 0 THEN
                RETURN;
            END IF;
            of_all := lock_slot('global', '', rate_slots(global_rate), p_at);
            wait_all := token_wait(of_all.tat, p_at, global_token, one_second);
            SELECT 'global', global_rate, extract(epoch FROM wait_all)
                INTO refused_by, per_second, retry_after_seconds;
            IF retry_after_seconds > 0 THEN
                RETURN;
            END IF;

            state := CASE WHEN is_known THEN 'known' ELSE 'new' END;
            full_in_seconds := extract(epoch FROM wait_own + burst * user_token);
            UPDATE order_rates r SET tat = p_at + taken.full_in
                FROM (VALUES
                    ('user', p_user, own.slot, wait_own + burst * user_token),
                    ('symbol', p_symbol, of_symbol.slot, wait_symbol + one_second),
                    ('global', '', of_all.slot, wait_all + one_second)
                ) AS taken (scope, subject, slot, full_in)
                WHERE r.scope = taken.scope AND r.subject = taken.subject AND r.slot = taken.slot;
            INSERT INTO placing_locks AS l (user_id, symbol, order_id, expires_at)
                VALUES (p_user, p_symbol, p_order, p_at + interval '5 seconds')
                ON CONFLICT (user_id, symbol) DO UPDATE
                SET order_id = EXCLUDED.order_id, expires_at = EXCLUDED.expires_at;
            INSERT INTO idempotency_keys AS k
                (user_id, key, order_id, body_hash, claimed_at, last_price_cents)
                VALUES (p_user, p_key, p_order, p_body_hash, p_at, p_last_price)
                ON CONFLICT (user_id, key) DO UPDATE
                SET claimed_at = EXCLUDED.claimed_at, last_price_cents = EXCLUDED.last_price_cents
                RETURNING * INTO claim;
            PERFORM sweep_admission(p_at);
        END IF;
        claimed_at := claim.claimed_at;
        last_price_cents := claim.last_price_cents;
        reply_status := claim.reply_status;
        reply_body := claim.reply_body;
    END $$
    """,
)


def upgrade() -> None:
    for statement in (*TABLES, *FUNCTIONS):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
