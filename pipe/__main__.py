"""A build's variables in, one decision, one event out. The only place that prints a failure or exits."""

from __future__ import annotations

import gc
import os
import sys
import warnings

if __name__ == "__main__":
    for name in ("stdout", "stderr"):  # a closed one must not cost the page
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        stream.reconfigure(encoding="utf-8", errors="replace")
        setattr(sys, name, stream)
    gc.disable()  # a run this short has no garbage to look for, and every import would be searched for some
    # What libraries import only to find out that nobody needs it here: requests to guess the encoding of answers,
    # colorama to look for a Windows console. Both do without, requests with a warning for programmers.
    sys.modules.update({"charset_normalizer": None, "ctypes": None})
    warnings.simplefilter("ignore")

import contextlib
import json
import logging
import traceback
from collections.abc import Mapping

from pipe import variables
from pipe.build import Build
from pipe.delivery import deliver
from pipe.event import Event
from pipe.interrupts import Terminated, raise_on_termination
from pipe.log import Log
from pipe.plan import Plan, plan, plan_without_reading

CHANGE_TIMEOUT = 20.0  # seconds for a change event behind an alert event: it must not hold up the step


class Run:
    """One run of the pipe: what it was given, what is still to be sent, and whether anything went wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.settings = variables.read(environ)
        self.build = Build.read(environ)
        self.log = Log(environ, self.settings)
        self.failed = bool(self.settings.problems)
        self.unsent: list[Event] | None = None  # None until it is decided what to send

    def go(self) -> None:
        for warning in (*self.settings.problems, *self.settings.notices):
            self.log.log_warning(warning)
        self.log.log_info(self.introduction())
        try:
            self.carry_out(plan(self.settings, self.build, self.log))
        except Exception as error:  # a fault of ours must not cost the page
            if self.unsent is not None:
                raise
            self.failed = True
            why = f"the pipe itself failed: {fault(error)}"
            self.log.log_error(f"{why}. Please report this.")
            self.carry_out(plan_without_reading(self.settings, self.build, why))

    def introduction(self) -> str:
        build = self.build
        words = [
            "Build",
            build.label,
            f"of {build.repository or 'an unknown repository'}",
            build.place,
            f"deploying to {build.environment}" if build.environment else "",
            f"(run {build.step_run} of the step)" if build.step_run > 1 else "",
        ]
        return " ".join(filter(None, words)) + "."

    def carry_out(self, made: Plan) -> None:
        decision, log = made.decision, self.log
        self.unsent = list(made.events)
        self.failed |= decision.failed
        log.log_info(decision.reason)
        if decision.warning:
            log.log_warning(decision.warning)
        if decision.by_hand and decision.action == "trigger":
            log.log_warning(f"Resolve this alert by hand: {decision.by_hand}")
        if self.settings.fatal:
            self.fail(f"{' '.join(self.settings.fatal)} Nothing was sent.")
            self.print_unsent()
        while self.unsent:
            self.send(self.unsent[0], optional=self.unsent[0] is not made.events[0])

    def send(self, event: Event, *, optional: bool) -> None:
        """Send it, or print it: nothing is lost. The failure of an `optional` one only warns."""
        settings, log = self.settings, self.log
        for warning in event.warnings:
            log.log_warning(warning)
        if settings.dry_run:
            log.log_info(f"DRY_RUN: this {event.action} event is not sent to {settings.base_url}{event.path}.")
            log.print_whole(self.whole(event))
            self.unsent.remove(event)
            return
        if settings.base_url.startswith("http://"):
            log.log_warning("EVENTS_URL is plain http: the integration key can be read on the way.")
        timeout = min(settings.timeout, CHANGE_TIMEOUT) if optional else settings.timeout
        receipt = deliver(event, settings.base_url, settings.integration_key, timeout, log.log_info)
        if receipt.accepted:
            self.unsent.remove(event)
            keys = f"{event.dedup_key and f'dedup key {event.dedup_key}, '}integration key {settings.mask.key_shown}"
            log.success(f'PagerDuty accepted the {event.action} event "{event.summary}", {keys}.')
            return
        message = f"The {event.action} event was not delivered: {receipt.said}. {receipt.advice}"
        if optional:
            log.log_warning(message)
            self.unsent.remove(event)
            return
        self.fail(message)
        self.print_unsent()

    def print_unsent(self) -> None:
        """What could not be delivered, whole, so that a person can send it."""
        for event in self.unsent or ():
            url = f"{self.settings.base_url}{event.path}"
            self.log.log_info(f"Send it by hand: put the key into routing_key and POST this as JSON to {url}:")
            self.log.print_whole(self.whole(event))
        self.unsent = []

    def whole(self, event: Event) -> str:
        return json.dumps({"routing_key": self.settings.mask.key_shown, **event.body}, ensure_ascii=False)

    def fail(self, message: str) -> None:
        self.failed = True
        self.log.fail(message)

    def ended_by(self, signal: Terminated) -> None:
        """Say what the signal cost, and print what could not be sent any more."""
        if self.unsent is None:
            self.unsent = list(plan_without_reading(self.settings, self.build, f"{signal} ended the pipe").events)
        left = "before its event was delivered." if self.unsent else "with no event left to send."
        self.fail(f"{signal} ended the pipe {left}")
        self.print_unsent()


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
    except Terminated as end:
        if run:
            run.ended_by(end)
        return end.status
    except Exception as error:
        if not run:
            print(f"✖ The pipe itself failed: {fault(error)}. Nothing was sent. Please report this.")
            return 1
        run.fail(f"The pipe itself failed: {fault(error)}. Please report this.")
        run.print_unsent()
    return 1 if run.failed and run.settings.on_error == "fail" else 0


if __name__ == "__main__":
    exit_status = main()
    with contextlib.suppress(OSError):
        logging.shutdown()
        sys.stdout.flush()
    os._exit(exit_status)  # nothing is left to do, and taking hundreds of modules down takes as long as deciding
