"""When does a success resolve? Where it owns the alert's key: nothing else could have opened the alert.

Two checks of one name in different pipelines are one check. So a *named* step owns its key unless one pipeline holds
two such steps; an *unnamed* one only if the file shows no other step that can open the same alert; a pipeline with
BUILD_STATUS unless two pipelines say it. What cannot be read is doubt: then nothing is owned.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipe.build import Build
from pipe.definition import Definition, Item, Pipeline, Step
from pipe.lib.text import one_line
from pipe.subject import STEP, Subject

SILENT_ACTIONS = ("resolve", "acknowledge", "change")  # they open no alert
REF_VARIABLES = ("BITBUCKET_BRANCH", "BITBUCKET_TAG", "BITBUCKET_PR_ID", "BITBUCKET_DEPLOYMENT_ENVIRONMENT")
MAX_NAMED_STEPS = 5  # in one sentence
MAX_NAME_LENGTH = 80  # characters

ONE_EACH = "Give each step an ALERT_NAME of its own"
ONE_FOR_ALL = "Give them one ALERT_NAME, in the anchor they share, or each its own where they check different things"
SET_A_NAME = "Set ALERT_NAME"
PUT_THE_REF = "Put $BITBUCKET_BRANCH into it (in a deployment $BITBUCKET_DEPLOYMENT_ENVIRONMENT)"
FINAL_STEP = "Read the pipeline's result there, with BITBUCKET_ACCESS_TOKEN in `script`"


@dataclass(frozen=True)
class Placed:
    """An item of this pipe, and where it stands."""

    pipeline: Pipeline
    step: Step
    item: Item
    in_triggered_pipeline: bool = False

    @property
    def runs_only_after_a_success(self) -> bool:
        return self.item.place == "script" and not self.step.final and not self.in_triggered_pipeline

    @property
    def sees_exit_code(self) -> bool:
        return self.item.place == "after-script" or self.item.exit_code not in (
            "", "$BITBUCKET_EXIT_CODE", "${BITBUCKET_EXIT_CODE}",
        )  # fmt: skip

    @property
    def opens_a_steps_alert(self) -> bool:
        return self.item.action not in SILENT_ACTIONS and (self.sees_exit_code or self.item.action != "auto")

    @property
    def opens_a_pipelines_alert(self) -> bool:
        speaks = bool(self.item.build_status) or (self.item.place == "script" and self.step.final)
        return self.item.action not in SILENT_ACTIONS and speaks

    @property
    def name(self) -> str:
        return one_line(self.step.name, MAX_NAME_LENGTH) or ("the final step" if self.step.final else "an unnamed step")


@dataclass(frozen=True)
class Ownership:
    """Whether this run's success resolves its alert. `why_not` and `advice` are sentences without a full stop."""

    why_not: str = ""
    advice: str = ""


def placed(definition: Definition, build: Build, alert_name: str, dedup_key: str) -> tuple[Placed, ...]:
    """Where in the file this very run can stand."""
    return tuple(
        one
        for one in _items(definition, definition.possible(build))
        if _in_environment(one.step, build.environment)
        and _could_be(one.item.alert_name, alert_name)
        and _could_be(one.item.dedup_key, dedup_key)
    )


def of_step(definition: Definition, build: Build, subject: Subject) -> Ownership:
    """Of an exit code's success."""
    named = subject.what != STEP or bool(subject.given_key)
    if doubt := _doubt(definition, subject):
        return doubt
    if definition.absent:
        return Ownership() if named else Ownership("no bitbucket-pipelines.yml shows who else uses its key", SET_A_NAME)
    openers = [one for one in _openers(definition, build, subject) if one.opens_a_steps_alert]
    if openers and all(one.step.final for one in openers):
        return Ownership(f"the exit code of {_names(openers)} says nothing of the build", FINAL_STEP)
    if elsewhere := [one for one in openers if subject.given_key and not _bound(one, build)]:
        return Ownership(f"{_names(elsewhere)} can use the same DEDUP_KEY elsewhere", PUT_THE_REF)
    crowded = _crowded(openers)
    if crowded:
        return Ownership(f"{_names(crowded)} use the same key", ONE_EACH)
    if named or (len(openers) == 1 and not _imports(definition, build)):
        return Ownership()
    if len(openers) > 1:
        return Ownership(f"{_names(openers)} use the same key", ONE_FOR_ALL)
    if openers:
        return Ownership("bitbucket-pipelines.yml imports a pipeline that could use the same key", SET_A_NAME)
    return Ownership("bitbucket-pipelines.yml does not show this step", SET_A_NAME)


def of_pipeline(definition: Definition, build: Build, subject: Subject, *, selector_known: bool) -> Ownership:
    """Of a pipeline's success. Where its selector is not known (BUILD_STATUS), two pipelines can have one key."""
    if doubt := _doubt(definition, subject):
        return doubt
    if selector_known:
        return Ownership()
    openers = [one for one in _openers(definition, build, subject) if one.opens_a_pipelines_alert]
    if len({id(one.pipeline) for one in openers}) > 1:
        return Ownership(f"{_names(openers)} use the same key", "Give each pipeline an ALERT_NAME of its own")
    return Ownership()


