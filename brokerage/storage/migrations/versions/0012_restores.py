"""What a start from a loss must remember."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SCHEMA: tuple[str, ...] = (
    """
    CREATE TABLE restored_orders (
        order_id     uuid PRIMARY KEY,
        user_id      text NOT NULL,
        body_hashes  bytea[] NOT NULL
    )
    """,
    """
    COMMENT ON TABLE restored_orders IS
        'Orders that came back from the exchange without their idempotency key: the first request'
        ' that names one gives it back. Until then the order''s id stands in for it.'
    """,
    """
    ALTER FUNCTION claim_key(text, uuid, uuid, text, bytea, bigint, timestamptz)
        RENAME TO claim_kept_key
    """,
    """
    -- Give a restored order its key; false: the body means another order than the one restored.
    CREATE FUNCTION give_back_key(p_user text, p_key uuid, p_order uuid, p_body_hash bytea)
    RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE
        restored restored_orders%ROWTYPE;
    BEGIN
        PERFORM FROM accounts a WHERE a.user_id = p_user FOR UPDATE;
        SELECT * INTO restored FROM restored_orders r WHERE r.order_id = p_order;
        IF NOT FOUND THEN
            RETURN true;
        END IF;
        IF p_body_hash <> ALL (restored.body_hashes) THEN
            RETURN false;
        END IF;
        UPDATE idempotency_keys k SET key = p_key, body_hash = p_body_hash
            WHERE k.user_id = p_user AND k.key = p_order;
        UPDATE orders o SET idempotency_key = p_key
            WHERE o.user_id = p_user AND o.order_id = p_order;
        DELETE FROM restored_orders r WHERE r.order_id = p_order;
        RETURN true;
    END $$
    """,
    """
    CREATE FUNCTION claim_key(
        p_user text, p_key uuid, p_order uuid, p_symbol text, p_body_hash bytea,
        p_last_price bigint, p_at timestamptz DEFAULT clock_timestamp(),
        OUT state text, OUT claimed_at timestamptz, OUT last_price_cents bigint,
        OUT reply_status smallint, OUT reply_body text,
        OUT burst bigint, OUT token_seconds float8, OUT full_in_seconds float8,
        OUT refused_by text, OUT per_second bigint, OUT retry_after_seconds float8
    ) LANGUAGE plpgsql AS $$
    BEGIN
        -- Empty, except after a loss.
        IF EXISTS (SELECT FROM restored_orders r WHERE r.order_id = p_order)
            AND NOT give_back_key(p_user, p_key, p_order, p_body_hash)
        THEN
            state := 'mismatch';
            SELECT u.per_second, u.burst, u.token_seconds, 0
                INTO per_second, burst, token_seconds, full_in_seconds FROM rate_of_user(p_user) u;
            RETURN;
        END IF;
        SELECT c.* INTO state, claimed_at, last_price_cents, reply_status, reply_body, burst,
            token_seconds, full_in_seconds, refused_by, per_second, retry_after_seconds
            FROM claim_kept_key(p_user, p_key, p_order, p_symbol, p_body_hash, p_last_price, p_at) c;
    END $$
    """,
)


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a schema only goes forward; restore a backup instead")
