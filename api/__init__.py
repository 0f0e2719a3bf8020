"""The HTTP edge: REST and SSE for customers, health and metrics for operators.

May import every floor below it except activities: it asks workflows and reads Postgres. Owns
FastAPI and PyJWT. `python -m api` opens everything in `api.node` and closes it on the way out.
"""
