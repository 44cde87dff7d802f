"""A small JSON service: GET /api/port says which copy answers. Python's standard library is all it needs."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The head and the body leave in one packet, not in two that wait for each other.
    wbufsize = -1

    def do_GET(self):
        answers = {
            "/api/port": {"port": self.server.server_port},
            "/api/health": {"ok": True},
        }
        answer = answers.get(self.path.partition("?")[0])
        status = 404 if answer is None else 200
        body = json.dumps(answer or {"error": "no such path"}).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
