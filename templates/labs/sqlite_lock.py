"""A server whose every POST reads a number from a SQLite file, works for a moment, and writes it plus one."""

import http.server
import os
import sqlite3
import sys
import time

MODE = os.environ.get("MODE", "deferred")
DB = os.environ.get("DB", "count.db")
# What an application does between reading and writing.
WORK = 0.003


def connect():
    # Transactions are begun here by hand, as the lesson is about how.
    return sqlite3.connect(DB, timeout=20, isolation_level=None)


def add():
    database = connect()
    try:
        database.execute("BEGIN IMMEDIATE" if MODE == "immediate" else "BEGIN DEFERRED")
        (number,) = database.execute("SELECT number FROM counter").fetchone()
        time.sleep(WORK)
        database.execute("UPDATE counter SET number = ?", (number + 1,))
        database.execute("COMMIT")
    finally:
        database.close()


def prepare():
    database = connect()
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE IF NOT EXISTS counter (number INTEGER NOT NULL)")
        database.execute("INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT * FROM counter)")
        database.execute("COMMIT")
    finally:
        database.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        database = connect()
        try:
            (number,) = database.execute("SELECT number FROM counter").fetchone()
        finally:
            database.close()
        self.answer(200, f"{number}\n")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            add()
        except sqlite3.OperationalError as error:
            self.log_error("%s", error)
            self.answer(500, f"{error}\n")
        else:
            self.answer(200, "added\n")

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    prepare()
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
