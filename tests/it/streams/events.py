"""Server-sent events as an ASGI application sends them, each with the moment at which it is written."""

import asyncio
import time


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    if scope["path"] == "/resumed":
        await resumed(send, headers.get("last-event-id"))
    elif scope["path"] == "/timed":
        await timed(send)
    else:
        await start(send, "text/html")
        await send({"type": "http.response.body", "body": b"<h1>Events</h1><ul></ul>"})


async def start(send, kind):
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", kind.encode()), (b"cache-control", b"no-cache")],
        }
    )


async def event(send, text):
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def timed(send):
    await start(send, "text/event-stream")
    for number in range(200):
        await asyncio.sleep(0.005)
        await event(send, f"id: {number}\ndata: {time.monotonic_ns()}\n\n")
    await send({"type": "http.response.body"})


async def resumed(send, last):
    """Three events that follow the last one that the client has, then an end, after which it is to come again."""
    await start(send, "text/event-stream")
    await event(send, "retry: 50\n\n")
    first = int(last or 0) + 1
    for number in range(first, first + 3):
        await event(send, f"id: {number}\ndata: {number} after {last or 'none'}\n\n")
    await send({"type": "http.response.body"})
