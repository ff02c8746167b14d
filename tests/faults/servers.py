"""Servers that go wrong, on sockets of loopback: what each connection meets is one function, and what came is kept."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

HELD_SECONDS = 120.0  # that a silent server keeps a connection at the longest


@dataclass
class Call:
    """One connection: its number from 0 on, the ports of the row's servers by name, and what has come over it."""

    socket: socket.socket
    number: int
    ports: Mapping[str, int]
    closing: threading.Event
    came: bytearray = field(default_factory=bytearray)
    whole: bool = False  # whether a request has come to its end
    status: int | None = None  # the last one that was answered
    began: float = field(default_factory=time.monotonic)

    def receive(self, size: int = 65536) -> bytes:
        piece = self.socket.recv(size)
        self.came += piece
        return piece

    def head(self) -> bytes:
        """Read to the end of a head; what came behind it stays in `came`."""
        while b"\r\n\r\n" not in self.came and self.receive():
            pass
        return self.came.partition(b"\r\n\r\n")[0]

    def request(self) -> bytes:
        """Read a whole request; its body."""
        length = next(
            int(line[15:]) for line in self.head().split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(self.body) < length and self.receive():
            pass
        self.whole = len(self.body) == length
        return self.body

    @property
    def body(self) -> bytes:
        return bytes(self.came.partition(b"\r\n\r\n")[2])

    def send(self, data: bytes) -> None:
        """Say it; that a status was answered is written down before the client can know."""
        for status in re.findall(rb"HTTP/1\.[01] (\d{3})\b", data):
            self.status = int(status)
        self.socket.sendall(data)

    def pause(self, seconds: float) -> None:
        self.closing.wait(seconds)

    def reset(self) -> None:
        """End the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Behaviour = Callable[[Call], None]


class Server:
    """Listens until it is closed; each connection in a thread of its own. With `tls` (certificate and key in one PEM
    file) what `came` is what was encrypted."""

    def __init__(self, behave: Behaviour, tls: Path | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.behave = behave
        self.ports: Mapping[str, int] = {}
        self.calls: list[Call] = []
        self._closing = threading.Event()
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls)
        self._listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def start(self, ports: Mapping[str, int]) -> None:
        self.ports = ports
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            call = Call(accepted, len(self.calls), self.ports, self._closing)
            self.calls.append(call)
            threading.Thread(target=self._serve, args=(call,), daemon=True).start()

    def _serve(self, call: Call) -> None:
        with contextlib.suppress(OSError, ssl.SSLError, StopIteration):
            if self._context:
                call.socket = self._context.wrap_socket(call.socket, server_side=True)
            self.behave(call)
        with contextlib.suppress(OSError):
            call.socket.shutdown(socket.SHUT_RDWR)
        call.socket.close()


# What a server says


def reply(status: int, body: str | bytes = b"", **headers: str) -> bytes:
    """A whole answer. An underscore in a header's name stands for a hyphen."""
    body = body.encode() if isinstance(body, str) else body
    known = {one.value: one.phrase for one in HTTPStatus}
    fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    if 100 <= status < 200 or status in (204, 304):
        del fields["Content-Length"]
    head = [
        f"HTTP/1.1 {status} {known.get(status, 'Unknown')}",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


OK = reply(202, '{"status":"success","message":"Event processed","dedup_key":"k"}')
BUSY = reply(503, "busy")


def answers(*replies: bytes) -> Behaviour:
    """Read the request and answer with the replies in turn, the last one again and again."""
    return in_turn(*map(saying, replies))


def accepts(call: Call) -> None:
    """Read the request and accept it."""
    call.request()
    call.send(OK)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """A behaviour for each connection in turn, the last one again and again."""
    return lambda call: behaviours[min(call.number, len(behaviours) - 1)](call)


def saying(data: bytes, then: bytes = b"", times: int | None = None, pause: float = 0.0) -> Behaviour:
    """Read the request, say `data`, and then the rest piece by piece, so many times or for ever."""

    def behave(call: Call) -> None:
        call.request()
        call.send(data)
        said = 0
        while then and said != times and not call.closing.is_set():
            call.socket.sendall(then)
            call.pause(pause)
            said += 1

    return behave


def dripping(data: bytes) -> Behaviour:
    """Read the request and say this, a byte a second."""

    def behave(call: Call) -> None:
        call.request()
        for number in range(len(data)):
            call.socket.sendall(data[number : number + 1])
            call.pause(1.0)

    return behave


def silent(call: Call) -> None:
    """Read whatever comes and answer nothing."""
    call.socket.settimeout(HELD_SECONDS)
    while call.receive():
        pass


def deaf(call: Call) -> None:
    """Read nothing and answer nothing."""
    call.pause(HELD_SECONDS)


def closes(call: Call) -> None:
    """Read the request and close the connection."""
    call.request()


def resets_before(call: Call) -> None:
    call.reset()


def resets_within(call: Call) -> None:
    call.receive(16)
    call.reset()


def resets_after(call: Call) -> None:
    call.request()
    call.reset()


def saying_then_reset(data: bytes) -> Behaviour:
    def behave(call: Call) -> None:
        call.request()
        call.send(data)
        call.pause(0.1)  # a reset overtakes what was said just before it
        call.reset()

    return behave


def drops_handshake(call: Call) -> None:
    """Read what a TLS client says first, and close."""
    call.receive()


def speaks_plainly(call: Call) -> None:
    """Answer a TLS client as a web server without TLS does."""
    call.receive()
    call.send(reply(400, "bad request"))


# Proxies


def tunnels(login: str = "") -> Behaviour:
    """A proxy that does what it is asked; with a `login` (base64 of user:password), only who sends it."""

    def behave(call: Call) -> None:
        head = call.head().decode("latin-1")
        if login and f"proxy-authorization: basic {login}".lower() not in head.lower():
            call.send(reply(407, "who are you?", Proxy_Authenticate='Basic realm="proxy"'))
            return
        host, _, port = head.split()[1].rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            call.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=_pass_on, args=(onward.recv, call.socket.sendall), daemon=True).start()
            _pass_on(call.receive, onward.sendall)

    return behave


def reads_tls(certificate: Path) -> Behaviour:
    """A proxy that says it tunnels, and then speaks for the host itself."""

    def behave(call: Call) -> None:
        call.head()
        call.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        call.socket = context.wrap_socket(call.socket, server_side=True)
        call.receive()
        call.send(OK)

    return behave


def refuses(data: bytes) -> Behaviour:
    """A proxy that answers every CONNECT with this."""

    def behave(call: Call) -> None:
        call.head()
        call.send(data)

    return behave


def _pass_on(receive: Callable[[int], bytes], send: Callable[[bytes], object]) -> None:
    with contextlib.suppress(OSError):
        while piece := receive(65536):
            send(piece)


@contextlib.contextmanager
def full_backlog(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port that answers no further connection: its queue is full, and nobody accepts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((host, port), family=family, backlog=0))
        for _ in range(20):
            waiting = stack.enter_context(socket.socket(family))
            waiting.settimeout(0.3)
            try:
                waiting.connect(listening.getsockname()[:2])
            except TimeoutError:
                break
        else:
            raise AssertionError("the queue does not get full")
        yield listening.getsockname()[1]


@contextlib.contextmanager
def closed_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port that is nobody's, and stays so: it is bound, and nobody listens."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as bound:
        bound.bind((host, 0))
        yield bound.getsockname()[1]


def certificates(folder: Path) -> dict[str, Path]:
    """Certificate and key in one PEM file each; needs openssl. `good` is for localhost and 127.0.0.1."""
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=x\n[x]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n"
    )
    (folder / "index").write_text("")
    made = {}
    for name, host, start, end in (
        ("good", "localhost", "20200101000000Z", "20991231000000Z"),
        ("self-signed", "localhost", "20200101000000Z", "20991231000000Z"),
        ("expired", "localhost", "20200101000000Z", "20200102000000Z"),
        ("wrong host", "elsewhere.example", "20200101000000Z", "20991231000000Z"),
    ):
        stem = folder / name.replace(" ", "-")
        names = f"subjectAltName=DNS:{host}" + (",IP:127.0.0.1" if host == "localhost" else "")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={host}",
                 "-addext", names, "-keyout", f"{stem}.key", "-out", f"{stem}.csr")  # fmt: skip
        _openssl("ca", "-config", str(folder / "ca.cnf"), "-batch", "-notext", "-selfsign", "-keyfile", f"{stem}.key",
                 "-in", f"{stem}.csr", "-out", f"{stem}.crt", "-startdate", start, "-enddate", end, "-rand_serial")  # fmt: skip
        made[name] = folder / f"{stem.name}.pem"
        made[name].write_bytes(Path(f"{stem}.crt").read_bytes() + Path(f"{stem}.key").read_bytes())
    return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
