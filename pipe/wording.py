"""What a page and the log say of what will resolve an alert, and of what it keeps from paging until then."""

from __future__ import annotations

from typing import NamedTuple

from pipe.lib.text import listed
from pipe.outcome import Outcome
from pipe.ownership import Ownership
from pipe.placement import Placed, in_a_final_step
from pipe.subject import Subject

NO_KEY = "without BITBUCKET_REPO_FULL_NAME or DEDUP_KEY there is no dedup key"
BESIDE_A_FAILURE = "this step failed beside the pipeline that it is told of, and may only run after failures"
REF_UNKNOWN = "on which ref that pipeline ran is only known with a token"
REF_NOT_SAID = "Bitbucket's API did not say on which ref that pipeline ran"
MAY_BE_OWN = "it is about a pipeline that may be the pager's own"
ZERO_IGNORED = "0 is among IGNORE_EXIT_CODES"
SAME_KEY = "with the same DEDUP_KEY"
NEVER_RESOLVES = "EVENT_ACTION: trigger never resolves"
MAX_NAMED_STEPS = 3  # in one sentence
MAP_THE_EXIT_CODE = "In the step's after-script, map `EXIT_CODE: $BITBUCKET_EXIT_CODE`."
GIVE_A_TOKEN = "In a `final:` step, give BITBUCKET_ACCESS_TOKEN, an access token with the scope Pipelines: read."
GIVE_A_STATUS = "In a `final:` step, give BUILD_STATUS from an output variable that the steps before it write."
KNOW_THE_WORD = "Look at that pipeline. Take a newer version of this pipe, or report the word that it does not know."
MAP_THE_TRIGGER = "In a pipeline that is told of another one, map BITBUCKET_TRIGGER_PIPELINE_STATUS and _UUID."


class Case(NamedTuple):
    """All that a decision depends on, beside the variables."""

    outcome: Outcome
    subject: Subject
    owner: Ownership
    environment: str = ""  # of a step in a deployment
    in_ci: bool = True
    may_be_skipped: bool = False  # a step of this alert has a condition, or stands at a manual gate
    may_be_own: bool = False  # told of a pipeline that may be the pager's own: it never resolves
    siblings: tuple[str, ...] = ()  # other pipelines with the same key, which must have passed too


def resolves(case: Case, why_not: str) -> str:
    """What will resolve the alert that is opened now; `why_not`: why no build does, empty where one does."""
    if why_not:
        return f"by hand: {why_not}{_until_then(case)}"
    if case.outcome.of_step:
        text = "by a green run of this step"
    else:
        text = f"by a green run of {_pipeline(case)} {case.subject.scope}"
        if case.outcome.failed_steps and _may_run_without_steps(case):
            steps = [f'"{name}"' for name in case.outcome.failed_steps[:MAX_NAMED_STEPS]]
            text += f" in which {listed(steps, MAX_NAMED_STEPS)} ran"
        provided = ["a condition under triggers is met by it"] if case.outcome.told else []
        if case.siblings:
            provided.append(f"no other of its pipelines ({', '.join(case.siblings[:MAX_NAMED_STEPS])}) failed last")
        text += f", if {' and '.join(provided)}" if provided else ""
    return text + (_until_then(case) if _may_run_without_steps(case) or case.siblings or case.outcome.told else "")


def resolves_unknown(case: Case, *, closed_by_a_pipeline: bool) -> str:
    """The same of the alert that says that a result cannot be told."""
    scope = SAME_KEY if case.subject.given_key else case.subject.scope
    until_then = f"; until then no other result that cannot be told {scope}".rstrip() + " pages"
    if not closed_by_a_pipeline or case.subject.is_deployment:  # no pipeline's alert is about an environment
        return "by hand" + (until_then if case.subject.key else "")
    by_pipeline = f"by the next known result of a pipeline {scope}; a step's exit code does not close it"
    return f"by hand, or {by_pipeline}{until_then}"


def ways_to_tell(placed: tuple[Placed, ...], *, told: bool, has_token: bool) -> tuple[str, ...]:
    """What to write, for the place where this run stands; for every place where that is not known."""
    if told:
        return (KNOW_THE_WORD,)
    if placed and all(one.item.place == "after-script" and not one.step.final for one in placed):
        return (MAP_THE_EXIT_CODE,)
    final = (GIVE_A_STATUS,) if has_token else (GIVE_A_TOKEN, GIVE_A_STATUS)
    if in_a_final_step(placed):
        return final
    return MAP_THE_EXIT_CODE, *final, MAP_THE_TRIGGER


def not_by_itself(case: Case, why: str) -> str:
    """The yellow line beside a page that nothing will resolve."""
    return f"This alert will not resolve by itself: {why}.{_advice(case, why)}"


def not_resolving(case: Case, why: str) -> str:
    """The yellow line of a success that resolves nothing."""
    stays = f" An open alert stays open{_until_then(case)}." if case.subject.key else ""
    return f"Not resolving: {why}.{_advice(case, why)}{stays}"


def _advice(case: Case, why: str) -> str:
    """Ownership's own, where that is why."""
    return f" {case.owner.advice}." if case.owner.advice and why == case.owner.why_not else ""


def _until_then(case: Case) -> str:
    """What the open alert swallows. Without a key it swallows nothing."""
    if not case.subject.key:
        return ""
    if case.subject.given_key:
        return f"; until then nothing {SAME_KEY} pages again"
    what = case.subject.name or ("a step without ALERT_NAME" if case.subject.is_step else _pipeline(case))
    return "; until then no failure of " + " ".join(filter(None, (what, case.subject.scope, "pages again")))


def _may_run_without_steps(case: Case) -> bool:
    return case.may_be_skipped or bool(case.outcome.skipped)


def _pipeline(case: Case) -> str:
    if not (case.subject.is_placed or case.subject.what):
        return "any pipeline whose ref is not known"
    return f"custom pipeline {case.subject.custom}" if case.subject.custom else "this pipeline"
