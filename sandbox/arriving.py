"""What one connection may send: so much and for so long, whatever it announces."""

import io
import socket
import time

CONNECTION_LIMIT = 8_000_000
"""Bytes. A body over the API's limit is answered at once; what its sender goes on to send is passed over up to here,
so that most get to see the answer before the connection ends."""
SECONDS = 30.0
"""From the first byte waited for to the last one; an answer may take longer."""


class Arriving(io.RawIOBase):
    """A socket's bytes, with an end after CONNECTION_LIMIT bytes or SECONDS."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left = CONNECTION_LIMIT
        self._until = time.monotonic() + SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        seconds = self._until - time.monotonic()
        if not self._left or seconds <= 0:
            return 0
        self._connection.settimeout(seconds)
        try:
            size = self._connection.recv_into(buffer, min(len(buffer), self._left))
        except TimeoutError:
            return 0
        finally:
            self._connection.settimeout(SECONDS)
        self._left -= size
        return size
