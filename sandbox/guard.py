"""Who may use the sandbox's own addresses: pages of the sandbox and programs, but no web page from elsewhere.

A browser tells in `Origin` and `Sec-Fetch-Site` which page asks, and in `Host` by which name: a page from elsewhere
gives itself away by the former, and one whose name was pointed at this machine (DNS rebinding) by the latter. Programs
such as curl send neither of the first two. This is what OWASP calls verifying the origin; no token is needed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

OWN_NAMES = ("localhost", "host.docker.internal")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Guard:
    """`names` are known as the sandbox's beside addresses in digits, localhost and host.docker.internal."""

    names: Collection[str] = ()

    def complaint(self, method: str, host: str, origin: str | None, fetch_site: str | None) -> str:
        """Why a call to an own address is refused, for a person; empty if it is not."""
        name = _name(f"//{host}")
        if not (_is_address(name) or name.endswith(".localhost") or name in (*OWN_NAMES, *self.names)):
            return f"The sandbox does not know itself as {host!r}: start it with --allow-host NAME if that is right."
        if origin is not None and _place(origin) != host.lower():
            return f"A page of {origin!r} may not use the sandbox."
        if origin is None and method not in SAFE_METHODS and fetch_site not in (None, "same-origin", "none"):
            return "A page from elsewhere may not use the sandbox."
        return ""


def _place(origin: str) -> str | None:
    """`127.0.0.1:8026` out of `http://127.0.0.1:8026`; None out of `null`, or whatever else is no web address."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else None


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
