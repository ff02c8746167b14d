"""A loopback TLS server that accepts every event at once, and writes down when each one was there.

python -m bench.server CERTIFICATE KEY LOG: prints its port; a line in LOG is a moment of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import http.server
import ssl
import sys
import time

ANSWER = b'{"status":"success","message":"Event processed","dedup_key":"bitbucket:acme/shop:branch/main"}'


class Accepting(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[3], "a") as log:
            log.write(f"{time.monotonic()}\n")
        self.send_response(202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Accepting)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_port, flush=True)
    server.serve_forever()
