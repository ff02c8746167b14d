"""The whole way of a decision: variables, the pipeline file and Bitbucket's answers in; events and log lines out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from pipe.bitbucket import PipelineRun, StepRun, Unreadable
from pipe.build import Build
from pipe.definition import Definition
from pipe.event import Event
from pipe.run import Plan, plan, plan_without_reading
from pipe.settings import Settings
from tests.unit.files import DEFAULT, read
from tests.unit.files import step as in_file

OWN, OWN_STEP, ENDED = "{own}", "{own-step}", "{ended}"
ENVIRON = {
    "CI": "true",
    "INTEGRATION_KEY": "c0ffee11c0ffee22c0ffee33c0ffee44",
    "BITBUCKET_REPO_FULL_NAME": "acme/shop",
    "BITBUCKET_BRANCH": "main",
    "BITBUCKET_BUILD_NUMBER": "812",
    "BITBUCKET_PIPELINE_UUID": OWN,
    "BITBUCKET_STEP_UUID": OWN_STEP,
    "BITBUCKET_CLONE_DIR": "/nowhere",
    "TEST_REPORTS": "none",
}
TOKEN = {"BITBUCKET_ACCESS_TOKEN": "a-token"}
EXPIRED = Unreadable("Bitbucket refused the token (401)", "Renew it.", refused=True)
BUSY = Unreadable("Bitbucket's API has trouble of its own (503)", "Wait.")

UNIT = "{step: {name: unit, script: [make]}}"
MAIN = "pipelines: {branches: {main: [%s]}}"
FINAL = MAIN % f"{UNIT}, {in_file('page', kind='final', where='script')}"
AFTER_SCRIPT = MAIN % in_file("unit")
IN_SCRIPT = MAIN % in_file("unit", where="script")
SEES_AGAIN = "resolve branch/main:result unknown"
UNKNOWN = ["trigger branch/main:result unknown"]
PAGES, RESOLVES = ["trigger branch/main", SEES_AGAIN], ["resolve branch/main", SEES_AGAIN]


def ran(name: str = "unit", result: str = "SUCCESSFUL", **more: str) -> StepRun:
    if result == "IN_PROGRESS":
        return StepRun(f"{{{name}}}", name, result, **more)
    return StepRun(f"{{{name}}}", name, "COMPLETED", result=result, **more)


def pipeline(result: str = "", uuid: str = OWN, number: int = 812, **more: Any) -> PipelineRun:
    """One of branch main, in progress where it has no result."""
    about = {"ref_type": "branch", "ref_name": "main", "selector_type": "branches", "selector_pattern": "main"}
    state = "COMPLETED" if result else "IN_PROGRESS"
    return PipelineRun(uuid, number, state, result=result, commit_message="Try it", **{**about, **more})


class Bitbucket:
    """What Bitbucket says, in the order in which it is asked, the last for ever; an Unreadable is raised. A second of
    its budget is over with each second that is slept."""

    def __init__(
        self,
        runs: dict[str, PipelineRun | Unreadable],
        *looks: tuple[StepRun, ...] | Unreadable,
        builds: tuple[PipelineRun, ...] | Unreadable = (),
    ) -> None:
        self.runs, self.looks, self.newest = runs, looks, builds
        self.time_left = 0.0

    def __call__(self, budget: float) -> Bitbucket:
        self.time_left, self.looked = budget, -1
        return self

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= self.time_left
        self.time_left -= seconds

    def pipeline(self, uuid: str) -> PipelineRun:
        return answered(self.runs[uuid])

    def steps(self, pipeline_uuid: str) -> tuple[StepRun, ...]:
        assert pipeline_uuid in self.runs
        self.looked += 1
        return answered(self.looks[min(self.looked, len(self.looks) - 1)])

    def builds(self, branch: str) -> tuple[PipelineRun, ...]:
        return answered(self.newest)

    def log_tail(self, pipeline_uuid: str, step_uuid: str) -> tuple[bytes, bool]:
        assert (pipeline_uuid, step_uuid) == (OWN, "{unit}")
        return b"one\ntwo\n", False


def answered(answer: Any) -> Any:
    if isinstance(answer, Unreadable):
        raise answer
    return answer


class Lines:
    """The log: `yellow` are its warnings."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self.yellow: list[str] = []
        self.debugged: list[str] = []

    def info(self, message: str) -> None:
        self.all.append(message)

    def warning(self, message: str) -> None:
        self.all.append(message)
        self.yellow.append(message)

    def debug(self, message: str) -> None:
        self.debugged.append(message)


class Planned(NamedTuple):
    plan: Plan
    log: Lines

    @property
    def said(self) -> str:
        """What the log says without DEBUG."""
        return " ".join((*self.log.all, self.plan.decision.reason, self.plan.decision.warning))

    @property
    def sent(self) -> list[str]:
        return [short(event) for event in self.plan.events]

    @property
    def page(self) -> dict[str, Any]:
        return self.plan.events[0].body["payload"]

    @property
    def details(self) -> dict[str, Any]:
        return self.page["custom_details"]


def short(event: Event) -> str:
    return f"{event.action} {event.dedup_key.removeprefix('bitbucket:acme/shop:')}".strip()


@pytest.fixture
def planned(monkeypatch):
    """Plans a run of a file, in which Bitbucket says that."""

    def run(text: str | None, api: Bitbucket | None = None, **variables: str) -> Planned:
        environ = {name: value for name, value in {**ENVIRON, **(TOKEN if api else {}), **variables}.items() if value}
        definition, log = read(text) if text else Definition(absent=True), Lines()
        monkeypatch.setattr("time.sleep", api.sleep if api else None)
        return Planned(plan(Settings.read(environ), Build.read(environ), definition, api, log), log)

    return run


# --- Its own pipeline. ------------------------------------------------------------------------------------------------


def own(*others: StepRun, run: PipelineRun | None = None, name: str = "page", **more: Any) -> Bitbucket:
    return Bitbucket({OWN: run or pipeline()}, (*others, StepRun(OWN_STEP, name, "IN_PROGRESS")), **more)


