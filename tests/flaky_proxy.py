"""A proxy before an HTTP server that loses answers, cuts bodies and refuses requests, by a seed."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import urlsplit

KEPT = {"connection", "content-length", "date", "server", "transfer-encoding"}
"""Of the server's headers, those that the proxy writes itself."""


@dataclass
class Faults:
    """What goes wrong, as shares of all requests, and what did so far.

    What happens to a request follows from the seed, from what it asks for and from how often that
    was asked before: not from the order in which several clients come.
    """

    seed: int
    lost: float = 0.0
    """The server does the work, and its answer never arrives."""
    cut: float = 0.0
    """Half of the answer's body arrives."""
    refused: float = 0.0
    """The server hears nothing of it: every other one is told so (503), the connections of the
    others are closed."""
    seen: Counter = field(default_factory=Counter)
    """How often each request was made; and, by its word, each fate."""
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def fate(self, method: str, path: str) -> str:
        """What happens to the next request of this kind: "", or what goes wrong."""
        with self._one_at_a_time:
            self.seen[method, path] += 1
            draw = Random(f"{self.seed} {method} {path} {self.seen[method, path]}").random()
            shares = {"lost": self.lost, "cut": self.cut, "503": self.refused / 2}
            fate = ""
            for word, share in {**shares, "closed": self.refused / 2}.items():
                if 0 <= draw < share:
                    fate = word
                draw -= share
            self.seen[fate] += 1
            return fate


@contextmanager
def flaky(address: str, faults: Faults) -> Iterator[str]:
    """The address of a proxy before the server at an address, for as long as the context lasts."""
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(urlsplit(address).netloc, faults))
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def _handler(server: str, faults: Faults) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fate = faults.fate(self.command, self.path)
            if fate == "503":
                self.answer(503, "Slow Down", [], b"")
                return
            if fate != "closed":
                upstream = http.client.HTTPConnection(server, timeout=60)
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
                upstream.close()
                headers = [(k, v) for k, v in answer.getheaders() if k.lower() not in KEPT]
                if fate != "lost":
                    length = int(answer.headers.get("Content-Length", len(content)))
                    sent = content[: len(content) // 2] if fate == "cut" else content
                    self.answer(answer.status, answer.reason, headers, sent, length)
                    if fate == "":
                        return
            self.close_connection = True

        def answer(
            self,
            status: int,
            reason: str,
            headers: list[tuple[str, str]],
            content: bytes,
            length: int = 0,
        ) -> None:
            self.send_response(status, reason)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = pass_on

        def log_message(self, *_: object) -> None:
            pass

    return Handler
