"""Decisions that survive a crash: the life of an order.

May import activities, contracts and domain; no driver and no settings. Workers run these, the edges
start and ask them.
"""