@pytest.mark.parametrize(
    ("api", "sent", "says"),
    [
        (own(ran()), RESOLVES, "Resolving: Bitbucket says that every other step that ran passed."),
        (own(ran(result="FAILED")), PAGES, 'Paging: Bitbucket says that "unit" failed.'),
        (own(ran(), run=pipeline("FAILED")), PAGES, "Paging: Bitbucket says that the pipeline ended as FAILED."),
        (own(ran(result="ODD")), UNKNOWN, '"unit" ended as ODD, which the pipe does not know'),
        (own(ran(), run=EXPIRED), UNKNOWN, "Bitbucket refused the token (401). Renew it"),
        (own(run=pipeline(selector_type="custom", selector_pattern="nightly")), UNKNOWN, "lists no other step"),
        (own(ran(), run=pipeline(selector_type="default", selector_pattern="")), ["resolve branch/main:default", SEES_AGAIN], "Resolving"),
        (own(ran(), builds=(pipeline("FAILED", "{813}", 813),)), [SEES_AGAIN], "Not resolving: the newer build #813 did not pass."),
        (own(ran(), builds=EXPIRED), [SEES_AGAIN], "Not resolving: the other builds could not be seen: Bitbucket refused the token (401). Renew it."),
        (own(ran(result="FAILED"), builds=BUSY), PAGES, '"unit" failed; the other builds could not be seen: Bitbucket\'s API has trouble of its own (503). Wait.'),
    ],
)  # fmt: skip
def test_in_a_final_step_bitbucket_tells(planned, api, sent, says):
    run = planned(FINAL, api)
    assert run.sent == sent
    assert says in run.said
    assert run.plan.decision.failed is (sent is UNKNOWN)
    assert api.time_left == 15.0
    told = [f"{error.reason}. {error.advice}" for error in (EXPIRED, BUSY) if error in (api.newest, api.runs[OWN])]
    assert run.details.get("pipe_warnings", []) == (told if sent is PAGES else [])
    gathered = bool(run.plan.decision.action) and api.runs[OWN] is not EXPIRED
    assert run.details.get("commit_message") == ("Try it" if gathered else None)
    if sent is UNKNOWN:
        assert run.details["reason"] in run.plan.decision.warning
        assert run.plan.decision.warning.endswith(" ".join(run.details["ways_to_tell"]))


def test_other_steps_are_waited_for_within_the_budget(planned):
    running, done, itself = ran(result="IN_PROGRESS"), ran(result="FAILED"), StepRun(OWN_STEP, "page", "IN_PROGRESS")
    api = Bitbucket({OWN: pipeline()}, *[(running, itself)] * 3, (done, itself))
    run = planned(FINAL, api)
    assert run.sent == PAGES
    assert run.log.all[:3] == [f"Steps that have not finished: 1; looking again in {pause}.0 s." for pause in (1, 2, 3)]
    assert api.time_left == 9.0
    api = own(running)
    assert planned(FINAL, api).sent == UNKNOWN
    assert api.time_left == 2.5, "the last pause is as long as the reserve allows"
    run = planned(FINAL, Bitbucket({OWN: pipeline()}, (running, itself), BUSY))
    assert run.sent == UNKNOWN
    assert "Bitbucket's API has trouble of its own (503). Wait; going by what Bitbucket said before." in run.log.all


@pytest.mark.parametrize(
    ("others", "file", "name", "says"),
    [
        ((ran("other"),), AFTER_SCRIPT, "unit", "this step's own exit code is missing"),
        ((ran("other"),), IN_SCRIPT, "unit", "this pipe stands in `script` of an ordinary step"),
    ],
)
def test_a_step_that_is_no_final_one_is_not_judged_by_the_others(planned, others, file, name, says):
    run = planned(file, own(*others, name=name))
    assert "resolve branch/main" not in run.sent
    assert says in run.plan.decision.warning


def test_a_step_that_only_its_own_pipeline_in_the_file_marks_as_ignored_may_fail(planned):
    final = in_file("page", kind="final", where="script")
    ignored = "{step: {name: unit, on-fail: {strategy: ignore}, script: [make]}}"
    file = f"pipelines: {{branches: {{main: [{ignored}, {final}]}}, default: [{UNIT}, {final}]}}"
    assert planned(file, own(ran(), ran("e2e"), run=pipeline())).sent == RESOLVES
    failed = (ran(result="FAILED"), ran("e2e"))
    assert planned(file, own(*failed)).sent == RESOLVES
    of_default = pipeline(selector_type="default", selector_pattern="")
    assert planned(file, own(*failed, run=of_default)).sent == ["trigger branch/main:default", SEES_AGAIN]
    elsewhere = pipeline(selector_type="branches", selector_pattern="new")  # which the file does not show
    assert planned(file, own(*failed, run=elsewhere)).sent == PAGES


@pytest.mark.parametrize(
    ("other", "in_doubt"),
    [("plain: [%s]" % UNIT, False), ("'*': [%s]" % in_file("page", kind="final", where="script"), True), ("'*': {import: 'a:b:c'}", True)],
)  # fmt: skip
def test_another_pipeline_of_the_key_puts_it_in_doubt_only_if_it_can_page(planned, other, in_doubt):
    pattern = "plain" if other.startswith("plain") else "*"
    file = "pipelines: {branches: {main: [%s], %s}}" % (in_file("page", kind="final", where="script"), other)
    older = pipeline("FAILED", "{800}", 800, selector_pattern=pattern)
    run = planned(file, own(ran(), builds=(older,)))
    assert run.sent == ([SEES_AGAIN] if in_doubt else RESOLVES)
    unseen = pipeline("FAILED", "{800}", 800, selector_pattern="renamed")
    assert planned(file, own(ran(), builds=(unseen,))).sent == [SEES_AGAIN]


@pytest.mark.parametrize(
    ("result", "title"),
    [("SUCCESSFUL", "failed on main (#812; newer #813 passed)"), ("FAILED", "failed on main (#812)")],
)
def test_a_failure_tells_of_the_newest_build_and_is_resolved_by_the_next_one(planned, result, title):
    newer = pipeline(result, "{813}", 813)
    run = planned(FINAL, own(ran(result="FAILED"), builds=(newer, pipeline("FAILED", "{811}", 811))))
    assert run.page["summary"] == f'acme/shop: "unit" {title}'
    link = "https://bitbucket.org/acme/shop/pipelines/results/813"
    assert run.details["newer_build"] == f"#813 {result} {link}"
    assert run.details["resolves"].startswith("by a green run of this pipeline on main")
    assert "newer_build" not in planned(FINAL, own(ran(result="FAILED"))).details


