"""What the run itself decides for one item on one ref: for a failure and for a success, by the very same functions."""

from __future__ import annotations

from dataclasses import dataclass

from pipe import placement, run
from pipe.build import Build
from pipe.check.model import Use
from pipe.check.source import Text
from pipe.check.surroundings import REPOSITORY, Answers, Place, environ
from pipe.definition import Definition
from pipe.outcome import Result
from pipe.placement import Placed
from pipe.run import Judged
from pipe.settings import Settings
from pipe.subject import UNKNOWN, Subject
from pipe.wording import ZERO_IGNORED

PREFIX = f"bitbucket:{REPOSITORY}:"
BY_HAND = "by hand"
PAGES = "pages"
WARNING = "a warning"
AS_IT_SAYS = "as "  # a variable that only the team knows
NOTHING = "nothing"
IN_SCRIPT = f"{NOTHING}: in script"
IGNORED = f"{NOTHING}: IGNORE_EXIT_CODES"
DRY_RUN = "DRY_RUN"
FILTERS = ("PULL_REQUESTS", "BRANCHES", "TAGS")
_WORDS = {"trigger": PAGES, "resolve": "resolves", "acknowledge": "acknowledges", "change": "change event"}
# `$…` for what differs from run to run. $LINE is of tags: the tag up to where its version begins.
_TEMPLATES = {"branch": "branch/$BITBUCKET_BRANCH", "tag": "tag/$LINE", "pr": "pr/$BITBUCKET_PR_ID"}


@dataclass(frozen=True)
class Promise:
    """In the table's words, of what would be decided. In the run's own: why no success resolves it, with its advice;
    why it cannot be told; and the variable that lets none of it leave the container."""

    on_failure: str
    on_success: str
    key: str = ""
    key_here: str = ""  # with this ref's own name
    by_hand: str = ""
    advice: str = ""
    unknown: str = ""
    withheld: str = ""

    @property
    def shown(self) -> tuple[str, str]:
        """What happens on a failure and on a success."""
        on_failure, on_success = (
            word if word.startswith(NOTHING) or not self.withheld else f"{NOTHING}: {self.withheld.partition(':')[0]}"
            for word in (self.on_failure, self.on_success)
        )
        return on_failure, on_success

    @property
    def pages(self) -> bool:
        """Whether a failure or a success sends a page, or could."""
        return any(word.startswith((PAGES, WARNING, AS_IT_SAYS)) for word in self.shown)

    @property
    def sends_nothing(self) -> bool:
        return self.on_failure.startswith(NOTHING) and self.on_success.startswith(NOTHING)


def promise(use: Use, place: Place, definition: Definition) -> Promise:
    settings, passed = _judged(use, place, definition, success=True)
    _, failed = _judged(use, place, definition, success=False)
    on_failure, on_success = _word(failed, success=False), _word(passed, success=True)
    if use.placed.runs_only_after_a_success and not (use.keeps_a_code or use.keeps_a_status):
        on_failure = IN_SCRIPT
    shown = passed if on_failure.startswith(NOTHING) else failed  # whose key the table shows
    if "$" in use.item.action:
        on_failure = on_success = f"{AS_IT_SAYS}{use.item.action.upper()} says"
    owner = passed.case.owner if passed.case else None
    by_hand = (passed.decision.why_not_resolved or ZERO_IGNORED) if on_success.startswith(BY_HAND) else ""
    sends_nothing = on_failure.startswith(NOTHING) and on_success.startswith(NOTHING)
    return Promise(
        on_failure,
        on_success,
        "" if sends_nothing else _key(shown, use, place),
        shown.case.subject.whole_key if shown.case else "",
        by_hand,
        owner.advice if owner and by_hand == owner.why_not else "",
        next((one.case.outcome.reason for one in (failed, passed) if one.case and one.decision.result_unknown), ""),
        next(iter(settings.fatal), f"{DRY_RUN}: each event is printed, and none is sent." if settings.dry_run else ""),
    )


def openers(use: Use, place: Place, definition: Definition) -> tuple[Placed, ...]:
    """Every item of the file that could have opened the alert that a success would resolve."""
    _, (_, answer, case) = _judged(use, place, definition, success=True)
    if not answer or not case:
        return ()
    found = placement.openers(definition, answer.about, case.subject)
    is_step = case.subject.is_step
    return tuple(one for one in found if (one.opens_a_steps_alert if is_step else one.opens_a_pipelines_alert))


def _judged(use: Use, place: Place, definition: Definition, *, success: bool) -> tuple[Settings, Judged]:
    """What a run would decide there."""
    given = environ(use, place, success=success)
    settings, build = Settings.read(given), Build.read(given)
    has_code = settings.exit_code is not None
    placed = placement.placed(definition, build, settings.alert_name, settings.dedup_key, has_code=has_code)
    answers = Answers(use, place, success=success)
    return settings, run.judge(settings, build, definition, placed, lambda seconds: answers, lambda line: None)


def _word(judged: Judged, *, success: bool) -> str:
    made = judged.decision
    if not judged.case:
        return f"{NOTHING}: {next(name for name in FILTERS if name in made.reason)}"
    result = judged.case.outcome.result
    if made.result_unknown:
        return WARNING
    if made.action:
        word = _WORDS[made.action]
    elif success and result in (Result.SUCCESSFUL, Result.IGNORED):
        word = BY_HAND
    else:
        word = {Result.MISPLACED: IN_SCRIPT, Result.IGNORED: IGNORED}.get(result, NOTHING)
    return f"{word}, change event" if made.change_too else word


def _key(judged: Judged, use: Use, place: Place) -> str:
    if not judged.case:
        return ""
    what: Subject = judged.case.subject
    kind = what.where.partition("/")[0]
    if kind in _TEMPLATES and (kind == "pr" or not place.ref.exact):
        what = what._replace(where=_TEMPLATES[kind])
    if "$" in place.environment and what.is_deployment:
        what = what._replace(where="deployment/$BITBUCKET_DEPLOYMENT_ENVIRONMENT")
    name, key = (_as_written(use.variables.get(name)) for name in ("ALERT_NAME", "DEDUP_KEY"))
    if name and what.name:
        what = what._replace(what=what.what.removesuffix(what.name) + name)
    if key:
        what = what._replace(given_key=key)
    unknown = f"{what.given_key or what.prefix}{UNKNOWN}"
    return (unknown if judged.decision.result_unknown else what.whole_key).removeprefix(PREFIX)


def _as_written(value: object) -> str:
    """A text whose `$…` only the run knows."""
    return " ".join(value.split()) if isinstance(value, Text) and "$" in value else ""
