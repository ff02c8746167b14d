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
    DEPLOYMENT,
    Placed,
    in_words,
    names_variable,
    of_this_name,
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
MAP_THE_TAG = "Map BITBUCKET_TAG"
MAP_THE_ENVIRONMENT = "Map BITBUCKET_DEPLOYMENT_ENVIRONMENT"
LEAVE_IT_OUT = "Leave DEDUP_KEY out"
ONE_KEY_EACH = "Give a step's alert and a pipeline's a DEDUP_KEY each"
SHARD = "BITBUCKET_PARALLEL_STEP"
FINAL_STEP = "Read the pipeline's result there, with BITBUCKET_ACCESS_TOKEN in `script`"


class Ownership(NamedTuple):
    """Whether this run's success resolves its alert. `why_not` and `advice` are sentences without a full stop."""

    why_not: str = ""
    advice: str = ""
    elsewhere: bool = False  # a build of another place can have its DEDUP_KEY


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
    if not build.deployment and (mixed := _of_unknown_environments(found)):
        return _share(mixed, MAP_THE_ENVIRONMENT)
    if crowded := _crowded(found, subject):
        return _share(crowded, ONE_WORD_EACH if subject.given_key else ONE_EACH)
    imports = any(pipeline.imported for pipeline in definition.about_the_same(build))
    return Ownership() if named else _of_no_name(found, imports=imports)


def _of_no_name(found: list[Placed], *, imports: bool) -> Ownership:
    steps = {id(one.step) for one in found}
    if len(steps) > 1:
        return _share(found, ONE_FOR_ALL)
    if not steps:
        return Ownership("bitbucket-pipelines.yml does not show this step", SET_A_NAME)
    if imports:
        return Ownership("bitbucket-pipelines.yml imports a pipeline that could use the same key", SET_A_NAME)
    return Ownership()


def of_pipeline(definition: Definition, build: Build, subject: Subject, selector: tuple[str, str]) -> Ownership:
    """Of a pipeline's success. Who gives BUILD_STATUS has no selector, and so one key for every pipeline of the ref."""
    if doubt := _doubt(definition, subject):
        return doubt
    if build.by_uuid and subject.given_key:
        return Ownership(
            "whatever pipeline this one is told of, its DEDUP_KEY is the same", LEAVE_IT_OUT, elsewhere=True
        )
    found = list(openers(definition, build, subject))
    if shared := _shared_key(found, build, subject):
        return shared
    found = [one for one in found if one.opens_a_pipelines_alert]
    is_shared = len({id(one.pipeline) for one in found}) > 1
    if selector[0]:  # the other builds that Bitbucket judges are seen in its list
        own = definition.selected(selector)
        found = [one for one in found if one.item.gives_a_status and one.pipeline is not own]
        is_shared = bool(found)
    advice = ONE_WORD_EACH if subject.given_key else ONE_FOR_EACH_PIPELINE
    return _share(found, advice) if is_shared else Ownership()


def _doubt(definition: Definition, subject: Subject) -> Ownership | None:
    if definition.unread:
        return Ownership(definition.unread)
    if not subject.key_fits:
        return Ownership("a build of another ref can have the same DEDUP_KEY", PUT_THE_REF)
    if subject.is_detached and (lost := _on_unknown_tags(of_this_name(definition, subject))):
        return Ownership(f"it may be a run of {in_words(lost)} on a tag that it does not know", MAP_THE_TAG)
    return None


def _on_unknown_tags(found: list[Placed]) -> list[Placed]:
    """Those that run on tags, where a run that knows of none can be one of theirs."""
    on_tags = [one for one in found if one.pipeline.section == "tags"]
    return on_tags if len(on_tags) == len(found) or any(not one.item.knows_tag for one in on_tags) else []


def _of_unknown_environments(found: list[Placed]) -> list[Placed]:
    """All, where they stand in several environments, and one does not know in which."""
    several = len({one.step.environments for one in found}) > 1
    return found if several and any(not one.item.knows_environment for one in found) else []


def _share(found: list[Placed], advice: str) -> Ownership:
    return Ownership(f"{in_words(found)} {'use' if len(found) > 1 else 'uses'} the same key", advice)


def _crowded(found: list[Placed], subject: Subject) -> list[Placed]:
    """Those that share a pipeline with another one: another step, or another exit code of the same. The index tells
    steps of a parallel group apart."""
    steps: dict[int, dict[object, Placed]] = {}
    for one in found:
        text = (one.item.dedup_key if subject.given_key else one.item.alert_name).replace(f"${{{SHARD}}}", f"${SHARD}")
        sharded = one.step.group and names_variable(text, SHARD)
        which = (one.step.group, text, one.kept_code) if sharded else (id(one.step), one.kept_code)
        steps.setdefault(id(one.pipeline), {})[which] = one
    return [one for alike in steps.values() if len(alike) > 1 for one in alike.values()]


def _shared_key(found: list[Placed], build: Build, subject: Subject) -> Ownership | None:
    """A DEDUP_KEY that another place, or both a step and a pipeline, can have."""
    if not subject.given_key:
        return None
    opening = [one for one in found if one.opens_a_steps_alert or one.opens_a_pipelines_alert]
    own = place_of(build, subject)
    if elsewhere := [one for one in opening if one.item.dedup_key and not _is_bound(one, build, own)]:
        return Ownership(f"{in_words(elsewhere)} can use the same DEDUP_KEY elsewhere", PUT_THE_REF, elsewhere=True)
    if alike := [one for one in opening if one.names_its_place and one.place_variable != own]:
        why = f"{in_words(alike)} can use the same DEDUP_KEY in a place of another kind"
        return Ownership(why, ONE_WORD_EACH, elsewhere=True)
    others = [one for one in found if (one.opens_a_pipelines_alert if subject.is_step else one.opens_a_steps_alert)]
    if others:
        return Ownership(f"{in_words(others)} can use the same DEDUP_KEY", ONE_KEY_EACH)
    return None


def _is_bound(one: Placed, build: Build, own: str) -> bool:
    """Whether only builds of this place, which `own` tells apart, can have this item's DEDUP_KEY: it names the place,
    or stands nowhere else."""
    if one.names_its_place:
        return True
    if one.place_variable != own:
        return False
    if own == DEPLOYMENT:
        return all(same_environment(environment, build.deployment) for environment in one.step.environments)
    return own == "BITBUCKET_BRANCH" and (one.pipeline.section, one.pipeline.pattern) == ("branches", build.branch)
