"""What crosses a process: commands, reports, subjects, ids, problems, the order as clients see it.

May import `brokerage.domain` only, and no third party: these types are loaded by workflow code.
"""