def test_a_step_that_was_left_out_and_had_failed_puts_a_success_in_doubt(planned):
    looks = [(ran(), ran("e2e", "SKIPPED"), StepRun(OWN_STEP, "page", "IN_PROGRESS")), (ran("e2e", "FAILED"),)]
    older = pipeline("FAILED", "{811}", 811)
    run = planned(FINAL, Bitbucket({OWN: pipeline(), "{811}": older}, *looks, builds=(older,)))
    assert run.sent == [SEES_AGAIN]
    assert 'Not resolving: "e2e" did not run, and failed when it last ran (#811).' in run.plan.decision.warning


FINAL_STEP = in_file("page", kind="final", where="script")
BY_STATUS = in_file("page", kind="final", where="script", build_status="$R")


@pytest.mark.parametrize(
    ("file", "selector", "key"),
    [
        (MAIN % BY_STATUS, ("branches", "main"), "branch/main"),
        (DEFAULT % BY_STATUS, ("default", ""), "branch/main"),
        (DEFAULT % FINAL_STEP, ("default", ""), "branch/main:default"),
        (f"pipelines: {{default: [{BY_STATUS}], custom: {{x: [{FINAL_STEP}]}}}}", ("custom", "x"), "branch/main:custom/x"),
        (f"pipelines: {{custom: {{x: [{BY_STATUS}]}}, default: [{FINAL_STEP}]}}", ("default", ""), "branch/main:default"),
        (f"pipelines: {{custom: {{x: [{BY_STATUS}]}}, default: [{FINAL_STEP}]}}", ("custom", "x"), "branch/main"),
        (f"pipelines: {{custom: {{x: [{BY_STATUS}]}}, branches: {{main: [{FINAL_STEP}]}}}}", ("branches", "main"), "branch/main"),
    ],
)  # fmt: skip
def test_what_a_build_status_may_have_opened_has_its_key(planned, file, selector, key):
    kind, pattern = selector
    run = planned(file, own(ran(result="FAILED"), run=pipeline(selector_type=kind, selector_pattern=pattern)))
    assert run.sent == [f"trigger {key}", SEES_AGAIN]


def test_a_default_pipeline_and_a_custom_one_have_a_key_each_where_bitbucket_tells_them_apart(planned):
    file = f"pipelines: {{default: [{FINAL_STEP}], custom: {{x: [{FINAL_STEP}]}}}}"
    run = planned(file, own(ran(), run=pipeline(selector_type="default", selector_pattern="")))
    assert run.sent == ["resolve branch/main:default", SEES_AGAIN]


def test_pipelines_with_one_dedup_key_that_bitbucket_judges_see_each_other_in_its_list(planned):
    keyed = in_file("page", kind="final", where="script", dedup_key="shop-$BITBUCKET_BRANCH")
    file = f"pipelines: {{branches: {{main: [{UNIT}, {keyed}]}}, default: [{UNIT}, {keyed}]}}"
    default = pipeline(selector_type="default", selector_pattern="")
    assert "resolve shop-main" in planned(file, own(ran(), run=default), DEDUP_KEY="shop-main").sent
    run = planned(file, own(ran(), run=default, builds=(pipeline("FAILED", "{811}", 811),)), DEDUP_KEY="shop-main")
    assert "branches: main uses the same key and did not pass when it last ran (#811)" in run.plan.decision.warning


def test_two_pipelines_that_give_a_status_have_one_key_which_neither_resolves(planned):
    file = f"pipelines: {{branches: {{main: [{BY_STATUS}]}}, default: [{BY_STATUS}]}}"
    for api, variables in ((own(ran()), {}), (None, {"BUILD_STATUS": "successful"})):
        run = planned(file, api, **variables)
        assert run.sent == [SEES_AGAIN]
        assert "use the same key. Give each pipeline an ALERT_NAME of its own." in run.plan.decision.warning


@pytest.mark.parametrize("bad", [{"EXIT_CODE": "one"}, {"BUILD_STATUS": "fialed"}])
@pytest.mark.parametrize(
    ("file", "result", "sent"),
    [
        (FINAL, "SUCCESSFUL", RESOLVES), (FINAL, "FAILED", PAGES), (FINAL, "ODD", UNKNOWN),
        (AFTER_SCRIPT, "SUCCESSFUL", UNKNOWN), (AFTER_SCRIPT, "FAILED", PAGES), (IN_SCRIPT, "SUCCESSFUL", UNKNOWN),
    ],
)  # fmt: skip
def test_beside_a_bad_value_a_failure_counts_and_a_success_only_in_a_final_step(planned, bad, file, result, sent):
    run = planned(file, own(ran("other", result)), **bad)
    assert run.sent == sent
    (variable,) = bad
    if sent is UNKNOWN:
        assert run.details["reason"].startswith(f"{variable}: ")
    if file is AFTER_SCRIPT and sent is PAGES:
        assert run.details["resolves"].startswith(f"by hand: {variable}: ")


def test_the_log_s_tail_is_in_the_page_or_a_line_says_why_not(planned):
    assert planned(FINAL, own(ran(result="FAILED")), LOG_LINES="1").details["log_tail"] == "two"
    run = planned(AFTER_SCRIPT, EXIT_CODE="1", LOG_LINES="1")
    assert run.log.yellow == ["LOG_LINES does nothing here: without a token there is no log."]
    assert run.details["pipe_warnings"] == run.log.yellow


# --- A pipeline that it is told of. -----------------------------------------------------------------------------------

PAGER = f"pagerduty: [{in_file('PagerDuty', where='script')}]"
TRIGGERS = "triggers: {pipeline-completed: [{condition: 'true', pipelines: [pagerduty]}]}\n"
NO_TRIGGERS = f"pipelines: {{branches: {{main: [{UNIT}]}}, custom: {{{PAGER}, nightly: [{UNIT}]}}}}"
TOLD = TRIGGERS + NO_TRIGGERS
SELF = pipeline(uuid=OWN, number=900, selector_type="custom", selector_pattern="pagerduty")


