"""A build's variables in, one decision, one event out. The only place that prints a failure or exits."""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # a run this short has no garbage to look for, and every import would be searched for some

import contextlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace

from pipe import definition, event, outcome, ownership, variables
from pipe.build import Build
from pipe.decision import Decision, decide, filtered
from pipe.delivery import deliver
from pipe.evidence import Evidence, gather
from pipe.interrupts import OutOfTime, Terminated, at_most, raise_on_termination
from pipe.log import Log
from pipe.outcome import Origin, Outcome, Result

DEFINITION_TIME = 2.0  # seconds to read bitbucket-pipelines.yml


class Run:
    """One run of the pipe: what it was given, and whether anything went wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.settings = variables.read(environ)
        self.build = Build.read(environ)
        self.log = Log(environ, self.settings)
        self.failed = bool(self.settings.problems)
        self.unsent: event.Event | None = None

    def go(self) -> None:
        settings, build, log = self.settings, self.build, self.log
        for warning in (*settings.problems, *settings.notices):
            log.log_warning(warning)
        log.log_info(
            f"Build {build.label} of {build.repository or 'an unknown repository'} {build.place}"
            + (f", deployment to {build.environment}" if build.environment else "")
            + (f", run {build.step_run} of the step" if build.step_run > 1 else "")
            + "."
        )
        try:
            decision, events = self.plan()
        except Exception as error:  # a fault of ours must not cost the page
            decision, events = self.plan_for_fault(error)
        log.log_info(decision.reason)
        if decision.warning:
            log.log_warning(decision.warning)
        if decision.by_hand and decision.action == "trigger":
            log.log_warning(f"Resolve this alert by hand: {decision.by_hand}")
        self.failed |= decision.failed
        if settings.fatal:
            self.fail(f"{' '.join(settings.fatal)} Nothing was sent.")
            self.unsent = events[0] if events else None
            self.print_unsent()
            return
        for one in events:
            self.send(one)

    def plan(self) -> tuple[Decision, list[event.Event]]:
        """Decide, and make the events: the alert's first, then a change event where one follows."""
        settings, build = self.settings, self.build
        if why := filtered(settings, build):
            return Decision("", why), []
        known = self.definition()
        result = outcome.from_variables(settings) or self.ask_bitbucket(known)
        owner = (
            ownership.of_step(known, build, settings)
            if result.of_one_step
            else ownership.of_pipeline(known, build, settings, result.selector)
        )
        decision = decide(settings, build, result, owner)
        self.log.log_debug(f"{known.unread or f'{definition.NAME} was read'}; {result}; {owner}")
        if not decision.action and not decision.change_too:
            return decision, []
        evidence = gather(settings, build, result, self.log.log_info)
        for warning in evidence.warnings:
            self.log.log_warning(warning)
        warnings = (*settings.problems, *settings.notices, *evidence.warnings)
        events = []
        if decision.action and decision.action != "change":
            events.append(event.alert(settings, build, result, decision, evidence, warnings, owner.step_name))
        if decision.action == "change" or decision.change_too:
            events.append(event.change(settings, build, result, evidence, warnings))
        return decision, events

    def plan_for_fault(self, error: Exception) -> tuple[Decision, list[event.Event]]:
        """A fault in the pipe itself: the pager is told that the result is unknown."""
        settings = replace(self.settings, event_action="auto")
        result = Outcome(Result.UNKNOWN, Origin.EXIT_CODE, f"the pipe itself failed: {fault(error)}")
        decision = decide(settings, self.build, result, ownership.Ownership())
        if not decision.action:
            return replace(decision, failed=True), []
        return decision, [event.alert(settings, self.build, result, decision, Evidence(), settings.problems)]

    def definition(self) -> definition.Definition:
        try:
            with at_most(DEFINITION_TIME):
                return definition.read(self.build.clone)
        except OutOfTime:
            return definition.Definition(unread=f"{definition.NAME} took longer than {DEFINITION_TIME:g} s to read")

    def ask_bitbucket(self, known: definition.Definition) -> Outcome:
        """Where the variables tell nothing: the pipeline's own result, for a decision that depends on it."""
        settings, build = self.settings, self.build
        if not settings.can_ask_bitbucket or settings.event_action not in ("auto", "resolve"):
            return outcome.without_any_sign()
        from pipe import bitbucket

        deadline = time.monotonic() + bitbucket.BUDGET
        api = bitbucket.connect(settings, build, deadline, self.log.log_info)
        return outcome.from_bitbucket(api, known, build, wait=settings.event_action == "auto")

    def send(self, one: event.Event) -> None:
        """Send it, or print it: nothing is lost."""
        settings, log = self.settings, self.log
        for warning in one.warnings:
            log.log_warning(warning)
        if settings.dry_run:
            log.log_info(f"DRY_RUN: this {one.action} event is not sent to {settings.base_url}{one.path}.")
            log.print_whole(self.whole(one))
            return
        if settings.base_url.startswith("http://"):
            log.log_warning("EVENTS_URL is plain http: the integration key can be read on the way.")
        self.unsent = one
        receipt = deliver(one, settings.base_url, settings.integration_key, settings.timeout, log.log_info)
        if receipt.accepted:
            self.unsent = None
            keys = f"{one.dedup_key and f'dedup key {one.dedup_key}, '}integration key {settings.mask.key_shown}"
            log.success(f'PagerDuty accepted the {one.action} event "{one.summary}", {keys}.')
            return
        if one.action == "change":
            self.unsent = None
            log.log_warning(f"The change event was not delivered: {receipt.said}. {receipt.advice}")
            self.failed |= settings.event_action == "change"
            return
        self.fail(f"The {one.action} event was not delivered: {receipt.said}. {receipt.advice}")
        self.print_unsent()

    def print_unsent(self) -> None:
        """What could not be delivered, whole, so that a person can send it."""
        if self.unsent:
            url = f"{self.settings.base_url}{self.unsent.path}"
            self.log.log_info(
                f"Send it by hand: put the integration key into routing_key and POST this as JSON to {url}:"
            )
            self.log.print_whole(self.whole(self.unsent))
            self.unsent = None

    def whole(self, one: event.Event) -> str:
        return json.dumps({"routing_key": self.settings.mask.key_shown, **one.body}, ensure_ascii=False)

    def fail(self, message: str) -> None:
        self.failed = True
        self.log.fail(message)


def fault(error: Exception) -> str:
    """Where a fault of ours happened; never its message, which may quote a value."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(frame.filename)}:{frame.lineno}"


def main(environ: Mapping[str, str] = os.environ) -> int:
    """The exit status: 0, or 1 on any error (0 with ON_ERROR: warn), or 128 plus the signal that ended it."""
    raise_on_termination()
    run = Run(environ)
    try:
        run.go()
    except Terminated as end:
        run.fail(
            f"{end} ended the pipe, "
            + ("and its event was not delivered." if run.unsent else "with no event left to send.")
        )
        run.print_unsent()
        return end.status
    except Exception as error:
        run.fail(f"The pipe itself failed: {fault(error)}. Please report this.")
        run.print_unsent()
    return 1 if run.failed and run.settings.on_error == "fail" else 0


if __name__ == "__main__":
    exit_status = main()
    with contextlib.suppress(OSError):
        logging.shutdown()
        sys.stdout.flush()
    os._exit(exit_status)  # nothing is left to do, and taking hundreds of modules down takes as long as deciding
