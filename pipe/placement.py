"""Where this pipe stands in `bitbucket-pipelines.yml`: where this run can be, and what can open the same alert."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from pipe.build import Build
from pipe.definition import Definition, Item, Pipeline, Step, matches
from pipe.lib.text import listed, one_line
from pipe.subject import STEP, Subject

SILENT_ACTIONS = ("resolve", "acknowledge", "change")  # they open no alert
DEPLOYMENT = "BITBUCKET_DEPLOYMENT_ENVIRONMENT"
MAX_NAME_LENGTH = 80  # characters
MAX_NAMED_STEPS = 5  # in one sentence
STEPS_OWN_CODE = ("", "$BITBUCKET_EXIT_CODE", "${BITBUCKET_EXIT_CODE}")  # of EXIT_CODE: the default, and the same

SHELLS = ("$?", "${?}")  # of EXIT_CODE: of the shell's last command, which went well where a pipe is started


class Placed(NamedTuple):
    """An item of this pipe, and where it stands."""

    pipeline: Pipeline
    step: Step
    item: Item
    in_triggered_pipeline: bool = False
    behind_an_end: bool = False  # in a pipeline that starts when another one, or a deployment, has ended

    @property
    def runs_only_after_a_success(self) -> bool:
        return self.item.place == "script" and not self.step.final and not self.behind_an_end

    @property
    def sees_exit_code(self) -> bool:
        """In `script` nobody gets there after a failure, and `$?` is 0; a code that the script has kept is one."""
        return self.item.place == "after-script" or self.kept_code not in ("", *SHELLS)

    @property
    def kept_code(self) -> str:
        """Where its exit code comes from; "" for the step's own."""
        return next((text for text in (self.item.exit_code, self.item.own_code) if text not in STEPS_OWN_CODE), "")

    def gives_the_shells_code(self, *, own_code_came: bool) -> bool:
        """Whether nothing but `$?` stands behind its exit code. `own_code_came`: BITBUCKET_EXIT_CODE did."""
        own_code_came &= self.item.own_code not in SHELLS
        return not own_code_came and (self.item.exit_code or self.item.own_code) in SHELLS

    @property
    def opens_a_steps_alert(self) -> bool:
        return self.item.action not in SILENT_ACTIONS and (self.sees_exit_code or self.item.action != "auto")

    @property
    def opens_a_pipelines_alert(self) -> bool:
        in_script = self.item.place == "script" and (self.step.final or self.behind_an_end)
        speaks = bool(self.item.build_status) or in_script
        return self.item.action not in SILENT_ACTIONS and speaks

    @property
    def place_variable(self) -> str:
        """The variable that tells the places of this item's alerts apart."""
        if self.pipeline.section == "pull-requests":
            return "BITBUCKET_PR_ID"
        if self.sees_exit_code and any(self.step.environments):
            return DEPLOYMENT
        return "BITBUCKET_TAG" if self.pipeline.section == "tags" else "BITBUCKET_BRANCH"

    @property
    def names_its_place(self) -> bool:
        """Whether its DEDUP_KEY is another one in every place. Where another pipeline, or a pull request, started its
        own, the branch says nothing of what the alert is about."""
        variable = self.place_variable
        of_another = self.in_triggered_pipeline and variable != DEPLOYMENT
        return not of_another and names_variable(self.item.dedup_key, variable)

    def can_stand_at(self, value: str, own: str) -> bool:
        """Whether the variable of its place can have the value that another one, `own`, has: an environment's name can
        be a branch's. (That a number or a tag is one as well is left out of account.)"""
        if self.place_variable == DEPLOYMENT:
            return self.is_in(value)
        branch = own == DEPLOYMENT and self.place_variable == "BITBUCKET_BRANCH"
        return branch and (self.pipeline.section != "branches" or matches(self.pipeline.pattern, value))

    def is_in(self, environment: str, *, sure: bool = False) -> bool:
        """Whether a run in that environment can be this one; "" for a run that knows of none. `sure`: if it knew."""
        if not (environment or self.item.knows_environment or sure):
            return True
        return any(same_environment(one, environment) for one in self.step.environments)

    @property
    def name(self) -> str:
        return one_line(self.step.name, MAX_NAME_LENGTH) or ("the final step" if self.step.final else "an unnamed step")


def placed(
    definition: Definition, build: Build, alert_name: str, dedup_key: str, *, has_code: bool
) -> tuple[Placed, ...]:
    """Where in the file this very run, with or without an exit code, can stand: in its environment, or where none fits
    in any, since BITBUCKET_DEPLOYMENT_ENVIRONMENT may not have reached the pipe."""
    found = named(definition, definition.possible(build), alert_name, dedup_key)
    here = tuple(one for one in found if one.is_in(build.environment, sure=not has_code))
    return found if not here and not build.environment else here


def named(definition: Definition, pipelines: Iterable[Pipeline], alert_name: str, dedup_key: str) -> tuple[Placed, ...]:
    """The items of the pipelines that can have that name and that DEDUP_KEY."""
    return tuple(
        one
        for one in _items(definition, pipelines)
        if _could_be(one.item.alert_name, alert_name) and _could_be(one.item.dedup_key, dedup_key)
    )