def told(status: str = "FAILED", kind: str = "branches", pattern: str = "main") -> dict[str, str]:
    about = {"STATUS": status, "UUID": ENDED, "SELECTOR_TYPE": kind, "SELECTOR_PATTERN": pattern}
    return {f"BITBUCKET_TRIGGER_PIPELINE_{name}": value for name, value in about.items()}


def ended(result: str = "FAILED", *looks: Any, itself: Any = SELF, **more: Any) -> Bitbucket:
    """`looks` at the steps of the pipeline that ended; `itself`: the pager's own run."""
    builds = more.pop("builds", ())
    run = more.pop("run", None) or pipeline(result, ENDED, **more)
    return Bitbucket({ENDED: run, OWN: itself}, *(looks or ((ran(result=result),),)), builds=builds)


@pytest.mark.parametrize(
    ("status", "api", "sent", "says"),
    [
        ("FAILED", ended(), PAGES, '"unit" failed'),
        ("SUCCESSFUL", ended("SUCCESSFUL"), RESOLVES, "Resolving"),
        ("SUCCESSFUL", ended("FAILED"), PAGES, '"unit" failed'),
        ("SUCCESSFUL", ended("SUCCESSFUL", (ran(result="ODD"),)), RESOLVES, "Resolving"),
        ("SUCCESSFUL", ended("SUCCESSFUL", BUSY), [SEES_AGAIN], "Not resolving: Bitbucket's API has trouble of its own (503). Wait."),
        ("SUCCESSFUL", ended("SUCCESSFUL", builds=BUSY), [SEES_AGAIN], "Not resolving: the other builds could not be seen"),
        ("SUCCESSFUL", ended("", (ran(result="IN_PROGRESS"),), (ran(result="FAILED"),)), PAGES, '"unit" failed'),
        ("SUCCESSFUL", ended("", (ran(result="IN_PROGRESS"),)), [SEES_AGAIN], 'Not resolving: "unit" had not finished'),
        ("FAILED", ended("FAILED", BUSY), PAGES, "ended as FAILED; Bitbucket's API has trouble of its own (503). Wait."),
        ("STOPPED", ended("STOPPED", terminator="Ada"), [], "Sending nothing"),
        ("STOPPED", ended("STOPPED"), PAGES, "names nobody who stopped it"),
        ("NEW_WORD", ended("NEW_WORD", (ran(),)), UNKNOWN, "ended as NEW_WORD, which the pipe does not know"),
        ("FAILED", ended(run=BUSY), ["trigger ref unknown:branches/main"], "Bitbucket's API has trouble of its own (503)"),
        ("SUCCESSFUL", ended(run=BUSY), [], "Not resolving"),
        ("SUCCESSFUL", ended("SUCCESSFUL", ref_name="", ref_type=""), [], "Not resolving"),
        ("FAILED", ended(selector_type="", selector_pattern=""), PAGES, "Paging"),
    ],
)  # fmt: skip
def test_told_of_a_pipeline_bitbucket_adds_what_it_knows(planned, status, api, sent, says):
    run = planned(TOLD, api, **told(status))
    assert run.sent == sent
    assert says in run.said
    assert run.plan.answer.trouble is (BUSY if BUSY in (api.looks[0], api.newest, api.runs[ENDED]) else None)


def test_what_the_api_does_not_say_of_the_selector_is_taken_from_the_variables(planned):
    api = ended(selector_type="", selector_pattern="")
    assert planned(TOLD, api, **told(kind="custom", pattern="nightly")).sent[0] == "trigger branch/main:custom/nightly"
    api = ended(selector_type="custom", selector_pattern="")
    assert planned(TOLD, api, **told(kind="custom", pattern="nightly")).sent[0] == "trigger branch/main:custom/nightly"
    api = ended(selector_type="custom", selector_pattern="weekly")
    assert planned(TOLD, api, **told(kind="default", pattern="x")).sent[0] == "trigger branch/main:custom/weekly"


@pytest.mark.parametrize("variables", [{"BRANCHES": "release/*"}, {"BRANCHES": "release/*", "DEDUP_KEY": "main"}])
@pytest.mark.parametrize(("status", "failed"), [("FAILED", " But it failed: "), ("SUCCESSFUL", "")])
def test_a_filter_is_about_the_pipeline_that_ended(planned, variables, status, failed):
    run = planned(TOLD, ended(status), BITBUCKET_BRANCH="release/1", **variables, **told(status))
    assert run.sent == []
    assert run.plan.decision.reason == "Sending nothing: branch main is not among BRANCHES (release/*)."
    assert failed in run.plan.decision.warning
    assert bool(run.plan.decision.warning) is bool(failed)
    assert run.plan.answer.about.number == "812"


def test_a_refused_token_behind_a_filter_is_said(planned):
    run = planned(TOLD, ended("SUCCESSFUL", EXPIRED), BRANCHES="release/*", **told("SUCCESSFUL"))
    assert run.log.yellow == ["Bitbucket refused the token (401). Renew it."]
    assert planned(TOLD, ended("SUCCESSFUL", BUSY), BRANCHES="release/*", **told("SUCCESSFUL")).log.yellow == []


@pytest.mark.parametrize(
    ("file", "selector", "itself", "own"),
    [
        (TOLD, ("custom", "pagerduty"), SELF, True),
        (TOLD, ("custom", "nightly"), SELF, False),
        (NO_TRIGGERS, ("custom", "pagerduty"), SELF, True),
        (NO_TRIGGERS, ("custom", "nightly"), SELF, False),
        (NO_TRIGGERS, ("custom", "nightly"), BUSY, True),
        (NO_TRIGGERS, ("custom", "nightly"), SELF._replace(selector_type="", selector_pattern=""), True),
        (NO_TRIGGERS, ("branches", "main"), BUSY, False),
        (TOLD, ("custom", ""), SELF, True),
        (NO_TRIGGERS, ("custom", ""), SELF, True),
        (NO_TRIGGERS, ("", ""), SELF, True),
    ],
)
def test_a_pipeline_that_may_be_the_pagers_own_never_resolves(planned, file, selector, itself, own):
    kind, pattern = selector
    about = {"selector_type": kind, "selector_pattern": pattern}
    run = planned(file, ended("SUCCESSFUL", itself=itself, **about), **told("SUCCESSFUL", kind, pattern))
    assert (run.sent == []) is own
    assert ("Not resolving: it is about a pipeline that may be the pager's own" in run.plan.decision.warning) is own
    failed = planned(file, ended(itself=itself, **about), **told("FAILED", kind, pattern))
    assert failed.details["resolves"].startswith("by hand: it is about") is own


