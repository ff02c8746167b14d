"""The command line: `python -m sandbox` serves until it is told to stop."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from sandbox.server import Sandbox

DEFAULT_PORT = 8026
"""Not Mailpit's, which many run beside it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 0 then, 1 when the port cannot be had."""
    options = _parser().parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sandbox = Sandbox(
        options.host,
        options.port,
        unknown_keys=options.unknown_key,
        log=None if options.quiet else _to_stderr,
        names=options.allow_host,
    )
    try:
        sandbox.start()
    except OSError as error:
        _to_stderr(f"sandbox: cannot listen: {error.strerror}; give another port with --port")
        return 1
    print(f"sandbox: listening on {sandbox.url}", flush=True)
    stop.wait()
    sandbox.close()
    return 0


def _to_stderr(line: str) -> None:
    # One write per line, so that lines of two threads never mix.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A local stand-in for PagerDuty's Events API v2."
    )
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help="default %(default)s; 0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1", help="default %(default)s; 0.0.0.0 lets containers in")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name of this machine by which the page may be asked for, beside localhost; may be repeated",
    )
    parser.add_argument(
        "--unknown-key",
        action="append",
        default=[],
        metavar="KEY",
        help="answer this routing key with 'Invalid routing key'; may be repeated",
    )
    parser.add_argument("--quiet", action="store_true", help="no line per event on stderr")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
