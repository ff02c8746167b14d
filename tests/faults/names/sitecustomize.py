"""Names that no system knows, for a process of the pipe: FAULT_NAMES is a JSON object of names and their addresses.

A name without addresses is looked up for ever. Everything else is looked up as ever.
"""

import json
import os
import socket
import time

NAMES = json.loads(os.environ.get("FAULT_NAMES") or "{}")
_look_up = socket.getaddrinfo


def getaddrinfo(host, port, *more, **named):
    if host not in NAMES:
        return _look_up(host, port, *more, **named)
    while not NAMES[host]:
        time.sleep(60)
    return [found for address in NAMES[host] for found in _look_up(address, port, *more, **named)]


socket.getaddrinfo = getaddrinfo
