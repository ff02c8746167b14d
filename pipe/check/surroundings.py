"""What a run finds around it: the variables of its container, and what Bitbucket's API would answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipe.bitbucket import Bitbucket, Unreadable
from pipe.bitbucket.runs import PipelineRun, StepRun
from pipe.check.model import Use
from pipe.check.refs import Ref
from pipe.check.source import Seq, text_of, texts_of
from pipe.definition import TRIGGER_STATUS, Pipeline
from pipe.settings import FROM_CONTEXT

REPOSITORY = "workspace/repository"
# A value that only the team knows is taken for a good one. What stands here has to be one of a certain form; of what
# has to be and does not stand here, the default is taken.
SOME_KEY = "TheIntegrationKeyWhichTheTeamHas"
GOOD_VALUES = {"INTEGRATION_KEY": SOME_KEY, "PULL_REQUESTS": "true"}
OF_A_FORM = ("REGION", "EVENTS_URL", "DRY_RUN", "BRANCHES", "TAGS", "IGNORE_EXIT_CODES", *GOOD_VALUES)
# What reaches a pipe by itself, of what is asked here [R]; all else is mapped, or filled in by pipe.yml.
BY_ITSELF = ("CI", "BITBUCKET_REPO_FULL_NAME", "BITBUCKET_BUILD_NUMBER", "BITBUCKET_BRANCH")
SELECTOR = "BITBUCKET_TRIGGER_PIPELINE_SELECTOR_"
REF_TYPES = {"tags": "tag", "pull-requests": "pullrequest"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|(\?))")


@dataclass(frozen=True)
class Place:
    """A pipeline on a ref. `into`: a pull request's destination."""

    pipeline: Pipeline
    ref: Ref
    into: Ref | None = None
    environment: str = ""


def environ(use: Use, place: Place, *, success: bool) -> dict[str, str]:
    """`place`: of this run; of a told one: of the pipeline that ended."""
    shell = _shell(use, place, success=success)
    reaching = set(BY_ITSELF)
    if not use.by_docker:
        reaching |= {*FROM_CONTEXT, *(() if "EXIT_CODE" in use.variables else ("BITBUCKET_EXIT_CODE",))}
    found = {name: value for name, value in shell.items() if name in reaching}
    found |= {} if use.by_docker else {"INTEGRATION_KEY": SOME_KEY}
    for name, value in use.variables.items():
        if name in OF_A_FORM and _is_the_teams(value, shell):
            found |= {name: GOOD_VALUES[name]} if name in GOOD_VALUES else {}
        elif name == "BUILD_STATUS" and "$" in value and TRIGGER_STATUS not in value:
            found[name] = "successful" if success else "failed"
        elif name == "EXIT_CODE" and use.keeps_a_code:
            found[name] = "0" if success else "1"
        elif isinstance(value, Seq):  # as Bitbucket hands over an array
            found |= {f"{name}_{index}": _expanded(text_of(one), shell) for index, one in enumerate(value)}
            found[f"{name}_COUNT"] = str(len(value))
        else:
            found[name] = _expanded(text_of(value), shell)
    return {**found, "DEBUG": ""}


def _shell(use: Use, place: Place, *, success: bool) -> dict[str, str]:
    """The variables of the step's shell. On which ref a told run runs is not known."""
    section, pattern = place.pipeline.section, place.pipeline.pattern
    found = {"CI": "true", "BITBUCKET_REPO_FULL_NAME": REPOSITORY, "BITBUCKET_BUILD_NUMBER": "1"}
    if use.is_told:
        found |= {TRIGGER_STATUS: "SUCCESSFUL" if success else "FAILED", "BITBUCKET_TRIGGER_PIPELINE_UUID": "{ended}"}
        return found | {f"{SELECTOR}TYPE": section, f"{SELECTOR}PATTERN": pattern}
    found["BITBUCKET_TAG" if section == "tags" else "BITBUCKET_BRANCH"] = place.ref.name
    found["BITBUCKET_DEPLOYMENT_ENVIRONMENT"] = place.environment
    if use.is_by_exit_code:
        found["BITBUCKET_EXIT_CODE"] = "0" if success else "1"
    if section == "pull-requests":
        found |= {"BITBUCKET_PR_ID": "1", "BITBUCKET_PR_DESTINATION_BRANCH": place.into.name if place.into else ""}
    if use.at.step.group:
        found |= {"BITBUCKET_PARALLEL_STEP": "0", "BITBUCKET_PARALLEL_STEP_COUNT": "2"}
    return found


def _is_the_teams(value: object, shell: Mapping[str, str]) -> bool:
    names = [found[1] or found[2] for text in texts_of(value) for found in _VARIABLE.finditer(text)]
    return any(name and name not in shell and not _is_bitbuckets(name) for name in names)


def _is_bitbuckets(name: str) -> bool:
    return name.startswith("BITBUCKET_") and "TOKEN" not in name


def _expanded(text: str, shell: Mapping[str, str]) -> str:
    """What the step's shell makes of it. A variable that only the team knows is called by its name, in small letters;
    one of Bitbucket's that this run does not have is empty."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not name:
            return "0"  # `$?`, behind the echoed command
        return shell.get(name, "" if _is_bitbuckets(name) else name.lower())

    return _VARIABLE.sub(value, text)


class Answers(Bitbucket):
    """What Bitbucket's API would say: the pipeline in question failed, or passed whole, and no other build did."""

    def __init__(self, use: Use, place: Place, *, success: bool) -> None:
        self._place, self._result, self._told = place, "SUCCESSFUL" if success else "FAILED", use.is_told

    def pipeline(self, uuid: str) -> PipelineRun:
        """The one that ended, by its uuid; else the run's own, which is in progress."""
        if self._told and not uuid:
            raise Unreadable("the UUID of the pipeline is not known", "Map BITBUCKET_TRIGGER_PIPELINE_UUID.")
        section = self._place.pipeline.section
        return PipelineRun(
            uuid,
            number=1,
            state="COMPLETED" if uuid else "IN_PROGRESS",
            result=self._result if uuid else "",
            ref_type=REF_TYPES.get(section, "branch"),
            ref_name=self._place.ref.name,
            pull_request=1 if section == "pull-requests" else None,
            destination=self._place.into.name if self._place.into else "",
            selector_type=section,
            selector_pattern=self._place.pipeline.pattern,
        )

    def steps(self, pipeline_uuid: str) -> tuple[StepRun, ...]:
        return (StepRun("{other}", "another step", "COMPLETED", result=self._result),)

    def builds(self, branch: str = "") -> tuple[PipelineRun, ...]:
        return ()
