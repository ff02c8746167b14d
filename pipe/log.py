"""The log, which is the pipe's interface: short lines in the toolkit's colours on one stream, every secret masked."""

from __future__ import annotations

import contextlib
import logging
import sys

import bitbucket_pipes_toolkit as toolkit

from pipe.lib.masking import Mask
from pipe.lib.text import masked_line

MAX_LINE_LENGTH = 4000  # characters


class Log:
    """Lines on stderr, so that their order holds; stdout is for DRY_RUN's events only."""

    def __init__(self, mask: Mask, *, debug: bool = False) -> None:
        self._mask = mask
        self._logger = toolkit.get_logger()  # the import has configured it, a second time would print each line twice
        self._logger.setLevel("DEBUG" if debug else "INFO")
        logging.raiseExceptions = False  # a full or closed stream must not turn a page that went out into a failure
        for library in ("urllib3", "dulwich"):
            logging.getLogger(library).setLevel("CRITICAL")  # they warn with tracebacks, and quote headers unmasked

    def debug(self, message: str) -> None:
        self._logger.debug(self._line(message))

    def info(self, message: str) -> None:
        self._logger.info(self._line(message))

    def warning(self, message: str) -> None:
        """A yellow line: what must not be missed."""
        self._logger.warning(self._line(message))

    def success(self, message: str) -> None:
        """A green line."""
        with contextlib.suppress(OSError), contextlib.redirect_stdout(sys.stderr):
            toolkit.success(self._line(message), do_exit=False)

    def fail(self, message: str) -> None:
        """A red line; only `main` exits."""
        with contextlib.suppress(OSError), contextlib.redirect_stdout(sys.stderr):
            toolkit.fail(self._line(message), do_exit=False)
            sys.stdout.flush()

    def print_event(self, text: str, *, to_stdout: bool = False) -> None:
        """A whole event as one line of JSON."""
        with contextlib.suppress(OSError):
            print(self._mask.text(text), file=sys.stdout if to_stdout else sys.stderr, flush=True)

    def _line(self, message: str) -> str:
        return masked_line(message, self._mask.text, MAX_LINE_LENGTH)