def test_what_the_api_says_of_the_commit_is_in_the_page_of_a_told_failure(planned):
    assert planned(TOLD, ended(), **told()).details["commit_message"] == "Try it"
    assert planned(FINAL, own(run=EXPIRED)).plan.answer.refused


def test_a_refused_token_is_remembered_behind_another_trouble(planned):
    answer = planned(TOLD, ended("SUCCESSFUL", EXPIRED, builds=BUSY), **told("SUCCESSFUL")).plan.answer
    assert answer.refused
    assert answer.outcome.doubt == "Bitbucket refused the token (401). Renew it"


def test_with_a_dedup_key_every_pipeline_of_the_place_counts(planned):
    other = pipeline("FAILED", "{811}", 811, selector_type="custom", selector_pattern="nightly")
    assert planned(TOLD, ended("SUCCESSFUL", builds=(other,)), **told("SUCCESSFUL")).sent == RESOLVES
    run = planned(TOLD, ended("SUCCESSFUL", builds=(other,)), DEDUP_KEY="shop main", **told("SUCCESSFUL"))
    assert "custom: nightly uses the same key" in run.plan.decision.warning
    nightly = f"pipelines: {{branches: {{main: [{UNIT}]}}, custom: {{nightly: [{FINAL_STEP}]}}}}"
    run = planned(nightly, own(ran(), builds=(other,)), DEDUP_KEY="shop main")
    assert "custom: nightly uses the same key" in run.plan.decision.warning


# --- Without asking. --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "reason", "warning"),
    [
        ({"EXIT_CODE": "2", "BRANCHES": "dev qa"}, "branch main is not among BRANCHES (dev qa)", "exit code 2"),
        ({"EXIT_CODE": "0", "BRANCHES": "dev qa"}, "branch main is not among BRANCHES (dev qa)", ""),
        ({"BRANCHES": "dev qa"}, "branch main is not among BRANCHES (dev qa)", ""),
        ({"EXIT_CODE": "2", "BITBUCKET_TAG": "v1", "BITBUCKET_BRANCH": "", "TAGS": "a b"}, "tag v1 is not among TAGS (a b)", "exit code 2"),
        ({"EXIT_CODE": "2", "BITBUCKET_PR_ID": "7"}, "this is a pull-request run, and PULL_REQUESTS is false", "exit code 2"),
    ],
)  # fmt: skip
def test_a_filter_is_heard_before_bitbucket_is_asked(planned, variables, reason, warning):
    run = planned(AFTER_SCRIPT, own(run=BUSY), **variables)
    assert (run.sent, run.plan.answer) == ([], None)
    assert run.plan.decision.reason == f"Sending nothing: {reason}."
    said = f"Sending nothing: {reason}. But it failed: {warning}."
    assert run.plan.decision.warning == (said if warning else "")


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ({"EXIT_CODE": "1"}, ["trigger branch/main:step"]),
        ({"EXIT_CODE": "0"}, ["resolve branch/main:step"]),
        ({"EXIT_CODE": "0", "EVENT_ACTION": "change"}, ["change"]),
        ({"EXIT_CODE": "0", "EVENT_ACTION": "acknowledge"}, ["acknowledge branch/main:step"]),
        ({"BUILD_STATUS": "failed"}, PAGES),
        ({"BUILD_STATUS": "failed", "ALERT_NAME": "build"}, ["trigger branch/main:name/build", SEES_AGAIN]),
        ({"BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production", "EXIT_CODE": "0", "CHANGE_EVENT": "true"}, ["change"]),
        (
            {"BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production", "BUILD_STATUS": "successful", "CHANGE_EVENT": "true"},
            RESOLVES,
        ),
        ({"EXIT_CODE": "1", "DEDUP_KEY": "main"}, ["trigger main"]),
        ({"BUILD_STATUS": "failed", "DEDUP_KEY": "main"}, ["trigger main", "resolve main:result unknown"]),
    ],
)
def test_what_the_variables_tell_is_sent_without_asking(planned, variables, sent):
    api = own(run=BUSY)
    run = planned(AFTER_SCRIPT, api, **variables)
    assert (run.sent, api.time_left) == (sent, 0.0)
    ago = datetime.now(UTC) - datetime.fromisoformat(run.page["timestamp"])
    assert timedelta(0) <= ago < timedelta(minutes=1)


def test_a_named_deployment_that_passes_is_two_events(planned):
    file = MAIN % in_file("Deploy", "deploy", more=", deployment: production")
    deploy = {"BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production", "ALERT_NAME": "deploy", "EXIT_CODE": "0"}
    assert planned(file, **deploy, CHANGE_EVENT="true").sent == ["resolve deployment/production:step/deploy", "change"]
    assert planned(file, **deploy).sent == ["resolve deployment/production:step/deploy"]


@pytest.mark.parametrize(
    ("file", "variables", "name"),
    [
        (AFTER_SCRIPT, {"EXIT_CODE": "1"}, "unit"),
        (MAIN % f"{in_file('unit', 'unit')}, {in_file('lint', 'lint')}", {"EXIT_CODE": "1", "ALERT_NAME": "lint"}, "lint"),
        (MAIN % f"{in_file('unit')}, {in_file('lint')}", {"EXIT_CODE": "1"}, None),
        (MAIN % f"{in_file('unit')}, {in_file('lint', where='script')}", {"EXIT_CODE": "1"}, "unit"),
        (f"pipelines: {{branches: {{main: [{in_file()}]}}, custom: {{x: {{import: 'a:b:c'}}}}}}", {"EXIT_CODE": "1"}, None),
        (AFTER_SCRIPT, {"BUILD_STATUS": "failed"}, None),
        (None, {"EXIT_CODE": "1"}, None),
    ],
)  # fmt: skip
def test_the_step_is_named_where_the_file_leaves_no_doubt_which_it_is(planned, file, variables, name):
    assert planned(file, **variables).details.get("step") == name


