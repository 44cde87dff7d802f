"""A chat room over WebSockets, kept in the memory of this one process: who is at another backend is in another room."""

import os

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

PORT = os.environ.get("PORT", "?")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Chat</title>
<h1>Using port %s</h1>
<form><input name="text" autocomplete="off" autofocus> <button>Send</button></form>
<ul id="messages"></ul>
<script>
  const socket = new WebSocket(`ws://${location.host}/ws`)
  socket.onmessage = (event) => {
    const line = document.createElement('li')
    line.textContent = event.data
    document.querySelector('#messages').append(line)
  }
  document.querySelector('form').onsubmit = (event) => {
    event.preventDefault()
    socket.send(event.target.text.value)
    event.target.reset()
  }
</script>
""" % PORT

app = FastAPI()
room: set[WebSocket] = set()


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


@app.websocket("/ws")
async def chat(socket: WebSocket) -> None:
    await socket.accept()
    # Whoever has read this is in the room.
    room.add(socket)
    try:
        await socket.send_text(f"you are in the room of port {PORT}")
        while True:
            text = await socket.receive_text()
            for other in list(room):
                try:
                    await other.send_text(text)
                except (RuntimeError, WebSocketDisconnect):
                    # It has just gone; its own call takes it out.
                    pass
    except WebSocketDisconnect:
        pass
    finally:
        room.discard(socket)
