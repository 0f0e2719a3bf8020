"""The simulated exchange: another company, reached by its protocol only.

It imports nothing of the other packages, and they import only `exchange.protocol`. One process
(`python -m exchange`) owns everything in it; `exchange.server.serve` opens and closes it.
"""
