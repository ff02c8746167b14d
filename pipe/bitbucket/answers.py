"""Bitbucket's JSON made into pipelines, steps and tests.

The specification [D] says little: of a step only `type` is required, and answers that others keep in their tests [R]
hold fields it lacks. So whatever is missing or of another type than expected is empty, and what is around it counts.
"""

from __future__ import annotations

from typing import Any

from pipe.bitbucket.runs import FailedTests, PipelineRun, StepRun
from pipe.lib.environment import encodable
from pipe.lib.text import one_line

MAX_TEXT = 64 * 1024  # characters on one line, far more than anybody shows: what is cut here has not been masked

MAX_LINES = 40  # of a test's message; whole lines, since a secret that is cut is not recognized any more


def step_run(item: Any) -> StepRun:
    """From a `pipeline_step`."""
    return StepRun(uuid=_text(item, "uuid"), name=_line(item, "name"), **_state(item))


def pipeline_run(item: Any) -> PipelineRun:
    """From a `pipeline`, whose target is a ref, a pull request or a bare commit."""
    target, terminator = _at(item, "target"), _at(item, "state", "result", "terminator")
    pull_request = _at(target, "pullrequest")
    return PipelineRun(
        uuid=_text(item, "uuid"),
        number=_number(item, "build_number"),
        **_state(item),
        terminator=_line(terminator, "display_name") or ("somebody" if terminator else ""),
        ref_type=_text(target, "ref_type") or ("pullrequest" if pull_request else ""),
        ref_name=_line(target, "ref_name") or _line(target, "source") or _line(target, "source", "branch", "name"),
        pull_request=_number(pull_request, "id"),
        # Where the destination stands is unproven [?].
        destination=_line(target, "destination")
        or _line(target, "destination", "branch", "name")
        or _line(pull_request, "destination", "branch", "name"),
        selector_type=_text(target, "selector", "type"),
        selector_pattern=_line(target, "selector", "pattern"),
        commit=_text(target, "commit", "hash"),
        commit_message=_text(target, "commit", "message"),
        commit_author=_author(_at(target, "commit", "author")),
    )


def pipeline_runs(items: list[Any]) -> list[PipelineRun]:
    """From a list of pipelines; what is none in it is left out."""
    return [pipeline_run(item) for item in items if isinstance(item, dict)]


def failed_tests(totals: Any, cases: list[Any]) -> FailedTests:
    """From the totals of a step's reports and some of its failed test cases [R: the fields of public clients]."""
    failed, errors = _number(totals, "number_of_failed_test_cases"), _number(totals, "number_of_error_test_cases")
    return FailedTests(
        total=_number(totals, "number_of_test_cases"),
        failed=None if failed is None and errors is None else (failed or 0) + (errors or 0),
        cases=tuple(_test(case) for case in cases if _text(case, "status").upper() in ("FAILED", "ERROR")),
    )


def _test(case: Any) -> tuple[str, str, str]:
    name, qualified = _text(case, "name"), _text(case, "fully_qualified_name")
    suite = qualified.removesuffix(name).rstrip(".:#/ ") if qualified else _text(case, "package_name")
    message = _text(case, "reason", "message") or _text(case, "reason", "stack_trace")
    return suite, name, "\n".join(message.splitlines()[:MAX_LINES])


def _state(item: Any) -> dict[str, str]:
    state = _at(item, "state")
    return {
        "state": _text(state, "name").strip().upper(),
        "stage": _text(state, "stage", "name").strip().upper(),
        "result": _text(state, "result", "name").strip().upper(),
        "error": _line(state, "result", "error", "message"),
    }


def _author(author: Any) -> str:
    """The name without the address, of `Ada Lovelace <ada@example.com>` or of the account."""
    name = _line(author, "raw").partition("<")[0].strip() or _line(author, "user", "display_name")
    return "" if "@" in name else name


def _at(item: Any, *path: str) -> Any:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _text(item: Any, *path: str) -> str:
    value = _at(item, *path)
    return encodable(value) if isinstance(value, str) else ""


def _line(item: Any, *path: str) -> str:
    return one_line(_text(item, *path), MAX_TEXT)


def _number(item: Any, *path: str) -> int | None:
    value = _at(item, *path)
    return value if type(value) is int and value >= 0 else None
