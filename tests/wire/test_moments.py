"""Signals, and faults of the pipe's own, at any moment of a run: a real process of the pipe that something happens to.

What happens, and when, is told to Python by a `sitecustomize.py`: the pipe's own code is what it is.
"""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.conftest import MAIN, ONE_STEP, ROOT, short

FAILS, PASSES = {**MAIN, "EXIT_CODE": "2"}, {**MAIN, "EXIT_CODE": "0"}
SUMMARY = " failed on main (#812, exit code 2)"  # of "build", or the step's name where the file has been read

# Run by Python at its start, where it lies on the path: does what MOMENTS says when a function is called the first time.
SITECUSTOMIZE = """
import json, os, signal, sys
moments = json.loads(os.environ["MOMENTS"])
names = {moment.partition(":")[2] for moment in moments}
process = os.getpid()

def watch(frame, *_):  # called when a function is
    if frame.f_code.co_name not in names:
        return
    moment = f"{'/'.join(frame.f_code.co_filename.split('/')[-2:])}:{frame.f_code.co_name}"
    if moment in moments and os.getpid() == process:
        what = moments.pop(moment)
        os.write(os.open(os.environ["CAME"], os.O_CREAT | os.O_WRONLY | os.O_APPEND), f"{moment}\\n".encode())
        sys.settrace(None)
        if moments:  # Python takes a hook away that raises, so that the next moment needs another one
            sys.setprofile(lambda frame, event, _: event == "call" and watch(frame))
        if not what:
            raise ZeroDivisionError
        numbers = [getattr(signal, name) for name in what]
        held = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in numbers:
            os.kill(process, number)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)  # by now all of them are pending

sys.settrace(watch)
"""
TERM, INT = ["SIGTERM"], ["SIGINT"]
IMPORT, READ, DECIDE, PRINT = (
    "pipe/event.py:<module>",
    "pipe/settings.py:read",
    "pipe/decision.py:decide",
    "pipe/__main__.py:print_unsent",
)


@pytest.fixture
def at_moments(pipe, tmp_path):
    """Runs the pipe, and does something at given moments of the run: sends it signals, or with [] raises an error there."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)

    def run(moments, environ):
        came = tmp_path / "came"
        ended = pipe(environ, MOMENTS=json.dumps(moments), CAME=str(came), PYTHONPATH=f"{ROOT}:{tmp_path}")
        assert came.read_text().splitlines() == [*moments]
        return ended

    return run


@pytest.mark.parametrize(
    ("moments", "status"),
    [
        ({IMPORT: TERM}, 143),
        ({IMPORT: INT}, 130),
        ({READ: TERM}, 143),
        ({"lib/wall.py:_received": INT}, 130),
        ({DECIDE: [*TERM, *INT]}, 130),
        ({DECIDE: TERM, PRINT: INT}, 143),
        ({"pipe/__main__.py:fail": INT, "pipe/__main__.py:whole": TERM}, 130),
        ({"pipe/delivery.py:_judge": TERM}, 143),
    ],
)
def test_a_signal_at_any_moment_and_a_second_one_print_the_page_that_is_not_delivered(
    at_moments, sandbox, moments, status
):
    sandbox.fail_next({"status": 503, "times": 99})
    environ = FAILS | ({"INTEGRATION_KEY": "x"} if "pipe/__main__.py:fail" in moments else {})
    run = at_moments(moments, environ)
    assert run.status == status
    (event,) = run.printed
    assert event["dedup_key"] == "bitbucket:acme/shop:branch/main:step"
    assert event["payload"]["summary"].endswith(SUMMARY)
    assert any(
        f"{'SIGTERM' if status == 143 else 'SIGINT'} ended the pipe before its trigger event was delivered" in line
        for line in run.red
    )


@pytest.mark.parametrize("moment", ["pipe/__main__.py:status", "logging/__init__.py:shutdown"])
def test_a_signal_once_all_is_done_is_no_traceback(at_moments, received, moment):
    run = at_moments({moment: TERM}, FAILS)
    assert run.status in (0, 143)
    assert (received.actions, run.printed) == (["trigger"], [])


def test_a_signal_in_a_green_build_prints_no_event(at_moments, received):
    run = at_moments({"pipe/delivery.py:deliver": TERM}, PASSES)
    assert (run.status, run.printed, received.events) == (143, [], [])


def test_a_signal_behind_the_page_says_what_was_not_sent(pipe, received, sandbox):
    sandbox.fail_next({"delay": 0.01}, {"status": 429, "headers": {"Retry-After": "60"}})
    process = pipe.start({**MAIN, "BUILD_STATUS": "failed", "PYTHONPATH": str(ROOT)}, None)
    for line in process.stderr:
        if "Waiting" in line:
            break
    process.send_signal(signal.SIGTERM)
    run = pipe.finish(process)
    assert (run.status, received.open, run.printed) == (143, ["branch/main"], [])
    assert "SIGTERM ended the pipe before its resolve event was delivered." in run.red[-1]
    assert "Not sent: the resolve event" in run.yellow


def test_a_signal_while_it_waits_ends_it_at_once_with_the_event_printed(pipe, sandbox):
    sandbox.fail_next({"status": 429, "headers": {"Retry-After": "60"}})
    process = pipe.start({**FAILS, "TIMEOUT": "90", "PYTHONPATH": str(ROOT)}, ONE_STEP)
    for line in process.stderr:
        if "Waiting" in line:
            break
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    run = pipe.finish(process)
    assert time.monotonic() - started < 10
    assert run.status in (130, 143)
    assert [short(event) for event in run.printed] == ["branch/main:step"]


@pytest.mark.parametrize(
    ("environ", "sent"),
    [
        (FAILS, ["trigger branch/main:step"]),
        (PASSES, []),
        ({**FAILS, "BRANCHES": "release/*"}, []),
        ({**MAIN, "EXIT_CODE": "x"}, ["trigger branch/main:result unknown"]),
        ({**MAIN, "EVENT_ACTION": "acknowledge"}, ["acknowledge branch/main:step"]),
    ],
)
def test_a_fault_of_the_pipe_s_own_costs_no_page_and_resolves_nothing_by_itself(at_moments, received, environ, sent):
    run = at_moments({"pipe/placement.py:placed": []}, environ)
    assert (run.status, received.sent) == (1, sent)
    assert "the pipe itself failed: ZeroDivisionError in " in run.red[0]
    assert "trigger" not in received.actions or "ZeroDivisionError" in str(received.details["pipe_warnings"])


def test_a_fault_in_the_delivery_prints_the_page(at_moments):
    run = at_moments({"pipe/delivery.py:deliver": []}, FAILS)
    assert (run.status, [short(event) for event in run.printed]) == (1, ["branch/main:step"])
