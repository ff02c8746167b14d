"""Asks Bitbucket how a pipeline went: this run's own, or the one that it is told of."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipe.bitbucket import Bitbucket, PipelineRun, Unreadable
from pipe.build import SITE, Build
from pipe.definition import Definition, Pipeline
from pipe.history import read
from pipe.outcome import Answer, Outcome, Result, unasked
from pipe.pipeline_result import Look, judge, judge_told, look
from pipe.placement import Placed, named
from pipe.settings import Settings

PAUSE = 1.0  # seconds before the second look at unfinished steps; each further pause is that much longer
RESERVE = 2.5  # seconds of the budget that waiting leaves for what is asked after it


def ask_own(
    api: Bitbucket,
    settings: Settings,
    build: Build,
    definition: Definition,
    placed: tuple[Placed, ...],
    log: Callable[[str], None],
) -> Answer:
    """This run's own pipeline, judged by its other steps; waits for those within the budget."""

    def look_again() -> Look:
        run = api.pipeline(build.pipeline_uuid)
        pipelines = _pipelines(definition, build, run.selector)
        return look(run, api.steps(build.pipeline_uuid), build.step_uuid, pipelines, placed)

    try:
        view = _when_finished(api, look_again(), look_again, log)
    except Unreadable as error:
        return Answer(Outcome(Result.UNKNOWN, _why(error)), build, trouble=error)

    def pages(selector: tuple[str, str]) -> bool:
        other = definition.selected(selector)
        return not other or other.holds_the_pipe

    outcome = _with_the_key_of_a_status(judge(view), settings, definition)
    return _with_history(Answer(outcome, build, view.run), view.run, api, settings, pages)


def _with_the_key_of_a_status(found: Outcome, settings: Settings, definition: Definition) -> Outcome:
    """Where the pipeline gives a BUILD_STATUS too, which knows no selector, that of the API's answer goes: both are
    about one alert."""
    own = definition.selected(found.selector)
    items = named(definition, [own] if own else [], settings.alert_name, settings.dedup_key)
    giving = any(one.item.gives_a_status and one.opens_a_pipelines_alert for one in items)
    return found._replace(selector=("", "")) if giving else found


def ask_about_told(
    api: Bitbucket, settings: Settings, told: Outcome, build: Build, definition: Definition, log: Callable[[str], None]
) -> Answer:
    """The pipeline that this run is told of. Where Bitbucket does not answer, its ref is not known. It has ended, but
    Bitbucket's lists may say so a moment later [?]: its steps are waited for too."""

    def pipeline() -> PipelineRun:
        run, (kind, pattern) = api.pipeline(build.told.uuid), build.told.selector
        return run._replace(selector_type=run.selector_type or kind, selector_pattern=run.selector_pattern or pattern)

    try:
        run = pipeline()
    except Unreadable as error:
        unseen = told._replace(reason=f"{told.reason}; {_why(error)}")
        return unasked(unseen, build, definition)._replace(trouble=error)
    about, selector = build.of_run(run), run.selector
    pipelines = _pipelines(definition, about, selector)

    def look_again() -> Look:
        return look(pipeline(), api.steps(build.told.uuid), "", pipelines)

    trouble = None
    try:
        view = look(run, api.steps(build.told.uuid), "", pipelines)
    except Unreadable as error:  # what the pipeline itself says still counts
        view, trouble = look(run, (), "", pipelines), error
    view = _when_finished(api, view, look_again, log)
    may_be_own = _may_be_the_pagers_own(api, selector, build, definition)
    answer = Answer(judge_told(told, view), about, view.run, may_be_own=may_be_own)
    answer = _troubled(answer, trouble) if trouble else answer
    return _with_history(answer, view.run, api, settings, lambda _: True)


def _when_finished(api: Bitbucket, view: Look, look_again: Callable[[], Look], log: Callable[[str], None]) -> Look:
    """The view once its steps have finished, within the budget; else the last one that there was."""
    pause = PAUSE
    while judge(view).unfinished and api.time_left - RESERVE > 0:
        wait = min(pause, api.time_left - RESERVE)
        log(f"Steps that have not finished: {len(view.unfinished)}; looking again in {wait:.1f} s.")
        time.sleep(wait)
        pause += PAUSE
        try:
            view = look_again()
        except Unreadable as error:
            log(f"{_why(error)}; going by what Bitbucket said before.")
            break
    return view


def _pipelines(definition: Definition, build: Build, selector: tuple[str, str]) -> tuple[Pipeline, ...]:
    own = definition.selected(selector)
    return (own,) if own else definition.possible(build)


def _with_history(
    answer: Answer, run: PipelineRun, api: Bitbucket, settings: Settings, pages: Callable[[tuple[str, str]], bool]
) -> Answer:
    """The same beside the other builds of the key: a success may be in doubt, and a failure may be an old one. `pages`:
    whether the pipeline of a selector can open an alert."""
    outcome = answer.outcome
    if outcome.result not in (Result.SUCCESSFUL, Result.FAILED):
        return answer
    try:
        history = read(api, run, answer.about, settings.dedup_key, pages)
        newer = next(history.newer, None)
        doubt = history.doubt(api, outcome.skipped) if outcome.result is Result.SUCCESSFUL else ""
    except Unreadable as error:
        return _troubled(answer, error, "the other builds could not be seen: ")
    passed = history.newer_passed
    link = f"{SITE}/{answer.about.repository}/pipelines/results/{newer.number}" if newer else ""
    return answer._replace(
        outcome=outcome._replace(doubt=outcome.doubt or doubt),
        newer_build=f"#{newer.number} {newer.result} {link}" if newer else "",
        newer_passed=f"#{passed.number}" if passed else "",
    )


def _may_be_the_pagers_own(api: Bitbucket, selector: tuple[str, str], build: Build, definition: Definition) -> bool:
    """Whether the pipeline that ended is, or may be, one that this pager runs in: then a failure of its own must not
    start it again for ever."""
    if not definition.may_be_a_pager(selector):
        return False
    if definition.told or not selector[1]:
        return True
    try:
        own = api.pipeline(build.pipeline_uuid)
    except Unreadable:
        return True
    return not own.selector_type or own.selector == selector


def _troubled(answer: Answer, error: Unreadable, unseen: str = "") -> Answer:
    """A success is in doubt; of all else the reason says so."""
    outcome, why = answer.outcome, f"{unseen}{_why(error)}"
    if outcome.result is Result.SUCCESSFUL:
        outcome = outcome._replace(doubt=outcome.doubt or why)
    else:
        outcome = outcome._replace(reason=f"{outcome.reason}; {why}")
    return answer._replace(outcome=outcome, trouble=answer.trouble if answer.refused else error)


def _why(error: Unreadable) -> str:
    return f"{error.reason}. {error.advice}".rstrip(". ")