@pytest.mark.parametrize(
    ("file", "own_code", "until_then"),
    [
        (MAIN % in_file("unit", "unit"), {"EXIT_CODE": "1", "ALERT_NAME": "unit"}, ""),
        (MAIN % in_file("unit", "unit", more=", condition: {}"), {"EXIT_CODE": "1", "ALERT_NAME": "unit"}, "unit on main"),
        (FINAL, {"BUILD_STATUS": "failed"}, ""),
        ("pipelines: {custom: {x: {import: 'a:b:c'}}}", {"BUILD_STATUS": "failed"}, ""),
    ],
)  # fmt: skip
def test_what_may_be_skipped_is_said_to_swallow_the_next_page(planned, file, own_code, until_then):
    resolves = planned(file, **own_code).details["resolves"]
    assert resolves.endswith(
        f"; until then no failure of {until_then} pages again"
        if until_then
        else "on main"
        if "BUILD_STATUS" in own_code
        else "step"
    )


@pytest.mark.parametrize(
    ("selector", "file", "green"),
    [
        (("branches", "main"), "branches: {main: [%s], 'm*': [%s], dev: [%s]}", "this pipeline on main, if no other of its pipelines (branches: m*) failed last"),
        (("branches", "main"), "branches: {main: [%s]}, default: [%s], custom: {x: [%s]}", "this pipeline on main"),
        (("default", ""), "default: [%s], branches: {main: [%s], dev: [%s]}", "this pipeline on main"),
        (("custom", "x"), "custom: {x: [%s], y: [%s]}, default: [%s]", "custom pipeline x on main"),
        (("branches", "gone"), "branches: {main: [%s], 'm*': [%s]}, default: [%s]", 'this pipeline on main in which "unit" ran'),
    ],
)  # fmt: skip
def test_the_page_names_what_must_be_green(planned, selector, file, green):
    kind, pattern = selector
    api = own(ran(result="FAILED"), run=pipeline(selector_type=kind, selector_pattern=pattern))
    resolves = planned("pipelines: {%s}" % (file % (FINAL_STEP, FINAL_STEP, FINAL_STEP)), api).details["resolves"]
    assert resolves.partition(";")[0] == f"by a green run of {green}"


def test_ways_to_tell_fit_the_place(planned):
    run = planned(FINAL)
    assert len(run.details["ways_to_tell"]) == 2
    assert run.plan.decision.warning.endswith(" ".join(run.details["ways_to_tell"]))
    assert len(planned(FINAL, own(ran(result="ODD"))).details["ways_to_tell"]) == 1
    assert planned(TOLD, **told("NEW_WORD")).details["ways_to_tell"][0].startswith("Look at that pipeline.")


def test_debug_shows_by_what_it_was_decided(planned):
    shown = planned(AFTER_SCRIPT, EXIT_CODE="1").log.debugged
    assert [line.partition("(")[0] for line in shown] == ["Definition", "Answer", "Case"]
    assert planned(AFTER_SCRIPT, EXIT_CODE="1", BRANCHES="x").log.debugged[1:] == ["None", "None"]


# --- Where all else failed. -------------------------------------------------------------------------------------------

WHY = "the pipe itself failed: KeyError in a.py:1"


@pytest.mark.parametrize(
    ("variables", "sent", "says"),
    [
        ({"EXIT_CODE": "1"}, ["trigger branch/main:step"], "Paging: exit code 1."),
        ({"EXIT_CODE": "0"}, [], "It passed: exit code 0."),
        ({}, UNKNOWN, f"Paging a warning: whether it passed cannot be told: {WHY}."),
        ({"BUILD_STATUS": "successful"}, [SEES_AGAIN], "It passed: BUILD_STATUS is successful."),
        ({"EXIT_CODE": "1", "BRANCHES": "dev"}, [], "Sending nothing: branch main is not among BRANCHES (dev)."),
        ({"EXIT_CODE": "0", "EVENT_ACTION": "resolve"}, ["resolve branch/main:step"], "Sending resolve: EVENT_ACTION is resolve."),
        (told("FAILED"), ["trigger ref unknown:branches/main"], "Paging: Bitbucket says that the pipeline ended as FAILED."),
        (told("SUCCESSFUL"), [], "It passed"),
        (told("SUCCESSFUL", "pull-requests"), [], "Sending nothing: this is a pull-request run"),
        ({"CI": ""}, [], f"Sending nothing: {WHY}, and CI is not set."),
    ],
)  # fmt: skip
def test_by_the_variables_alone_a_failure_pages_and_nothing_resolves(variables, sent, says):
    environ = {**ENVIRON, "SEVERITY": "eror", **variables}
    made = plan_without_reading(Settings.read(environ), Build.read(environ), WHY)
    assert [short(event) for event in made.events] == sent
    assert says in made.decision.reason
    for event in made.events[:1]:
        details = event.body["payload"]["custom_details"]
        assert details["pipe_warnings"][0].startswith("SEVERITY: ")
        assert details["pipe_warnings"][-1] == f"{WHY}."
        if event.action == "trigger" and sent is not UNKNOWN:
            assert details["resolves"].startswith("by hand: ")
        assert datetime.fromisoformat(event.body["payload"]["timestamp"])
    kept_out = made.decision.reason.startswith("Sending nothing: branch") or "pull-request" in made.decision.reason
    assert (made.answer is None) is kept_out
    if "BRANCHES" in variables:
        assert made.decision.warning == f"{says} But it failed: exit code 1."


# --- What several hold together. --------------------------------------------------------------------------------------

DEPLOY = {"BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production"}
BY_DOCKER = "{step: {name: %s, script: [make], after-script: [{pipe: 'docker://x/pagerduty:1', variables: {%s}}]%s}}"
CODE = "INTEGRATION_KEY: $K, EXIT_CODE: $BITBUCKET_EXIT_CODE"


