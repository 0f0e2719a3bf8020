"""How prices reach viewers: one node on a core of its own, beside the usual way to write it.

A publisher stands in for the feed, a load client for the viewers; both are processes of their own
(`bench.prices.publisher`, `bench.prices.viewers`) that are told what to do in JSON lines.
"""
