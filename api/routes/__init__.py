"""One module a subject, each with a `router`; what a route needs comes from `api.node`.

May import the rest of `api`. Owns nothing that has to be closed.
"""
