"""A build's variables in, one decision, one event out. The only place that prints a failure or exits."""

from __future__ import annotations

from pipe.lib.interrupts import (
    Terminated,
    hold_back_termination,
    ignore_termination,
    let_termination,
    raise_on_termination,
)

if __name__ == "__main__":  # until there is somebody to print the page: the imports take most of a run
    hold_back_termination()

import contextlib
import json
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of libraries, for programmers: requests warns that it cannot guess encodings

from pipe import definition_file
from pipe.build import Build
from pipe.delivery import deliver
from pipe.event import Event
from pipe.lib.environment import present
from pipe.log import Log
from pipe.run import Plan, plan, plan_without_reading
from pipe.settings import PROXIES, REGIONS, Settings

if TYPE_CHECKING:
    from pipe.bitbucket import Bitbucket

FOLLOWING_EVENT_SECONDS = 20.0  # seconds for each event behind the alert's: they must not hold up the step


class Run:
    """One run of the pipe: what it was given, what is still to be sent, and whether anything went wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.settings = Settings.read(environ)
        self.build = Build.read(environ, self.settings.mask.text)
        self.log = Log(self.settings.mask, debug=self.settings.debug)
        self.failed = bool(self.settings.problems)
        self.undelivered = False
        self.unsent: list[Event] | None = None  # None until it is decided what to send
        self.made: Plan | None = None

    def go(self) -> None:
        for warning in (*self.settings.problems, *self.settings.notices):
            self.log.warning(warning)
        self.log.info(self.introduction())
        try:
            definition = definition_file.read(self.build.clone, self.settings.mask.all)
            self.carry_out(plan(self.settings, self.build, definition, self.connect, self.log))
        except Exception as error:  # a fault of ours must not cost the page
            if self.unsent is not None:
                raise
            self.failed = True
            why = f"the pipe itself failed: {fault(error)}"
            self.log.fail(f"{why}. Please report this.")
            self.carry_out(plan_without_reading(self.settings, self.build, why))

    def connect(self, seconds: float) -> Bitbucket:
        from pipe import bitbucket  # only needed with a token

        return bitbucket.Bitbucket(self.settings, self.build.repository, seconds, self.log.info)

    def introduction(self) -> str:
        build = self.build
        words = [
            "Build",
            build.label,
            f"of {build.repository or 'an unknown repository'}",
            build.place,
            f"deploying to {build.environment}" if build.environment else "",
            f"(run {build.step_run} of the step)" if build.step_run > 1 else "",
            f"told that a pipeline ended as {build.told.status}" if build.told.status else "",
        ]
        return " ".join(filter(None, words)) + "."

    def carry_out(self, made: Plan) -> None:
        decision, log = made.decision, self.log
        self.made, self.unsent = made, list(made.events)
        self.failed |= decision.failed
        if decision.failed and not decision.action and not self.settings.fatal:
            self.fail(decision.reason)
        elif decision.reason not in decision.warning:
            log.info(decision.reason)
        if decision.warning:
            log.warning(decision.warning)
        if self.settings.fatal and (made.events or decision.failed):
            self.undelivered = True
            self.fail(f"{' '.join(self.settings.fatal)} Nothing was sent.")
            self.print_unsent()
        elif self.settings.fatal:
            self.fail(" ".join(self.settings.fatal))
        while self.unsent:
            is_the_one = bool(decision.action) and self.unsent[0] is made.events[0]
            self.send(self.unsent[0], optional=not is_the_one)

    def send(self, event: Event, *, optional: bool) -> None:
        """Send it, or print it: nothing is lost. The failure of an `optional` one only warns."""
        settings, log = self.settings, self.log
        assert self.unsent is not None
        for warning in event.warnings:
            log.warning(warning)
        if settings.dry_run:
            log.info(f"DRY_RUN: this {event.action} event is not sent to {settings.base_url}{event.path}.")
            log.print_event(self.whole(event), to_stdout=True)
            self.unsent.remove(event)
            return
        timeout = min(settings.timeout, FOLLOWING_EVENT_SECONDS) if optional else settings.timeout
        receipt = deliver(event, settings.base_url, settings.integration_key, timeout, log.info)
        if receipt.accepted:
            self.unsent.remove(event)
            if receipt.refused:
                log.warning(f"PagerDuty refused the whole event and took its smallest form: {receipt.refused}.")
            keys = f"{event.dedup_key and f'dedup key {event.dedup_key}, '}integration key {settings.mask.key_shown}"
            log.success(f'PagerDuty accepted the {event.action} event "{event.summary}", {keys}.')
            return
        message = f"The {event.action} event was not delivered: {receipt.said.rstrip('.')}. {receipt.advice}"
        if event.action != "trigger":
            self.unsent.remove(event)
            message += f" Its dedup key is {event.dedup_key}." if event.dedup_key else ""
        if optional:
            log.warning(message)
            return
        self.undelivered = True
        self.fail(message)
        self.print_unsent()

    def print_unsent(self) -> None:
        """A trigger that could not be delivered, whole, so that a person can send it; of all else a line."""
        for event in self.unsent or ():
            if event.action != "trigger":
                key = f", dedup key {event.dedup_key}" if event.dedup_key else ""
                self.log.warning(f'Not sent: the {event.action} event "{event.summary}"{key}.')
            else:
                url = f"{self.settings.base_url}{event.path}"
                if any(line.startswith(("REGION", "EVENTS_URL")) for line in self.settings.fatal):
                    url = f"{event.path} of your region, {' or '.join(REGIONS.values())}"
                by_hand = f"Send it by hand: put the key into routing_key and POST this as JSON to {url}:"
                self.log.info("DRY_RUN: this is the event:" if self.settings.dry_run else by_hand)
                self.log.print_event(self.whole(event))
        self.unsent = []

    def whole(self, event: Event) -> str:
        return json.dumps({"routing_key": self.settings.mask.key_shown, **event.body}, ensure_ascii=False)

    def fail(self, message: str) -> None:
        self.failed = True
        self.log.fail(message)

    def ended_by(self, end: Terminated) -> None:
        """Say what the signal cost, and print what could not be sent any more."""
        if self.unsent is None:
            self.unsent = list(plan_without_reading(self.settings, self.build, f"{end} ended the pipe").events)
        before = f"before its {self.unsent[0].action} event was delivered" if self.unsent else ""
        self.fail(f"{end} ended the pipe {before or 'with no event left to send'}.")
        self.print_unsent()

    @property
    def status(self) -> int:
        """The exit status. A run that is told of another pipeline fails only where somebody has to act: its own failure
        may be told to it in turn."""
        failed = self.failed
        answer = self.made and self.made.answer
        if answer and answer.outcome.of_another:
            failed = (self.undelivered or answer.refused) and not answer.may_be_own
        return 1 if failed and self.settings.on_error == "fail" else 0


def fault(error: Exception) -> str:
    """Where a fault of ours happened; never its message, which may quote a value."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(frame.filename)}:{frame.lineno}"


