"""The log, which is the pipe's interface: short lines in the toolkit's colours, with every secret masked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress

from bitbucket_pipes_toolkit import Pipe, fail

from pipe.environment import mend
from pipe.variables import VARIABLES, Settings


def schema(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The toolkit's schema of the variables that are given. Every one is a string to it: parsing other types, it prints
    values and tracebacks."""
    return {variable.name: {"type": "string"} for variable in VARIABLES if variable.name in environ}


class Log(Pipe):
    """The toolkit's pipe, as far as this one needs it: its logger, its success and its failure lines."""

    def __init__(self, environ: Mapping[str, str], settings: Settings) -> None:
        self.settings = settings
        given = schema(environ)
        super().__init__(schema=given, env={name: environ[name] for name in given})
        logging.raiseExceptions = False
        for handler in logging.getLogger().handlers:
            handler.addFilter(self._masked)

    def enable_debug_log_level(self) -> None:
        """The toolkit takes the string "false" for true."""
        if self.settings.debug:
            self.logger.setLevel("DEBUG")

    def success(self, message: str) -> None:
        with suppress(OSError):  # a full or closed stream must not turn a page that went out into a failure
            super().success(self._one_line(message))

    def fail(self, message: str) -> None:
        """A red line; unlike the toolkit's, it does not exit: only `main` does."""
        with suppress(OSError):
            fail(self._one_line(message), do_exit=False)

    def print_whole(self, text: str) -> None:
        with suppress(OSError):
            print(self.settings.mask.text(mend(text)), flush=True)

    def _one_line(self, message: str) -> str:
        return self.settings.mask.text(mend(" ".join(message.split())))

    def _masked(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._one_line(record.getMessage()), ()
        record.exc_info = record.exc_text = None
        return True
