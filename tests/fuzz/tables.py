"""The design's tables as conditions that any resolve and any known failure must meet, written down without the pipe's code.

A resolve is looked at with doubt: a value that could be read as a success may be one, and one that is a failure beyond
doubt forbids it. A page is due only where the failure is beyond doubt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.conftest import STEP
from tests.fuzz.example import Example, Played

PASSED, BROKEN = {"SUCCESSFUL", "PASSED", "SUCCESS"}, {"FAILED", "ERROR", "SYSTEM_ERROR", "USER_ERROR", "EXPIRED"}
ACTIONS = {"trigger", "acknowledge", "resolve", "change"}
ELSEWHERE = ("BITBUCKET_PR_ID", "BITBUCKET_TAG", "BITBUCKET_DEPLOYMENT_ENVIRONMENT")
FILTERS = ("BRANCHES", "TAGS", "IGNORE_EXIT_CODES")
Json = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """The variables, read twice: `plain` is a value that nobody can misread, `loose` what somebody could make of it."""

    environ: dict[bytes, bytes]

    def absent(self, name: str) -> bool:
        return not self.environ.get(name.encode(), b"").strip() and f"{name}_COUNT".encode() not in self.environ

    def plain(self, name: str) -> str | None:
        value = self.environ.get(name.encode(), b"")
        sure = re.fullmatch(rb"[A-Za-z0-9 ._/-]*", value) and f"{name}_COUNT".encode() not in self.environ
        return value.decode().strip() if sure else None

    def loose(self, name: str) -> str:
        return self.environ.get(name.encode(), b"").decode("utf-8", "replace").strip(" \t\r\n\v\f\"'")

    @property
    def failing_codes(self) -> list[str]:
        codes = [self.plain(name) or "" for name in ("EXIT_CODE", "BITBUCKET_EXIT_CODE")]
        return [code for code in codes if re.fullmatch(r"-?[1-9][0-9]{0,8}", code)]

    @property
    def code_may_be_0(self) -> bool:
        return "0" in (self.loose("EXIT_CODE"), self.loose("BITBUCKET_EXIT_CODE"))

    @property
    def status(self) -> str:
        """BUILD_STATUS, where it is one beyond doubt."""
        word = (self.plain("BUILD_STATUS") or "").lower()
        return {"passed": "successful", "success": "successful"}.get(word, word)

    @property
    def told(self) -> str:
        return (self.plain("BITBUCKET_TRIGGER_PIPELINE_STATUS") or "").upper()

    @property
    def may_be_told(self) -> bool:
        return not self.absent("BITBUCKET_TRIGGER_PIPELINE_STATUS")

    @property
    def action(self) -> str | None:
        """EVENT_ACTION; `auto` where it is absent or no action, None where it is not clear which."""
        if (word := self.plain("EVENT_ACTION")) is None:
            return None
        return word.lower() if word.lower() in ACTIONS else "auto"

    @property
    def has_token(self) -> bool:
        names = ("BITBUCKET_ACCESS_TOKEN", "ATLASSIAN_API_TOKEN")
        return not all(self.absent(name) for name in names)


def why_not(example: Example, played: Played, resolve: Json) -> str:
    """Why no table gives this resolve; empty where one may."""
    given = Given(example.environ)
    about_sight = ": the result of " in str(at(resolve, "payload", "summary"))  # a long key ends in a hash
    if given.action in ACTIONS - {"resolve"}:
        return f"EVENT_ACTION is {given.action}"
    if given.plain("BITBUCKET_PR_ID") and given.absent("PULL_REQUESTS") and not given.may_be_told:
        return "PULL_REQUESTS is false"
    if given.failing_codes:
        return f"the exit code is {given.failing_codes[0]}"
    if about_sight:
        return _why_not_sight(given, played)
    return _why_failed(given) or (_why_not_by_itself(example, given, played) if given.action == "auto" else "")


def _why_failed(given: Given) -> str:
    if given.status in ("failed", "error", "expired") and not given.may_be_told:  # what it is told comes first
        return f"BUILD_STATUS is {given.status}"
    if given.told in BROKEN:
        return f"it is told of a pipeline that ended as {given.told}"
    if given.status == "stopped" and not given.code_may_be_0 and not given.may_be_told:
        return "BUILD_STATUS is stopped"
    if given.told == "STOPPED" and not given.code_may_be_0:
        return "it is told of a pipeline that was stopped"
    return ""


def _why_not_sight(given: Given, played: Played) -> str:
    """Only a pipeline's result shows that the pipe sees again; an exit code of 0 is a step's, unless told of a failure."""
    by_word = not given.absent("BUILD_STATUS")
    if given.may_be_told:
        on_unknown_ref = given.told and not answered(played, "told")
        return "on which ref the told pipeline ran is not known" if on_unknown_ref else ""
    if given.absent("EXIT_CODE") and given.absent("BITBUCKET_EXIT_CODE") and by_word:
        return ""
    if by_word and not given.code_may_be_0:
        return ""
    return "" if answered(played, "pipeline") else "no pipeline's result is known"


def _why_not_by_itself(example: Example, given: Given, played: Played) -> str:
    status = given.loose("BUILD_STATUS").lower()
    if not (
        given.code_may_be_0 or status in ("successful", "passed", "success") or given.may_be_told or given.has_token
    ):
        return "there is no sign of a success"
    of_step = given.code_may_be_0 and not given.has_token and not (given.may_be_told and given.told not in PASSED)
    by_api = not given.code_may_be_0 and not status and given.has_token
    if given.told and not given.code_may_be_0 and (why := _why_not_by_api(played, "told")):
        return why
    if by_api and not given.may_be_told and (why := _why_not_by_api(played, "pipeline")):
        return why
    return _why_not_owned(example, given) if of_step else ""


# By Bitbucket's answers


def answered(played: Played, kind: str) -> Json | None:
    """The last answer of that kind, if it is an object."""
    last = next(((status, body) for one, status, body in reversed(played.served) if one == kind), (0, b""))
    try:
        found = json.loads(last[1]) if last[0] == 200 else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def at(item: Any, *path: str) -> Any:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def result(item: Any) -> str:
    word = at(item, "state", "result", "name")
    return word.strip().upper() if isinstance(word, str) else ""


def others(played: Played) -> list[Any] | None:
    """The other steps; None where no list of steps came."""
    values = at(answered(played, "steps"), "values")
    if not isinstance(values, list):
        return None
    own = STEP["BITBUCKET_STEP_UUID"].strip("{}")
    return [one for one in values if str(at(one, "uuid")).strip(" {}").lower() != own]


def _why_not_by_api(played: Played, kind: str) -> str:
    run, steps, builds = answered(played, kind), others(played), at(answered(played, "builds"), "values")
    if run is None or steps is None:
        return "Bitbucket did not say how it went"
    if not isinstance(builds, list):
        return "the other builds are not known"
    if result(run) and result(run) not in PASSED:
        return f"the pipeline ended as {result(run)}"
    if result(run) not in PASSED:
        results = [result(one) for one in steps]
        for one in results:
            if one in BROKEN | {"STOPPED"}:
                return f"a step ended as {one}"
        if not set(results) & PASSED:
            return "no other step passed"
    for build in builds:
        if _is_newer_and_broken(build, run):
            return f"the newer build {at(build, 'build_number')} ended as {result(build)}"
    return ""


def _is_newer_and_broken(build: Any, run: Any) -> bool:
    numbers = at(build, "build_number"), at(run, "build_number")
    if not all(type(number) is int for number in numbers) or numbers[0] <= numbers[1] or result(build) not in BROKEN:
        return False
    same = [at(build, "target", name) == at(run, "target", name) for name in ("ref_type", "ref_name", "selector")]
    plain = at(run, "target", "ref_type") == "branch" and isinstance(at(run, "target", "ref_name"), str)
    uuids = at(build, "uuid"), at(run, "uuid")
    alone = not any(at(one, "target", "pullrequest") for one in (build, run))
    return plain and all(same) and alone and all(isinstance(uuid, str) for uuid in uuids) and uuids[0] != uuids[1]


# By the file


def _why_not_owned(example: Example, given: Given) -> str:
    if re.fullmatch(r"0|(.*\s)?0(\s.*)?", given.plain("IGNORE_EXIT_CODES") or ""):
        return "0 is among IGNORE_EXIT_CODES"
    unnamed = given.absent("ALERT_NAME") and given.absent("DEDUP_KEY")
    reads_clone = given.absent("BITBUCKET_CLONE_DIR") or given.plain("BITBUCKET_CLONE_DIR") == "."
    if not reads_clone:
        return ""
    if example.file is None:
        return "it is unnamed, and no file shows who else is" if unnamed else ""
    pipelines = sections(example.file)
    if pipelines is None:
        return "the file cannot be read"
    on_main = given.environ.get(b"BITBUCKET_BRANCH") == b"main" and all(given.absent(name) for name in ELSEWHERE)
    return _why_shared(given, pipelines, unnamed=unnamed) if on_main else ""


def _why_shared(given: Given, pipelines: Json, *, unnamed: bool) -> str:
    """On main: another step of the same name in the same pipeline, or, without one, anywhere."""
    names = [[_name(step) for step in steps] for steps in _pipelines_of_main(pipelines)]
    if unnamed:
        if not any(True for _ in _items(pipelines)):
            return "it is unnamed, and the file does not show it"
        alike = sum(steps.count("") for steps in names)
        return f"it is unnamed, as {alike} steps are" if alike > 1 else ""
    name = given.plain("ALERT_NAME") if given.absent("DEDUP_KEY") else None
    times = max((steps.count(name) for steps in names), default=0) if name else 0
    return f"one pipeline has {times} steps called {name}" if times > 1 else ""


def sections(text: bytes) -> Json | None:
    """What stands under `pipelines:`; None where there is no such thing."""
    readable = yaml.reader.Reader.NON_PRINTABLE.sub(" ", text.decode("utf-8-sig", "replace"))
    try:
        document = next(iter(yaml.load_all(readable, Loader=yaml.BaseLoader)), None)
    except (yaml.YAMLError, RecursionError, TypeError, ValueError):
        return None
    found = document.get("pipelines") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else None


def _pipelines_of_main(pipelines: Json) -> Iterator[list[Json]]:
    """The steps of those that can run on main beyond doubt."""
    chosen = [pipelines.get("default"), at(pipelines, "branches", "main")]
    custom = pipelines.get("custom")
    chosen += custom.values() if isinstance(custom, dict) else []
    yield from ([*_steps(one)] for one in chosen if isinstance(one, list))


def _steps(items: list[Any]) -> Iterator[Json]:
    """Those whose place leaves no doubt; of groups and stages too."""
    for item in items:
        kind, node = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else ("", None)
        if kind == "step" and isinstance(node, dict):
            yield _merged(node)
        elif kind in ("parallel", "stage"):
            node = node if isinstance(node, dict) else {"steps": node}
            inner = node.get("steps")
            if isinstance(inner, list) and not {"deployment", "environment"} & set(node):
                yield from _steps([one for one in inner if isinstance(one, dict) and set(one) == {"step"}])


def _name(step: Json) -> str | None:
    """The ALERT_NAME of the one plain item of this pipe in a step's after-script; None where that is not plain to see."""
    after = step.get("after-script")
    if {"deployment", "environment"} & set(step) or not isinstance(after, list):
        return None
    found = [_merged(one) for one in after if isinstance(one, dict) and "pagerduty" in str(one.get("pipe"))]
    if len(found) != 1:
        return None
    variables = found[0].get("variables", {})
    variables = _merged(variables) if isinstance(variables, dict) else {"": 0}
    if not all(isinstance(value, str) for value in variables.values()) or {"DEDUP_KEY", "EVENT_ACTION"} & set(
        variables
    ):
        return None
    name = variables.get("ALERT_NAME", "")
    return (
        name
        if re.fullmatch(r"[a-z][a-z ]*|", name) and name not in ("null", "no", "yes", "on", "off", "y", "n")
        else None
    )


