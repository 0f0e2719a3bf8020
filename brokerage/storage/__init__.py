"""Postgres: the pool, reads, writes, admission, and the schema's migrations.

May import contracts, domain and runtime. Owns asyncpg, alembic and SQLAlchemy. Only activities use
`writes`; the API uses `admission` and `reads`. A process opens the pool with `pool.open_pool` and
closes it on the way out. Locks are always taken in the order user, order, ledger.
"""