def openers(
    definition: Definition, build: Build, subject: Subject, *, in_any_environment: bool = False
) -> Iterator[Placed]:
    """Every item that could have this run's key. A DEDUP_KEY that does not name its item's own place can be had from
    anywhere; one that does is another key in every other place of that kind (but branch `production` and environment
    `production` give one key)."""
    pipelines = definition.about_the_same(build) if subject.is_step else definition.possible(build)
    possible = {id(pipeline) for pipeline in pipelines}
    anywhere = in_any_environment or not subject.is_step or build.is_pull_request
    own = place_of(build, subject)
    for one in of_this_name(definition, subject):
        can_run = id(one.pipeline) in possible
        here = can_run and (anywhere or one.is_in(build.deployment))
        if not subject.given_key or not one.item.dedup_key:
            opens = here
        elif one.names_its_place:
            alike = here if own == DEPLOYMENT else can_run
            opens = alike if one.place_variable == own else one.can_stand_at(subject.value, own)
        else:
            opens = True
        if opens:
            yield one


def of_this_name(definition: Definition, subject: Subject) -> list[Placed]:
    """Every item whose name or DEDUP_KEY is the subject's, wherever it stands."""
    return [one for one in _items(definition, definition.pipelines) if _can_have(one.item, subject)]


def in_a_final_step(placed: tuple[Placed, ...]) -> bool:
    """Whether the file shows that this run can only stand in a `final:` step."""
    return bool(placed) and all(one.step.final for one in placed)


def place_of(build: Build, subject: Subject) -> str:
    """The variable that tells this run's place from others."""
    if build.is_pull_request:
        return "BITBUCKET_PR_ID"
    if subject.is_step and build.deployment:
        return DEPLOYMENT
    return "BITBUCKET_TAG" if build.tag else "BITBUCKET_BRANCH"


def _can_have(item: Item, subject: Subject) -> bool:
    key = subject.whole_key
    if item.dedup_key:
        return _could_be(item.dedup_key, key)
    unnamed = f"{subject.prefix}:{STEP}" if subject.is_step else subject.prefix
    if key == unnamed:
        return _could_be(item.alert_name, "")
    named = f"{unnamed}/" if subject.is_step else f"{unnamed}:name/"
    return key.startswith(named) and _could_be(item.alert_name, key.removeprefix(named))


def _items(definition: Definition, pipelines: Iterable[Pipeline]) -> Iterator[Placed]:
    for pipeline in pipelines:
        for step in pipeline.steps:
            yield from (stand(definition, pipeline, step, item) for item in step.items)


def stand(definition: Definition, pipeline: Pipeline, step: Step, item: Item) -> Placed:
    """The item where it stands, with what starts its pipeline."""
    name = pipeline.section == "custom" and pipeline.pattern
    return Placed(pipeline, step, item, name in definition.triggered, name in definition.behind_an_end)


def _could_be(text: str, value: str) -> bool:
    """Whether the step's shell can have made the value of the text: what stands around each `$` decides. (No regular
    expression: the text may be anybody's, and this is not behind the wall.)"""
    first, *others = _literal_parts(text)
    if not others:
        return value == first
    *middle, last = others
    at, end = len(first), len(value) - len(last)
    if not value.startswith(first) or not value.endswith(last):
        return False
    for part in middle:
        found = value.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


# What a shell makes something of: a variable, one with a plain expression behind it, an escaped character, a `$` of its
# own; and all that stands behind anything else.
_EXPANDED = (
    r"\$\w+"
    r"|\$\{(?:[^{}$`\\\"']|\\[^}\"']|\$\w+|\$\{\w+\})*\}"
    r"|\\[^\s$`\\\"]"
    r"|\$(?:[!@*#?$-]|(?=[\s.,:;/%+=~)\]}]|$))"
    r"|[$`\\].*"
)


@lru_cache(maxsize=1024)
def _literal_parts(text: str) -> tuple[str, ...]:
    """What stands around that of a text."""
    return tuple(re.split(rf"\s*(?:{_EXPANDED})\s*", " ".join(text.split())))


def names_variable(text: str, variable: str) -> bool:
    """Whether the whole value of a variable stands in a text: not a part of it, nor what something else makes of it."""
    return not {f"${variable}", f"${{{variable}}}"}.isdisjoint(re.findall(_EXPANDED, " ".join(text.split())))


def same_environment(one: str, other: str) -> bool:
    """`BITBUCKET_DEPLOYMENT_ENVIRONMENT` is the URL-friendly form of the name in the file."""
    if not one or not other:
        return one == other
    return "$" in one or not one.isascii() or friendly_name(one) == friendly_name(other)


def friendly_name(name: str) -> str:
    return "-".join(re.findall("[a-z0-9]+", name.lower()))


def in_words(several: list[Placed]) -> str:
    """`Lint and Unit tests`, with the pipelines' names where there is more than one."""
    alone = len({id(one.pipeline) for one in several}) == 1
    called: dict[str, list[Step]] = {}
    for one in several:
        label = one.name if alone else f"{one.name} ({one.pipeline.label})"
        called.setdefault(label, []).append(one.step)
    words = [label if len(steps) == 1 else f"{_count(steps)} {label}" for label, steps in called.items()]
    return listed(words, MAX_NAMED_STEPS)


def _count(steps: list[Step]) -> str:
    different = len({id(step) for step in steps})
    return f"{different} steps called" if different > 1 else f"{len(steps)} pipes of"
