"""Bitbucket's answers: likely ones, and those with missing keys, wrong types, huge numbers, other states and statuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.bitbucket_api import Pipeline, reported, step
from tests.conftest import MAIN, STEP
from tests.fuzz import values
from tests.fuzz.arena import KINDS, TOLD_UUID
from tests.fuzz.environments import BASE
from tests.fuzz.example import Example
from tests.fuzz.files import FINAL_STEP

OWN_UUID = MAIN["BITBUCKET_PIPELINE_UUID"]
RESULTS = (
    "SUCCESSFUL",
    "SUCCESSFUL",
    "SUCCESSFUL",
    "FAILED",
    "ERROR",
    "STOPPED",
    "EXPIRED",
    "NOT_RUN",
    "SKIPPED",
    "SYSTEM_ERROR",
)
STATES = ("IN_PROGRESS", "PENDING", "PARSING", "READY")
ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 812, 10**30, 10**400, 1.5, 1e308, "", " ", "x", [], {}, [[]], {"": ""}, "FAILED", "failed ", "SUCCESSFUL",
    "STOPPED", "NOT_RUN", "PAUSED", "HALTED", "COMPLETED", "IN_PROGRESS", "EXPIRED", "ODD", "x" * 5000, "\ud800", "\u202e\x1b[31mx\x00", "{",
    {"name": "FAILED"}, {"name": {"name": 1}}, [1, 2, 3], ["a"] * 300, {str(n): n for n in range(300)}, "main", "custom", "tag",
    *(one.decode("latin-1") for one in values.PLANTED[:22]),
]  # fmt: skip
NAMES = [
    "state",
    "result",
    "name",
    "stage",
    "uuid",
    "values",
    "next",
    "size",
    "target",
    "selector",
    "type",
    "error",
    "message",
    "x",
]


def _pipeline(draw: st.DrawFn, uuid: str, number: int, outcome: str, **more: Any) -> Pipeline:
    target: dict[str, Any] = {
        "selector": {"type": "branches", "pattern": "main"},
        "commit": {"hash": STEP["BITBUCKET_COMMIT"]},
    }
    target |= draw(
        st.sampled_from(
            (
                {"type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main"},
                {"type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "main"},
                {"type": "pipeline_ref_target", "ref_type": "tag", "ref_name": "v1.2"},
                {"type": "pipeline_commit_target"},
                {"source": "x", "destination": "main", "pullrequest": {"id": 7}, "selector": {"type": "pull-requests", "pattern": "**"}},
                {"ref_type": "branch", "ref_name": "main", "selector": {"type": "custom", "pattern": "nightly"}},
            )
        )
    )  # fmt: skip
    about = {"message": "Fix the cart\n", "author": {"raw": "Ada <ada@example.org>"}}
    error = draw(st.sampled_from(("", "", "Container 'Build' exceeded memory limit.")))
    return Pipeline(number, uuid, [], outcome, target, draw(st.sampled_from((None, "Ann"))), "", error, about, more)


@st.composite
def likely(draw: st.DrawFn) -> dict[str, Any]:
    """What Bitbucket says of the run's own pipeline, of one that it is told of, and of others."""
    fields = "+target.commit.message,+target.commit.author"
    results = draw(st.lists(st.sampled_from((*RESULTS, *STATES)), max_size=4))
    stages = draw(st.sampled_from(("", "", "RUNNING", "PAUSED", "HALTED")))
    steps = [
        step(draw(st.sampled_from(("Unit", "Deploy", "", None))), one, stage=stages if one in STATES else "")
        for one in results
    ]
    steps.append(step("PagerDuty", "IN_PROGRESS", uuid=MAIN["BITBUCKET_STEP_UUID"], stage="RUNNING"))
    builds = [
        _pipeline(draw, f"{{other-{number}}}", number, draw(st.sampled_from(RESULTS))).json()
        for number in draw(st.lists(st.sampled_from((809, 810, 811, 813, 814)), max_size=3, unique=True))
    ]
    tests = [reported("test_cart", "FAILED", suite="shop", message="assert 3 == 4")]
    return {
        "pipeline": _pipeline(draw, OWN_UUID, 812, "IN_PROGRESS").json(fields),
        "told": _pipeline(draw, TOLD_UUID, 800, draw(st.sampled_from(RESULTS))).json(fields),
        "steps": {"page": 1, "pagelen": 100, "size": len(steps), "values": [one.json(OWN_UUID) for one in steps]},
        "other steps": {"values": [step("Unit", draw(st.sampled_from(RESULTS))).json("{x}")]},
        "builds": {"page": 1, "values": sorted(builds, key=lambda one: -one["build_number"])},
        "tests": {"number_of_test_cases": 3, "number_of_failed_test_cases": 1, "number_of_error_test_cases": 0},
        "cases": {"values": tests},
    }


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in a JSON value."""
    inner = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    for key in inner:
        yield node, key
        yield from places(node[key])


def changed(value: Any, where: int, what: str, odd: Any) -> Any:
    value = copy.deepcopy(value)
    found = list(places(value))
    if not found:
        return odd
    container, key = found[where % len(found)]
    if what == "replace":
        container[key] = copy.deepcopy(odd)
    elif what == "delete":
        del container[key]
    elif what == "wrap":
        container[key] = [container[key]] if where % 2 else {"name": container[key]}
    elif what == "rename" and isinstance(container, dict):
        container[NAMES[where % len(NAMES)]] = container.pop(key)
    elif what == "double" and isinstance(container, list):
        container.append(container[key])
    return value


_odd = st.sampled_from(ODD_VALUES)
_changes = st.lists(
    st.tuples(
        st.sampled_from(("pipeline", "told", "steps", "steps", "builds", "tests", "cases", "other steps")),
        st.integers(0, 400),
        st.sampled_from(("replace", "replace", "delete", "wrap", "rename", "double")),
        _odd,
    ),
    max_size=4,
)
ODD_BODIES = [
    b"", b"null", b"[]", b"{", b"<html>Sign in</html>", b"[" * 50_000, b'{"values": ' + b"[" * 5000, b"1" * 10_000, b'{"values": null}', b"\xff\xfe",
    b'{"error": {"message": "' + values.TOKEN + b'"}}', b'{"error": {"message": "\x1b[31m\\u202e' + values.TOKEN[:9] + b'"}}', b"NaN",
    b'{"error": {"message": ["x"]}}', b'{"error": "' + b"x" * 100_000 + b'"}', b'{"values": [], "size": 1e9}', b'{"values": [], "next": 5}',
    b'{"values": [1, null, "x"], "next": "http://evil.example/"}',
]  # fmt: skip
_faults = st.lists(
    st.tuples(
        st.sampled_from(sorted(KINDS)),
        st.sampled_from((200, 200, 204, 301, 307, 400, 401, 403, 404, 406, 416, 429, 500, 502, 503)),
        st.one_of(st.sampled_from(ODD_BODIES), values.wild),
        st.booleans(),  # and then the right answer
    ),
    max_size=2,
)
_environs: list[dict[bytes, bytes]] = [
    {},
    {},
    {},
    {},
    {b"ALERT_NAME": b"ci"},
    {b"LOG_LINES": b"20"},
    {b"DEDUP_KEY": b"build-main"},
    {b"BRANCHES": b"main"},
    *(
        {
            b"BITBUCKET_TRIGGER_PIPELINE_STATUS": status,
            b"BITBUCKET_TRIGGER_PIPELINE_UUID": TOLD_UUID.encode(),
            b"BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE": selector,
        }
        for status in (b"SUCCESSFUL", b"SUCCESSFUL", b"FAILED", b"STOPPED", b"PASSED")
        for selector in (b"", b"branches")
    ),
]
TOKENS: list[dict[bytes, bytes]] = [
    {},
    {b"BITBUCKET_ACCESS_TOKEN": values.TOKEN},
    {b"BITBUCKET_ACCESS_TOKEN": values.TOKEN},
    {b"ATLASSIAN_ACCOUNT_EMAIL": values.EMAIL, b"ATLASSIAN_API_TOKEN": values.API_TOKEN},
]


@st.composite
def examples(draw: st.DrawFn) -> Example:
    given = draw(likely())
    for kind, where, what, odd in draw(_changes):
        given[kind] = changed(given[kind], where, what, odd)
    answers = {kind: ((200, _json(value)),) for kind, value in given.items()}
    answers["log"] = (
        (200, draw(st.sampled_from((b"make: *** [test] Error 1\n", values.TOKEN + b"\x1b[2K\r" + values.KEY)))),
    )
    for kind, status, body, then_right in draw(_faults):
        answers[kind] = ((status, body), *(answers[kind] if then_right else ()))
    environ = {**BASE, **draw(st.sampled_from(_environs)), **draw(st.sampled_from(TOKENS[1:] * 3 + TOKENS))}
    return Example(environ, FINAL_STEP.encode(), answers=answers, walled=False)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


EXAMPLES = examples()
