"""What the run itself decides for one item on one ref: for a failure and for a success, by the very same functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipe import decision, placement, run, subject, wording
from pipe.build import Build
from pipe.check.answers import Answers
from pipe.check.container import REPOSITORY, Place, environ
from pipe.check.model import Use
from pipe.check.source import Text
from pipe.definition import Definition
from pipe.outcome import Outcome, Result
from pipe.placement import Placed
from pipe.settings import Settings
from pipe.wording import Case

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
NO_OTHERS = Definition()  # a step that fails pages, whoever else uses the key: the file need not be asked
# `$…` for what differs from run to run. $LINE is of tags: the tag up to where its version begins.
_TEMPLATES = {"branch": "branch/$BITBUCKET_BRANCH", "tag": "tag/$LINE", "pr": "pr/$BITBUCKET_PR_ID"}


@dataclass(frozen=True)
class Promise:
    """In the table's words, of what would be decided; `why` no success resolves it, with the run's own advice.

    `withheld`: the variable that lets none of it leave the container, in the run's own words.
    """

    on_failure: str
    on_success: str
    key: str = ""
    why: str = ""
    advice: str = ""
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
    failed, passed = (_decided(use, place, definition, success=success) for success in (False, True))
    withheld = passed.withheld
    if use.placed.runs_only_after_a_success and not (use.keeps_a_code or use.keeps_a_status):
        failed = _Decided(IN_SCRIPT)
    shown = passed if failed.word.startswith(NOTHING) else failed  # whose key the table shows
    key = _key(shown.case, use, place, unknown=shown.word == WARNING) if shown.case else ""
    case = passed.case or failed.case
    if "$" in use.item.action:
        word = f"{AS_IT_SAYS}{use.item.action.upper()} says"
        return Promise(word, word, key, withheld=withheld)
    if BY_HAND not in passed.word or not case:
        nothing = failed.word.startswith(NOTHING) and passed.word.startswith(NOTHING)
        return Promise(failed.word, passed.word, "" if nothing else key, withheld=withheld)
    why = passed.why or case.owner.why_not or wording.ZERO_IGNORED
    return Promise(failed.word, passed.word, key, why, case.owner.advice, withheld)


def withheld_by(settings: Settings) -> str:
    """Why a run does not send what it decided: it has nowhere to send it to, or only prints it."""
    return next(
        iter(settings.fatal), f"{DRY_RUN}: each event is printed, and none is sent." if settings.dry_run else ""
    )


def openers(use: Use, place: Place, definition: Definition) -> tuple[Placed, ...]:
    """Every item of the file that could have opened the alert that this step's success would resolve."""
    given = environ(use, place, success=True)
    settings, build = Settings.read(given), Build.read(given)
    what = subject.of_step(build, settings.alert_name, settings.dedup_key)
    return tuple(one for one in placement.openers(definition, build, what) if one.opens_a_steps_alert)


@dataclass(frozen=True)
class _Decided:
    word: str
    case: Case | None = None
    why: str = ""
    withheld: str = ""


def _decided(use: Use, place: Place, definition: Definition, *, success: bool) -> _Decided:
    """What a run would decide there."""
    given = environ(use, place, success=success)
    settings, build = Settings.read(given), Build.read(given)
    if settings.exit_code:
        definition = NO_OTHERS
    placed = placement.placed(definition, build, settings.alert_name, settings.dedup_key)
    withheld = withheld_by(settings)

    answers = Answers(place, success=success, told=use.is_told)
    judged = run.judge(settings, build, definition, placed, lambda seconds: answers, lambda line: None)
    made = judged.decision
    if not judged.case:
        return _Decided(f"{NOTHING}: {next(name for name in FILTERS if name in made.reason)}", withheld=withheld)
    why = re.sub(r"^Not resolving: (.*?)\. .*$", r"\1", made.warning) if not made.action else ""
    return _Decided(_word(made, judged.case.outcome, success=success), judged.case, why, withheld)


def _word(made: decision.Decision, outcome: Outcome, *, success: bool) -> str:
    if made.result_unknown:
        return WARNING
    word = _WORDS.get(made.action, NOTHING)
    if success and not made.action and outcome.result in (Result.SUCCESSFUL, Result.IGNORED):
        word = BY_HAND
    if not made.action and outcome.result is Result.MISPLACED:
        word = IN_SCRIPT
    if not made.action and outcome.result is Result.IGNORED and not success:
        word = IGNORED
    return f"{word}, change event" if made.change_too else word


def _key(case: Case, use: Use, place: Place, *, unknown: bool) -> str:
    what = case.subject
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
    return (f"{what.given_key or what.prefix}:result unknown" if unknown else what.whole_key).removeprefix(PREFIX)


def _as_written(value: object) -> str:
    """A text whose `$…` only the run knows."""
    return " ".join(value.split()) if isinstance(value, Text) and "$" in value else ""