def _merged(node: Json) -> Json:
    below = node.get("<<")
    return {**below, **node} if isinstance(below, dict) else node


def _items(node: Any, seen: frozenset[int] = frozenset()) -> Iterator[Any]:
    if id(node) in seen:
        return
    inner = seen | {id(node)}
    if isinstance(node, dict):
        if "pipe" in node:
            yield node
        for value in node.values():
            yield from _items(value, inner)
    elif isinstance(node, list):
        for value in node:
            yield from _items(value, inner)


# A page


def why_a_page_is_due(example: Example, played: Played) -> str:
    """What makes the failure known beyond doubt; empty where it is not, or where something may keep it back."""
    given = Given(example.environ)
    if given.action not in ("auto", "trigger") or not all(given.absent(name) for name in FILTERS):
        return ""
    if not given.may_be_told:
        if not given.absent("BITBUCKET_PR_ID"):
            return ""
        if given.failing_codes:
            return f"the exit code is {given.failing_codes[0]}"
        if given.status in ("failed", "error", "expired"):
            return f"BUILD_STATUS is {given.status}"
        signs = ("EXIT_CODE", "BITBUCKET_EXIT_CODE", "BUILD_STATUS")
        by_api = given.action == "auto" and all(given.absent(name) for name in signs)
        return _why_failed_by_api(played) if by_api else ""
    if given.told not in BROKEN or not given.absent("BITBUCKET_PR_ID"):
        return ""
    hints = json.dumps([answered(played, "told"), given.loose("BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE")]).lower()
    return "" if "pull" in hints or given.action != "auto" else f"it is told of a pipeline that ended as {given.told}"


def _why_failed_by_api(played: Played) -> str:
    run, steps = answered(played, "pipeline"), others(played)
    if run is None or steps is None or result(run) in PASSED:
        return ""
    if result(run) in BROKEN:
        return f"the pipeline ended as {result(run)}"
    broken = next((result(one) for one in steps if result(one) in BROKEN), "")
    return f"a step ended as {broken}" if broken else ""