def _doubt(definition: Definition, subject: Subject) -> Ownership | None:
    if definition.unread:
        return Ownership(definition.unread)
    if not subject.key_fits:
        return Ownership("a build of another ref can have the same DEDUP_KEY", PUT_THE_REF)
    return None


def _openers(definition: Definition, build: Build, subject: Subject) -> Iterator[Placed]:
    """Every item that could have this run's key. One with a DEDUP_KEY that names no ref could have it anywhere."""
    alike = definition.about_the_same(build) if subject.is_step else definition.possible(build)
    possible = {id(pipeline) for pipeline in alike}
    anywhere = not subject.is_step or build.is_pull_request
    for one in _items(definition, definition.pipelines):
        here = id(one.pipeline) in possible and (anywhere or _in_environment(one.step, build.deployment))
        if (here or (subject.given_key and not _names_ref(one.item))) and _can_have(one.item, subject):
            yield one


def _can_have(item: Item, subject: Subject) -> bool:
    if item.dedup_key and _could_be(item.dedup_key, subject.whole_key):
        return True
    if item.dedup_key and not _could_be(item.dedup_key, ""):
        return False
    what = STEP if subject.is_step else "name"
    if not item.alert_name or _could_be(item.alert_name, ""):
        unnamed = f"{subject.prefix}:{STEP}" if subject.is_step else subject.prefix
        if unnamed == subject.whole_key:
            return True
    marker = f":{what}/"
    head, found, name = subject.whole_key.partition(marker)
    return bool(found) and head == subject.prefix and bool(item.alert_name) and _could_be(item.alert_name, name)


def _crowded(openers: list[Placed]) -> list[Placed]:
    """Those that share a pipeline with another one. The index tells steps of a parallel group apart."""
    steps: dict[int, dict[object, Placed]] = {}
    for one in openers:
        texts = one.item.alert_name + one.item.dedup_key
        sharded = one.step.group and "BITBUCKET_PARALLEL_STEP" in texts.replace("BITBUCKET_PARALLEL_STEP_COUNT", "")
        which = (one.step.group, texts) if sharded else id(one.step)
        steps.setdefault(id(one.pipeline), {})[which] = one
    return [one for alike in steps.values() if len(alike) > 1 for one in alike.values()]


def _bound(one: Placed, build: Build) -> bool:
    """Whether only builds of this place can have this item's DEDUP_KEY."""
    if not one.item.dedup_key or _names_ref(one.item):
        return True
    if build.deployment:
        return all(_same(environment, build.deployment) for environment in one.step.environments)
    return one.pipeline.section == "branches" and one.pipeline.pattern == build.branch and not build.is_pull_request


def _names_ref(item: Item) -> bool:
    return not item.dedup_key or any(f"${v}" in item.dedup_key or f"${{{v}}}" in item.dedup_key for v in REF_VARIABLES)


def _imports(definition: Definition, build: Build) -> bool:
    return any(pipeline.imported for pipeline in definition.about_the_same(build))


def _items(definition: Definition, pipelines: Iterable[Pipeline]) -> Iterator[Placed]:
    for pipeline in pipelines:
        triggered = pipeline.section == "custom" and pipeline.pattern in definition.triggered
        for step in pipeline.steps:
            yield from (Placed(pipeline, step, item, triggered) for item in step.items)


def _could_be(text: str, value: str) -> bool:
    """Whether the step's shell can have made the value of the text: what stands around each `$` decides."""
    literal = re.split(r"\$\{[^}]*\}|\$\(.*\)|\$\w*|`.*`|\\.?", " ".join(text.split()))
    return re.fullmatch(".*".join(map(re.escape, literal)), value, re.DOTALL) is not None


def _in_environment(step: Step, environment: str) -> bool:
    return any(_same(one, environment) for one in step.environments)


def _same(one: str, other: str) -> bool:
    """`BITBUCKET_DEPLOYMENT_ENVIRONMENT` is the URL-friendly form of the name in the file."""
    if not one or not other:
        return one == other
    return "$" in one or not one.isascii() or _friendly(one) == _friendly(other)


def _friendly(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _names(several: list[Placed]) -> str:
    """`Lint and Unit tests`, with the pipelines' names where there is more than one."""
    alone = len({id(one.pipeline) for one in several}) == 1
    labels = [one.name if alone else f"{one.name} ({one.pipeline.label})" for one in several]
    counts = Counter(labels)
    words = [label if times == 1 else f"{times} steps called {label}" for label, times in counts.items()]
    if len(words) > MAX_NAMED_STEPS:
        words[MAX_NAMED_STEPS:] = [f"{len(words) - MAX_NAMED_STEPS} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
