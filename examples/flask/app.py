"""A page that says which copy answers, a counter in a session, and one in the memory of this copy alone."""

import os

from flask import Flask, session

app = Flask(__name__)
# The same in every copy, and after a restart: a random one would log everybody out at the next request.
app.secret_key = "only for this example"
PORT = os.environ.get("PORT", "?")
seen = 0


@app.get("/")
def page():
    global seen
    seen += 1
    session["visits"] = session.get("visits", 0) + 1
    return (
        f"<h1>Using port {PORT}</h1>"
        f"<p>Your visits, in a signed cookie: {session['visits']}</p>"
        f"<p>Requests that this copy has counted in its memory: {seen}</p>"
    )
