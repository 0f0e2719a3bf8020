"""What every command shares: settings, consoles, a client, and errors turned into exit codes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import httpx
import msgspec
import typer
from pydantic import ValidationError
from rich.console import Console

from client.auth import BearerToken, DevelopmentUser, TokenCache
from client.command.advice import advice_of
from client.command.exit_codes import ExitCode, exit_code_of
from client.command.nearest import nearest_symbols
from client.command.render import show_line
from client.command.settings import ClientSettings
from client.errors import OutcomeUnknown, Problem, SherwoodError, Unreachable
from client.retry import Retry, RetryPolicy
from client.sherwood import Sherwood

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a test replaces; given to the command as typer's context object."""

    http_transport: httpx.AsyncBaseTransport | None = None
    policy: RetryPolicy | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def auth_of(
    settings: ClientSettings, user: str | None, scope: str | None = None
) -> httpx.Auth | None:
    """Who asks: the named development user, else the token, else the user of the settings."""
    if user is None and settings.token is not None:
        return BearerToken(settings.token.get_secret_value())
    name = user or settings.user
    if name is None:
        return None
    return DevelopmentUser(settings.base_url, name, TokenCache(settings.cache_folder), scope=scope)


class Session:
    """One run of one command.

    `out` is for results alone, `notes` (standard error) for everything said beside them. `scope` is
    what the token of a development user is asked for with.
    """

    def __init__(
        self,
        wiring: Wiring,
        *,
        as_json: bool,
        user: str | None = None,
        scope: str | None = None,
    ) -> None:
        self.out = Console()
        self.notes = Console(stderr=True)
        self.as_json = as_json
        self._wiring = wiring
        self._user = user
        self._scope = scope
        self._nearest: tuple[str, ...] = ()
        try:
            self._settings = ClientSettings()
        except ValidationError as error:
            first = error.errors()[0]
            name = "_".join(map(str, first["loc"])).upper()
            self._fail(ExitCode.USAGE, "settings", f"SHERWOOD_{name}: {first['msg']}", cause=error)

    def run(
        self,
        work: Callable[[Sherwood], Awaitable[T]],
        *,
        needs_user: bool = True,
        policy: RetryPolicy | None = None,
    ) -> T:
        """Return what `work` returns; leave the command with an exit code if it fails."""
        auth = auth_of(self._settings, self._user, self._scope)
        if auth is None and needs_user:
            self._fail(
                ExitCode.NOT_AUTHORISED,
                "no-token",
                "no token: set SHERWOOD_TOKEN, or name a development user with --user NAME "
                "or SHERWOOD_USER",
            )

        async def open_and_work() -> T:
            async with Sherwood(
                self.base_url,
                auth=auth,
                policy=policy or self._wiring.policy,
                on_retry=self._note_retry,
                sleep=self._wiring.sleep,
                http_transport=self._wiring.http_transport,
            ) as sherwood:
                try:
                    return await work(sherwood)
                except Problem as error:
                    self._nearest = await nearest_symbols(sherwood, error)
                    raise

        try:
            return asyncio.run(open_and_work())
        except SherwoodError as error:
            self.explain(error)
            raise typer.Exit(exit_code_of(error)) from error

    def follow(self, work: Callable[[Sherwood], Awaitable[bool]]) -> NoReturn:
        """Run what goes on until it is stopped, and leave: well if `work` says that all came that
        was waited for.
        """
        try:
            came = self.run(work)
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.OK) from None  # the ordinary way to stop watching
        raise typer.Exit(ExitCode.OK if came else ExitCode.UNAVAILABLE)

    @property
    def base_url(self) -> str:
        """Where Sherwood is."""
        return self._settings.base_url

    @property
    def temporal_ui(self) -> str:
        """Where Temporal's UI shows the orders."""
        url = str(self._settings.temporal_ui_url).rstrip("/")
        return f"{url}/namespaces/{self._settings.temporal_namespace}"

    def show_json(self, document: object) -> None:
        """Write one JSON document, indented."""
        text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
        if self.out.is_terminal:
            self.out.print_json(text)
        else:
            show_line(self.out, text)

    def note(self, text: str) -> None:
        """Say something beside the result; nothing with `--json`, whose readers are programs."""
        if not self.as_json:
            show_line(self.notes, text)

    def _note_retry(self, retry: Retry) -> None:
        self.note(
            f"{retry.reason}; attempt {retry.attempt + 1} of {retry.attempts_max} "
            f"in {retry.delay_seconds:.1f} s"
        )

    def _fail(
        self, code: ExitCode, name: str, detail: str, cause: Exception | None = None
    ) -> NoReturn:
        self._write_error({"code": name, "detail": detail, "retryable": False})
        raise typer.Exit(code) from cause

    def explain(self, error: SherwoodError) -> None:
        """Say on standard error what went wrong, and what to do about it."""
        facts: dict[str, object] = {"detail": str(error), "retryable": error.retryable}
        match error:
            case Problem():
                facts |= {
                    "code": error.code,
                    "status": error.status,
                    "detail": error.detail,
                    "order": error.order,
                    **error.extra,
                }
            case OutcomeUnknown():
                facts |= {"code": "outcome-unknown", "idempotencyKey": error.key}
            case Unreachable():
                facts |= {"code": "unreachable"}
            case _:
                facts |= {"code": "unexpected-answer"}
        if self._nearest:
            facts["nearest"] = self._nearest
        if error.retry_after_seconds is not None:
            facts["retryAfterSeconds"] = error.retry_after_seconds
        self._write_error(facts)
        advice = advice_of(error)
        if advice is not None:
            self.note(advice)
        if self._nearest:
            self.note(f"did you mean {' or '.join(self._nearest)}? `sherwood symbols` lists all")

    def _write_error(self, facts: dict[str, object]) -> None:
        if self.as_json:
            show_line(self.notes, msgspec.json.encode({"error": facts}).decode())
            return
        code = facts["code"]
        self.notes.print(
            f"{facts['detail']} ({code})",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def session_of(context: typer.Context, *, as_json: bool, user: str | None = None) -> Session:
    """The session of a customer's command."""
    return Session(context.ensure_object(Wiring), as_json=as_json, user=user)
