"""The rules of a broker: orders, money, ledger, prices. Values in, values out.

Imports the standard library only, and of that nothing that knows the time, chance, the operating
system or another process. Times and ids come in from outside.
"""