def test_a_status_that_a_step_in_a_deployment_gives_has_the_key_of_the_ref(planned):
    deploy = in_file("Deploy", where="script", build_status="$S", more=", deployment: production")
    file = f"pipelines: {{branches: {{main: [{FINAL_STEP}]}}, custom: {{release: [{deploy}]}}}}"
    failed = planned(file, BUILD_STATUS="failed", **DEPLOY)
    assert failed.sent == PAGES
    assert failed.details["resolves"].startswith("by hand: page (branches: main) and Deploy (custom: release) use")
    passed = planned(file, own(ran()))
    assert passed.sent == [SEES_AGAIN]
    assert "Not resolving: Deploy uses the same key. Give each" in passed.plan.decision.warning


def test_a_told_success_does_not_resolve_what_another_pipeline_s_status_may_have_opened(planned):
    nightly = in_file("Nightly", where="script", build_status="$S")
    file = TOLD.replace(f"nightly: [{UNIT}]", f"nightly: [{nightly}]")
    run = planned(file, ended("SUCCESSFUL"), **told("SUCCESSFUL"))
    assert run.sent == [SEES_AGAIN]
    assert "Not resolving: Nightly uses the same key." in run.plan.decision.warning
    about = {"selector_type": "custom", "selector_pattern": "nightly"}
    assert (
        "resolve branch/main:custom/nightly" in planned(file, ended("SUCCESSFUL", **about), **told("SUCCESSFUL")).sent
    )


@pytest.mark.parametrize("file", [None, TOLD])
def test_a_told_pager_has_one_dedup_key_for_whatever_it_is_told_of(planned, file):
    run = planned(file, ended("SUCCESSFUL"), DEDUP_KEY="shop-main", **told("SUCCESSFUL"))
    assert [event for event in run.sent if event == "resolve shop-main"] == []
    assert "its DEDUP_KEY is the same. Leave DEDUP_KEY out." in run.plan.decision.warning
    unknown = planned(file, ended("NEW_WORD", (ran(),)), DEDUP_KEY="shop-main", **told("NEW_WORD"))
    assert unknown.details["resolves"].startswith("by hand; until then")


@pytest.mark.parametrize("more", [{"ref_type": ""}, {"ref_type": "named_branch"}, {"ref_type": "", "ref_name": ""}])
def test_where_bitbucket_does_not_say_on_which_ref_it_ran_nothing_resolves(planned, more):
    run = planned(TOLD, ended("SUCCESSFUL", **more), **told("SUCCESSFUL"))
    assert run.sent == []
    assert "Bitbucket's API did not say on which ref that pipeline ran" in run.plan.decision.warning
    assert planned(TOLD, ended(**more), **told()).sent == ["trigger ref unknown:branches/main"]


def test_a_pipe_from_docker_may_not_know_its_environment(planned):
    file = MAIN % f"{BY_DOCKER % ('Test', CODE, '')}, {BY_DOCKER % ('Deploy', CODE, ', deployment: production')}"
    failed, passed = planned(file, EXIT_CODE="1"), planned(file, EXIT_CODE="0")
    assert failed.page["summary"] == "acme/shop: build failed on main (#812, exit code 1)"
    assert failed.details["resolves"].startswith("by hand: Test and Deploy use the same key")
    assert passed.sent == []
    mapped = f"{CODE}, BITBUCKET_DEPLOYMENT_ENVIRONMENT: $BITBUCKET_DEPLOYMENT_ENVIRONMENT"
    file = MAIN % f"{BY_DOCKER % ('Test', CODE, '')}, {BY_DOCKER % ('Deploy', mapped, ', deployment: production')}"
    assert planned(file, EXIT_CODE="0").sent == ["resolve branch/main:step"]
    assert planned(file, EXIT_CODE="0", **DEPLOY).sent == ["resolve deployment/production:step"]


@pytest.mark.parametrize(
    ("file", "sent"),
    [
        ("tags: {'web-*': [%s], 'api-*': [%s]}", []),
        ("tags: {'web-*': [%s]}, custom: {release: [%s]}", []),
        ("tags: {'web-*': [%s]}, custom: {x: {import: 'a:b:c'}, y: [%s]}", []),
        ("default: [%s], custom: {release: [%s]}", ["resolve detached:step/publish"]),
    ],
)
def test_a_pipe_from_docker_may_not_know_its_tag(planned, file, sent):
    publish = BY_DOCKER % ("Publish", f"{CODE}, ALERT_NAME: publish", "")
    text = "pipelines: {%s}" % (file % (publish, publish))
    run = planned(text, ALERT_NAME="publish", EXIT_CODE="0", BITBUCKET_BRANCH="")
    assert run.sent == sent
    assert ("it may be a run of Publish" in run.plan.decision.warning) is (sent == [])
    assert ("on a tag that it does not know. Map BITBUCKET_TAG." in run.plan.decision.warning) is (sent == [])
    told_its_tag = BY_DOCKER % ("Publish", f"{CODE}, ALERT_NAME: publish, BITBUCKET_TAG: $BITBUCKET_TAG", "")
    text = "pipelines: {%s}" % (file % (told_its_tag, told_its_tag))
    run = planned(text, ALERT_NAME="publish", EXIT_CODE="0", BITBUCKET_BRANCH="")
    assert run.sent == ([] if "custom" not in file else ["resolve detached:step/publish"])


def test_a_pipe_from_docker_under_one_name_in_two_environments_is_not_one_check(planned):
    staging, production = (
        BY_DOCKER % (f"Deploy to {name}", f"{CODE}, ALERT_NAME: deploy", f", deployment: {name}")
        for name in ("staging", "production")
    )
    file = f"pipelines: {{branches: {{main: [{staging}]}}, custom: {{release: [{production}]}}}}"
    run = planned(file, ALERT_NAME="deploy", EXIT_CODE="0")
    assert run.sent == []
    assert "use the same key. Map BITBUCKET_DEPLOYMENT_ENVIRONMENT." in run.plan.decision.warning


