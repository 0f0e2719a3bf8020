"""The `sherwood` command, written with the library of the package above it.

Start at `client.command.cli`; each command lies in the module of its subject, the operators' in
`ops`. `session` runs what a command asks and turns errors into words and exit codes, `render`
draws.

May import: what the library may, pydantic-settings, rich and typer. The library imports nothing of
this.
"""
