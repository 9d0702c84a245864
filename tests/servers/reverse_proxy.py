"""A reverse proxy that serves another server below a path, as nginx does with ``proxy_pass``."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_OWN = {"connection", "transfer-encoding", "content-length", "date", "server"}


@contextmanager
def reverse_proxy(target: str, prefix: str, *, strips: bool, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield the URL below which ``target`` is reached, without a slash at the end.

    Args:
        strips: whether the prefix is taken out of the path.
        headers: sent with each request; Host is the target's, as nginx has it by default.
    """
    host = urlsplit(target).netloc

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404, "not below the prefix")
                return
            path = (self.path.removeprefix(prefix) or "/") if strips else self.path
            length = int(self.headers.get("Content-Length", 0))
            sent = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
            connection = http.client.HTTPConnection(host, timeout=60)
            try:
                connection.request(self.command, path, self.rfile.read(length), {**sent, **(headers or {})})
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _OWN:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            finally:
                connection.close()

        do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815  as the base class calls them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  likewise
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
