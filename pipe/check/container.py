"""What a run's container gets: the variables of the step's shell, and what the item makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipe.check.model import STATUS, Use
from pipe.check.refs import Ref
from pipe.check.source import Seq, text_of, texts_of
from pipe.definition import Pipeline
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
    shell = told_shell(place, success=success) if use.is_told else own_shell(use, place, success=success)
    found = {name: value for name, value in shell.items() if name in BY_ITSELF}
    if not use.by_docker:
        filled_in = FROM_CONTEXT if "EXIT_CODE" in use.variables else (*FROM_CONTEXT, "BITBUCKET_EXIT_CODE")
        found |= {name: value for name, value in shell.items() if name in filled_in}
        found["INTEGRATION_KEY"] = SOME_KEY
    for name, value in use.variables.items():
        if name in OF_A_FORM and _is_the_teams(value, shell):
            found |= {name: GOOD_VALUES[name]} if name in GOOD_VALUES else {}
        elif name == "BUILD_STATUS" and "$" in value and STATUS not in value:
            found[name] = "successful" if success else "failed"
        elif name == "EXIT_CODE" and use.keeps_a_code:
            found[name] = "0" if success else "1"
        else:
            found |= _given(name, value, shell)
    return {**found, "DEBUG": ""}


def own_shell(use: Use, place: Place, *, success: bool) -> dict[str, str]:
    section = place.pipeline.section
    found = {
        **_everywhere(),
        "BITBUCKET_TAG" if section == "tags" else "BITBUCKET_BRANCH": place.ref.name,
        "BITBUCKET_DEPLOYMENT_ENVIRONMENT": place.environment,
        "BITBUCKET_EXIT_CODE": ("0" if success else "1") if use.item.place == "after-script" else "",
    }
    if section == "pull-requests":
        found |= {"BITBUCKET_PR_ID": "1", "BITBUCKET_PR_DESTINATION_BRANCH": place.into.name if place.into else ""}
    if use.at.step.group:
        found |= {"BITBUCKET_PARALLEL_STEP": "0", "BITBUCKET_PARALLEL_STEP_COUNT": "2"}
    return found


def told_shell(place: Place, *, success: bool) -> dict[str, str]:
    """On which ref it runs is not known."""
    return {
        **_everywhere(),
        STATUS: "SUCCESSFUL" if success else "FAILED",
        "BITBUCKET_TRIGGER_PIPELINE_UUID": "{ended}",
        f"{SELECTOR}TYPE": place.pipeline.section,
        f"{SELECTOR}PATTERN": place.pipeline.pattern,
    }


def _everywhere() -> dict[str, str]:
    return {"CI": "true", "BITBUCKET_REPO_FULL_NAME": REPOSITORY, "BITBUCKET_BUILD_NUMBER": "1"}


def _given(name: str, value: object, shell: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A variable as Bitbucket hands it over; an array as `X_COUNT`, `X_0`, …"""
    if isinstance(value, Seq):
        yield f"{name}_COUNT", str(len(value))
        for index, one in enumerate(value):
            yield f"{name}_{index}", expanded(text_of(one), shell)
    else:
        yield name, expanded(text_of(value), shell)


def _is_the_teams(value: object, shell: Mapping[str, str]) -> bool:
    names = [found[1] or found[2] for text in texts_of(value) for found in _VARIABLE.finditer(text)]
    return any(name and name not in shell and not _is_bitbuckets(name) for name in names)


def _is_bitbuckets(name: str) -> bool:
    return name.startswith("BITBUCKET_") and "TOKEN" not in name


def expanded(text: str, shell: Mapping[str, str]) -> str:
    """What the step's shell makes of it. A variable that only the team knows is called by its name, in small letters;
    one of Bitbucket's that this run does not have is empty."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not name:
            return "0"  # `$?`, behind the echoed command
        return shell.get(name, "" if _is_bitbuckets(name) else name.lower())

    return _VARIABLE.sub(value, text)
