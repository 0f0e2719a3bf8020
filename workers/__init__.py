"""One module a process: it reads the settings, opens what the process needs, runs, closes.

May import everything below it. Each module is started as `python -m workers.<name>`.
"""
