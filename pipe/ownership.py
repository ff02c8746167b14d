"""When does a success resolve? Where it owns the alert's key: nothing else could have opened the alert.

Two checks of one name in different pipelines are one check. So a *named* step owns its key unless one pipeline holds
two such steps; an *unnamed* one only if the file shows no other step that can open the same alert; a pipeline with
BUILD_STATUS unless two pipelines say it. What cannot be read is doubt: then nothing is owned.
"""

from __future__ import annotations

from typing import NamedTuple

from pipe.build import Build
from pipe.definition import Definition
from pipe.placement import (
    STEPS_OWN_CODE,
    Placed,
    in_words,
    names_variable,
    openers,
    place_of,
    same_environment,
)
from pipe.subject import STEP, Subject

ONE_EACH = "Give each step an ALERT_NAME of its own"
ONE_FOR_ALL = "Give them one ALERT_NAME, in the anchor they share, or each its own where they check different things"
SET_A_NAME = "Set ALERT_NAME"
PUT_THE_REF = "Put $BITBUCKET_BRANCH into it (or $BITBUCKET_DEPLOYMENT_ENVIRONMENT, _TAG or _PR_ID)"
ONE_FOR_EACH_PIPELINE = "Give each pipeline an ALERT_NAME of its own"
ONE_WORD_EACH = "Give each DEDUP_KEY a word of its own"
ONE_KEY_EACH = "Give a step's alert and a pipeline's a DEDUP_KEY each"
SHARD = "BITBUCKET_PARALLEL_STEP"
FINAL_STEP = "Read the pipeline's result there, with BITBUCKET_ACCESS_TOKEN in `script`"


class Ownership(NamedTuple):
    """Whether this run's success resolves its alert. `why_not` and `advice` are sentences without a full stop."""

    why_not: str = ""
    advice: str = ""


def of_step(definition: Definition, build: Build, subject: Subject) -> Ownership:
    """Of an exit code's success."""
    named = subject.what != STEP or bool(subject.given_key)
    if doubt := _doubt(definition, subject):
        return doubt
    if definition.absent:
        return Ownership() if named else Ownership("no bitbucket-pipelines.yml shows who else uses its key", SET_A_NAME)
    found = list(openers(definition, build, subject))
    if named and not found and not build.deployment:  # BITBUCKET_DEPLOYMENT_ENVIRONMENT may not have reached the pipe
        found = list(openers(definition, build, subject, in_any_environment=True))
    if shared := _shared_key(found, build, subject):
        return shared
    found = [one for one in found if one.opens_a_steps_alert]
    if found and all(one.step.final for one in found):
        return Ownership(f"the exit code of {in_words(found)} says nothing of the build", FINAL_STEP)
    if crowded := _crowded(found):
        return Ownership(f"{in_words(crowded)} use the same key", ONE_WORD_EACH if subject.given_key else ONE_EACH)
    imports = any(pipeline.imported for pipeline in definition.about_the_same(build))
    if named or (len(found) == 1 and not imports):
        return Ownership()
    if len(found) > 1:
        return Ownership(f"{in_words(found)} use the same key", ONE_FOR_ALL)
    if found:
        return Ownership("bitbucket-pipelines.yml imports a pipeline that could use the same key", SET_A_NAME)
    return Ownership("bitbucket-pipelines.yml does not show this step", SET_A_NAME)


def of_pipeline(definition: Definition, build: Build, subject: Subject, *, selector_known: bool) -> Ownership:
    """Of a pipeline's success. Where its selector is not known (BUILD_STATUS), two pipelines can have one key."""
    if doubt := _doubt(definition, subject):
        return doubt
    found = list(openers(definition, build, subject))
    if shared := _shared_key(found, build, subject):
        return shared
    found = [one for one in found if one.opens_a_pipelines_alert]
    if not selector_known and len({id(one.pipeline) for one in found}) > 1:
        advice = ONE_WORD_EACH if subject.given_key else ONE_FOR_EACH_PIPELINE
        return Ownership(f"{in_words(found)} use the same key", advice)
    return Ownership()


def _doubt(definition: Definition, subject: Subject) -> Ownership | None:
    if definition.unread:
        return Ownership(definition.unread)
    if not subject.key_fits:
        return Ownership("a build of another ref can have the same DEDUP_KEY", PUT_THE_REF)
    return None


def _crowded(found: list[Placed]) -> list[Placed]:
    """Those that share a pipeline with another one: another step, or another exit code of the same. The index tells
    steps of a parallel group apart."""
    steps: dict[int, dict[object, Placed]] = {}
    for one in found:
        texts = f"{one.item.alert_name} {one.item.dedup_key}".replace(f"${{{SHARD}}}", f"${SHARD}")
        code = one.item.exit_code not in STEPS_OWN_CODE and one.item.exit_code
        sharded = one.step.group and names_variable(texts, SHARD)
        which = (one.step.group, texts, code) if sharded else (id(one.step), code)
        steps.setdefault(id(one.pipeline), {})[which] = one
    return [one for alike in steps.values() if len(alike) > 1 for one in alike.values()]


def _shared_key(found: list[Placed], build: Build, subject: Subject) -> Ownership | None:
    """A DEDUP_KEY that another place, or both a step and a pipeline, can have."""
    if not subject.given_key:
        return None
    opening = [one for one in found if one.opens_a_steps_alert or one.opens_a_pipelines_alert]
    if elsewhere := [one for one in opening if one.item.dedup_key and not _is_bound(one, build)]:
        return Ownership(f"{in_words(elsewhere)} can use the same DEDUP_KEY elsewhere", PUT_THE_REF)
    own = place_of(build, subject)
    if alike := [one for one in opening if one.names_its_place and one.place_variable != own]:
        return Ownership(f"{in_words(alike)} can use the same DEDUP_KEY in a place of another kind", ONE_WORD_EACH)
    others = [one for one in found if (one.opens_a_pipelines_alert if subject.is_step else one.opens_a_steps_alert)]
    if others:
        return Ownership(f"{in_words(others)} can use the same DEDUP_KEY", ONE_KEY_EACH)
    return None


def _is_bound(one: Placed, build: Build) -> bool:
    """Whether only builds of this place can have this item's DEDUP_KEY: it names the place, or stands nowhere else."""
    if one.names_its_place:
        return True
    if build.deployment:
        return all(same_environment(environment, build.deployment) for environment in one.step.environments)
    here_only = one.pipeline.section == "branches" and one.pipeline.pattern == build.branch
    return here_only and one.place_variable == "BITBUCKET_BRANCH" and not build.is_pull_request
