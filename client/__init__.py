"""The Sherwood client: a typed asynchronous library over REST and SSE, and the `sherwood` command.

Start at `client.sherwood.Sherwood` for the library; the command is in `client.command`. Modules
with a leading underscore are the library's own.

May import: the standard library, httpx, msgspec. Nothing of the server's: it knows Sherwood by its
HTTP interface only, as any other program would.

Lifecycle: whoever opens a `Sherwood` with `async with` owns its connections; nothing runs at
import, nothing runs in the background.
"""