def main(environ: Mapping[str, str] = os.environ) -> int:
    """The exit status: 0, or 1 on any error (0 with ON_ERROR: warn), or 128 plus the signal that ended it."""
    run = None
    try:
        raise_on_termination()
        run = Run(environ)
        run.go()
        ignore_termination()
    except Terminated as end:
        with contextlib.suppress(Terminated):
            (run or Run(environ)).ended_by(end)
        return end.status
    except Exception as error:
        if not run:
            print(f"✖ The pipe itself failed: {fault(error)}. Nothing was sent. Please report this.", file=sys.stderr)
            return 1
        ignore_termination()
        run.fail(f"The pipe itself failed: {fault(error)}. Please report this.")
        run.print_unsent()
    return run.status


def prepare() -> None:
    """What a process of its own needs: streams that cannot cost the page, and variables that libraries read."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        stream.reconfigure(encoding="utf-8", errors="replace")
        setattr(sys, name, stream)
    for name in PROXIES:
        if name in os.environ:
            os.environ[name] = present(os.environ, name)
    if hasattr(signal, "SIGCHLD"):  # not on Windows. Where it is ignored, no child can be waited for
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


if __name__ == "__main__":
    given = dict(os.environ)
    prepare()
    if sys.argv[1:2] == ["check"]:
        from pipe import check  # nothing of it is needed to page

        let_termination()
        sys.exit(check.main(sys.argv[2:]))
    if sys.argv[1:]:
        print(
            f"{sys.argv[1]!r} is no command: without one it pages, `check` reads bitbucket-pipelines.yml.",
            file=sys.stderr,
        )
        sys.exit(2)
    exit_status = main(given)
    with contextlib.suppress(OSError):
        logging.shutdown()
        sys.stdout.flush()
    os._exit(exit_status)  # nothing is left to do, and taking hundreds of modules down takes as long as deciding