def test_a_pipe_from_docker_in_a_deployment_is_not_where_a_run_without_an_exit_code_stands(planned):
    final = "{final: {name: Page, script: [{pipe: 'docker://x/pagerduty:1', variables: {INTEGRATION_KEY: $K}}]}}"
    file = MAIN % f"{UNIT}, {BY_DOCKER % ('Deploy', CODE, ', deployment: production')}, {final}"
    assert planned(file, own(ran(), name="")).sent == RESOLVES
    script = "{step: {name: t, script: [{pipe: 'docker://x/pagerduty:1', variables: {INTEGRATION_KEY: $K}}]}}"
    file = MAIN % f"{script}, {BY_DOCKER % ('Deploy', CODE, ', deployment: production')}"
    assert "this pipe stands in `script` of an ordinary step" in planned(file).plan.decision.warning


@pytest.mark.parametrize("other", [{"build_status": "$S"}, {"build_status": "successful", "event_action": "change"}])
def test_a_status_under_another_name_or_that_opens_nothing_changes_no_key(planned, other):
    deploy = in_file("deploy", "deploy" if len(other) == 1 else "", where="script", **other)
    file = f"pipelines: {{default: [{deploy}, {FINAL_STEP}], branches: {{main: [{UNIT}, {FINAL_STEP}]}}}}"
    default = pipeline(selector_type="default", selector_pattern="")
    run = planned(file, own(ran(result="FAILED"), run=default))
    assert run.sent == ["trigger branch/main:default", SEES_AGAIN]
    assert run.details["resolves"] == "by a green run of this pipeline on main"
    assert planned(file, own(ran())).sent == RESOLVES


def test_a_green_step_in_an_imported_pipeline_is_no_unknown_result(planned):
    file = f"pipelines: {{branches: {{main: [{UNIT}, {FINAL_STEP}]}}, custom: {{x: {{import: 'a:b:c'}}}}}}"
    run = planned(file, EXIT_CODE="0")
    assert (run.sent, run.plan.decision.failed) == ([], False)
    assert "Not resolving: " in run.plan.decision.warning


def test_with_one_dedup_key_a_step_sees_the_status_of_a_step_in_a_deployment(planned):
    test = in_file("Test", dedup_key="shop-$BITBUCKET_BRANCH")
    deploy = in_file(
        "Deploy", where="script", dedup_key="shop-$BITBUCKET_BRANCH", build_status="$S", more=", deployment: staging"
    )
    run = planned(MAIN % f"{test}, {deploy}", DEDUP_KEY="shop-main", EXIT_CODE="0")
    assert run.sent == []
    assert "Not resolving: Deploy can use the same DEDUP_KEY." in run.plan.decision.warning


@pytest.mark.parametrize(
    ("name", "value", "other", "owned"),
    [
        ("${SERVICE:-$BITBUCKET_REPO_SLUG} unit", "shop unit", "${SERVICE:-$BITBUCKET_REPO_SLUG} lint", True),
        ("US$ unit", "US$ unit", "US$ lint", True),
        ("a\\shop unit", "ashop unit", "a\\shop lint", True),
        ('${U:-"a}b"} unit', "a}b unit", '${U:-"a}b"} lint', False),
        ("${A:-${B:-c}} unit", "c unit", "${A:-${B:-$C}} unit", False),
    ],
)
def test_what_stands_around_an_expansion_tells_names_apart(planned, name, value, other, owned):
    file = MAIN % f"{in_file('a', repr(name))}, {in_file('b', repr(other))}"
    run = planned(file.replace("\\\\", "\\"), ALERT_NAME=value, EXIT_CODE="0")
    assert (run.sent != []) is owned


def test_a_key_of_a_default_beside_the_branch_is_its_whole_variable(planned):
    file = MAIN % in_file("unit", dedup_key="'${SERVICE:-$BITBUCKET_REPO_SLUG}-$BITBUCKET_BRANCH'")
    assert planned(file, DEDUP_KEY="shop-main", EXIT_CODE="0").sent == ["resolve shop-main"]


def test_what_another_place_can_have_is_not_closed_from_here(planned):
    file = DEFAULT % in_file("unit", "unit", dedup_key="main-release")
    unknown = planned(file, EXIT_CODE="one", DEDUP_KEY="main-release", ALERT_NAME="unit")
    assert unknown.sent == ["trigger main-release:result unknown"]
    assert unknown.details["resolves"].startswith("by hand; until then")
    assert planned(file, BUILD_STATUS="failed", DEDUP_KEY="main-release", ALERT_NAME="unit").sent == [
        "trigger main-release"
    ]
    alone = planned(None, EXIT_CODE="one", DEDUP_KEY="shop main")
    assert alone.details["resolves"].startswith(
        "by hand, or by the next known result of a pipeline with the same DEDUP_KEY;"
    )


def test_with_a_dedup_key_the_page_names_the_other_pipelines_that_hold_the_pipe(planned):
    keyed = in_file("page", kind="final", where="script", dedup_key="shop-$BITBUCKET_BRANCH")
    file = f"pipelines: {{branches: {{main: [{keyed}]}}, default: [{keyed}], custom: {{plain: [{UNIT}], x: {{import: 'a:b:c'}}}}}}"
    resolves = planned(file, own(ran(result="FAILED")), DEDUP_KEY="shop-main").details["resolves"]
    assert ", if no other of its pipelines (default, custom: x) failed last; until then" in resolves
    giving = in_file("page", kind="final", where="script", dedup_key="shop-$BITBUCKET_BRANCH", build_status="$S")
    file = f"pipelines: {{branches: {{main: [{UNIT}, {giving}]}}, default: [{in_file('other', 'other')}]}}"
    resolves = planned(file, own(ran(result="FAILED")), DEDUP_KEY="shop-main").details["resolves"]
    assert resolves.startswith("by a green run of this pipeline on main, if no other of its pipelines (default) failed")


def test_an_ignored_step_that_failed_is_not_said_to_have_passed(planned):
    file = MAIN % f"{UNIT}, {{step: {{name: lint, on-fail: ignore, script: [make]}}}}, {FINAL_STEP}"
    run = planned(file, own(ran(), ran("lint", "FAILED")))
    assert run.sent == RESOLVES
    assert run.said.startswith("Resolving: Bitbucket says that every other step that ran passed or may fail.")
