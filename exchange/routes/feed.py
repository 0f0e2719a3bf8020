"""The feed: hello, what was missed, then everything as it happens."""

import asyncio
from typing import Final

import msgspec
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from exchange.desk import Desk, Refused, check_name
from exchange.hub import FeedConnection, join
from exchange.protocol import HEARTBEAT_SECONDS, Hello, Listing, Snapshot

_encode = msgspec.json.Encoder().encode
_REPLAY_MESSAGES: Final = 500
_REPLAY_FRAMES: Final = 50
_CLOSE_INVALID: Final = 4400
_CLOSE_FULL: Final = 4429
_CLOSE_SLOW: Final = 1013
_CLOSE_GOING: Final = 1001


def feed_routes(desk: Desk) -> APIRouter:
    """Return the feed's route."""
    router = APIRouter(tags=["feed"])

    @router.websocket("/v1/feed")
    async def feed(socket: WebSocket) -> None:
        query = socket.query_params
        try:
            member = query.get("member") or socket.headers.get("x-member", "")
            check_name(member, "member")
            after_member = _number(query.get("afterMember"), "afterMember") or 0
            after_trade = _number(query.get("afterTrade"), "afterTrade")
        except Refused as refused:
            await socket.close(_CLOSE_INVALID, refused.problem.detail)
            return
        if (
            desk.connections.feed_count() >= desk.settings.feed_connection_max
            or desk.connections.is_new_member_refused(member)
        ):
            await socket.close(_CLOSE_FULL, "too many feed connections")
            return
        assert socket.client is not None
        client = (socket.client.host, socket.client.port)
        await socket.accept()
        connection = FeedConnection(member, lambda: desk.connections.abort(client))
        desk.connections.feed_opened(client, member)
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(_listen(socket, connection))
                await _send_all(desk, socket, connection, after_member, after_trade)
                listening.cancel()
        except* (WebSocketDisconnect, RuntimeError, OSError):
            # The reader went away, perhaps between two frames (RuntimeError: the socket was closed
            # before): nothing is lost, it will say where it was.
            pass
        finally:
            desk.hub.detach(connection)
            desk.connections.feed_closed(client, member)

    return router


async def _listen(socket: WebSocket, connection: FeedConnection) -> None:
    """Notice when the reader goes; whatever it says is not for us."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        continue
    connection.fail("gone")


async def _send_all(
    desk: Desk,
    socket: WebSocket,
    connection: FeedConnection,
    after_member: int,
    after_trade: int | None,
) -> None:
    greeting, after_trade = _greeting(desk, connection.member, after_trade)
    greeted_version = desk.venue.trading.version
    for frame in greeting:
        await socket.send_text(frame.decode())
    await _catch_up(desk, socket, connection, after_member, after_trade)
    if desk.venue.trading.version != greeted_version:
        connection.offer(_encode([desk.venue.trading]))
    while connection.failed is None:
        silent_seconds = desk.hub.faults.silent_seconds(connection.member)
        if silent_seconds:
            await desk.pause(min(silent_seconds, 0.1))
            continue
        waiting = connection.take()
        if waiting is None:
            await connection.wake.wait()
        else:
            await socket.send_text(waiting.decode())
    if connection.failed == "too slow":
        await socket.close(_CLOSE_SLOW, connection.failed)
    elif connection.failed != "gone":
        await socket.close(_CLOSE_GOING, connection.failed)


def _greeting(desk: Desk, member: str, after_trade: int | None) -> tuple[list[bytes], int]:
    """Return the first frames, and the trade after which to go on.

    They are hello, and a snapshot where trades cannot be replayed.
    """
    hub, venue = desk.hub, desk.venue
    venue.settle()
    hello = Hello(
        session=desk.session,
        listings=[Listing(security.symbol, security.name) for security in desk.listed],
        member_seq=venue.member_seq(member),
        trade_seq=hub.log.last_seq,
        heartbeat_seconds=HEARTBEAT_SECONDS,
        trading=venue.trading,
    )
    if after_trade is not None and hub.log.reaches(after_trade):
        return [_encode([hello])], after_trade
    snapshot = Snapshot(hub.log.last_seq, venue.engine.floor.statistics())
    return [_encode([hello]), _encode([snapshot])], hub.log.last_seq


async def _catch_up(
    desk: Desk, socket: WebSocket, connection: FeedConnection, after_member: int, after_trade: int
) -> None:
    """Replay until nothing is missing, then attach in the same step."""
    hub, journal = desk.hub, desk.venue.journal
    while connection.failed is None:
        frames, after_trade = hub.log.frames_after(after_trade, _REPLAY_FRAMES)
        messages = journal.messages_after(connection.member, after_member, _REPLAY_MESSAGES)
        if messages:
            after_member = messages[-1][0]
            frames.append(join([body for _, body in messages]))
        if not frames:
            hub.attach(connection)
            return
        for frame in frames:
            await socket.send_text(frame.decode())


def _number(text: str | None, name: str) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Refused(422, "invalid-query", f"{name} must be a whole number")
    return int(text)
