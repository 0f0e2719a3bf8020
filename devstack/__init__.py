"""One command that starts and supervises every process of Sherwood on one machine.

Imports no package of the server or the client: it starts processes by module name and knows them
by their health routes. Its lifecycle is owned by `devstack.stack.DevStack`, which `make up` and
the tests both use; nothing it starts outlives it.
"""
