"""Side effects of an order's workflow, each safe to repeat.

May import contracts and domain at run time; storage, bus and gateway classes for typing only: the
worker hands in the real ones, so that importing a workflow loads no driver.
"""
