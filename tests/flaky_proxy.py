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
    """The server does the work, and its answer never arrives; of every other one 500 does."""
    cut: float = 0.0
    """Half of the answer's body arrives."""
    refused: float = 0.0
    """The server hears nothing of it: every other one is told so (503), the connections of the
    others are closed."""
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each request was made, by method and path."""
    happened: Counter[str] = field(default_factory=Counter)
    """How often what happened to them."""
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def fate(self, method: str, path: str) -> str:
        """What happens to the next request of this kind: "", or what goes wrong."""
        with self._one_at_a_time:
            self.asked[method, path] += 1
            draw = Random(f"{self.seed} {method} {path} {self.asked[method, path]}").random()
            fate = ""
            for word, share in self.shares().items():
                if 0 <= draw < share:
                    fate = word
                draw -= share
            self.happened[fate] += 1
            return fate

    def worked(self, fate: str) -> None:
        """The server has done what it was asked for, and its answer has not left."""

    def shares(self) -> dict[str, float]:
        """Of each thing that goes wrong."""
        lost, refused = self.lost / 2, self.refused / 2
        return {"lost": lost, "500": lost, "cut": self.cut, "closed": refused, "503": refused}


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
        wbufsize = -1  # head and body of an answer go out together

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fate = faults.fate(self.command, self.path)
            if fate not in ("503", "closed"):
                upstream = http.client.HTTPConnection(server, timeout=60)
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
                upstream.close()
                faults.worked(fate)
                headers = [(k, v) for k, v in answer.getheaders() if k.lower() not in KEPT]
                length = int(answer.headers.get("Content-Length", len(content)))
                if fate in ("", "cut"):
                    sent = content[: len(content) // 2] if fate == "cut" else content
                    self.answer(answer.status, answer.reason, headers, sent, length)
            if fate in ("500", "503"):
                self.answer(int(fate), "Slow Down", [], b"")
            self.close_connection = fate in ("lost", "cut", "closed")

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
