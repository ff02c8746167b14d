"""In place of certifi's own module, which would unpack its file at every start and leave it behind.

The system's certificates where it has a file of them, as the image takes its base's; elsewhere (Windows) certifi's,
unpacked for this process alone.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pkgutil
import ssl
import tempfile
from functools import cache

SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat, Amazon Linux
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


@cache
def where() -> str:
    """The path of a file of certificates."""
    for path in (ssl.get_default_verify_paths().cafile, *SYSTEM):
        if path and os.path.isfile(path):
            return path
    return _unpacked()


def _unpacked() -> str:
    handle, path = tempfile.mkstemp(prefix="pagerduty-events-", suffix=".pem")
    with open(handle, "wb") as file:
        file.write(pkgutil.get_data("certifi", "cacert.pem") or b"")
    ours, leave = os.getpid(), os._exit

    def remove() -> None:
        if os.getpid() == ours:  # a child behind the wall ends too
            with contextlib.suppress(OSError):
                os.unlink(path)

    def remove_and_leave(status: int) -> None:
        remove()
        leave(status)

    atexit.register(remove)
    os._exit = remove_and_leave  # type: ignore[assignment]  # by which the pipe ends, without what atexit has
    return path
