"""A certificate that nobody trusts, and a proxy that ends TLS in front of a server."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3

# RFC 9110, 7.6.1, and what is made anew here.
_OUR_OWN = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "content-length"}


def certificate(folder: Path) -> Path:
    """A PEM file with a certificate for 127.0.0.1 and its key."""
    pem, shown = folder / "loopback.pem", folder / "cert.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=loopback"
    command = ["openssl", "req", *options.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(pem), "-out", str(shown)]
    subprocess.run(command, check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + shown.read_bytes())
    return pem


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    target = ""
    http: urllib3.PoolManager

    def handle_error(self, *_: object) -> None:
        """Browsers hang up when they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def forward(self) -> None:
        """Hand on the request with what a proxy adds, and the whole response."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OUR_OWN}
        headers |= {
            "X-Forwarded-For": self.client_address[0],
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": self.headers["Host"],
        }
        answer = self.server.http.request(
            self.command,
            self.server.target + self.path,
            body=body or None,
            headers=headers,
            redirect=False,
            decode_content=False,
        )
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _OUR_OWN:
                self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        self.wfile.write(answer.data)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.forward
        raise AttributeError(name)


@contextmanager
def proxy(target: str, pem: Path) -> Iterator[str]:
    """A proxy that speaks TLS and asks `target`; yields its https address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with (
        _Proxy(("127.0.0.1", 0), _Handler) as server,
        urllib3.PoolManager(retries=False, maxsize=16) as http,
    ):
        server.target, server.http = target, http
        # Shaking hands is for the connection's own thread.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
