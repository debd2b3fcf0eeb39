"""A real HTTP server on 127.0.0.1 that takes messages as Apprise's target `json://` sends them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Inbox:
    """What came in; `answer` is the HTTP status that it gives, after `seconds`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answer = 200
        self.seconds = 0.0
        self.messages: list[dict[str, Any]] = []

    def target(self, path: str = "fink") -> str:
        """Return the address of this server as a target."""
        return f"json://127.0.0.1:{self.port}/{path}"

    def bodies(self) -> list[str]:
        """Return the text of each message that was taken."""
        return [str(message["message"]) for message in self.messages]


@contextmanager
def open_inbox() -> Iterator[Inbox]:
    """Serve until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(inbox.seconds)
            if inbox.answer < 300:
                inbox.messages.append(body)
            self.send_response(inbox.answer)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox = Inbox(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
