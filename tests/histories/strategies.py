"""Files and histories by hypothesis, biased to the small: what shrinks, shrinks to a push of main that goes well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from hypothesis import strategies as st

from pipe.definition import matches
from tests.histories.bitbucket import ALL_GATES, MAIN, Ref, World
from tests.histories.history import Figures, History
from tests.histories.pager import without_evidence
from tests.histories.pipelines_file import Element, File, Pager, Parallel, Pipeline, Stage, Step, Trigger

FEATURE, RELEASE = Ref("branch", "feature/x"), Ref("branch", "release/1")
TAGS = (Ref("tag", "v1.9.5"), Ref("tag", "v2.0.0"), Ref("tag", "web-v2.0.0"))
PULL_REQUEST = Ref("pull-request", "feature/x", 7, "main")
COMMIT = Ref("commit")
TOLD = "pagerduty"

NAMES = ("Unit", "Lint", "Deploy", "", "Unit")
TROUBLES = ("fail", "fail", "fail", "skip", "skip", "flaky", "stop", "timeout", "error")
DEDUP_KEYS = (
    "$BITBUCKET_REPO_SLUG-build",
    "build-$BITBUCKET_BRANCH",
    "build",
    "build-$BITBUCKET_DEPLOYMENT_ENVIRONMENT",
)
STATUSES_OF_FAILURE = ("FAILED", "ERROR", "STOPPED", "EXPIRED")


class Event(NamedTuple):
    kind: str = "start"
    which: int = 0
    troubles: tuple[tuple[int, str], ...] = ()
    gates: int = ALL_GATES
    late_after: int = -1


@dataclass(frozen=True)
class Script:
    """A file, a world and what happens in it."""

    file: File
    world: World
    events: tuple[Event, ...]

    def __repr__(self) -> str:
        return f"{self.world}\n" + "\n".join(f"{i}. {tuple(event)}" for i, event in enumerate(self.events, 1))

    def play(self, figures: Figures) -> History:
        with without_evidence():
            history = History(self.file, self.world, figures)
            for event in self.events:
                _happen(history, event)
            history.finish()
        return history


def starts(file: File) -> list[tuple[Pipeline, Ref]]:
    """What can be started, the pushes first."""
    of = {
        section: [p for p in file.pipelines if p.section == section]
        for section in ("default", "branches", "tags", "pull-requests", "custom")
    }
    found = []
    for ref in (MAIN, FEATURE, RELEASE):
        fitting = [p for p in of["branches"] if p.pattern == ref.name]
        fitting += [p for p in of["branches"] if p.pattern != ref.name and matches(p.pattern, ref.name)]
        found += [(pipeline, ref) for pipeline in (*fitting, *of["default"])]
    found.sort(key=lambda one: one[1] != MAIN)
    found += [(p, ref) for p in of["tags"] for ref in TAGS if matches(p.pattern, ref.name)]
    found += [(p, PULL_REQUEST) for p in of["pull-requests"]]
    found += [(p, ref) for p in of["custom"] if p.pattern != TOLD for ref in (MAIN, FEATURE, COMMIT)]
    return found


def _happen(history: History, event: Event) -> None:
    troubles, runs = dict(event.troubles), list(reversed(history.bitbucket.runs))
    if event.kind == "start":
        possible = starts(history.file)
        pipeline, ref = possible[event.which % len(possible)]
        steps = len(pipeline.slots)
        history.start(pipeline, ref, {i % steps: what for i, what in troubles.items()}, event.gates, event.late_after)
        return
    if event.kind in ("expired", "silent", "renewed"):
        history.api("" if event.kind == "renewed" else event.kind)
        return
    if event.kind == "resolve":
        history.resolve_by_hand(event.which)
        return
    open_runs = [run for run in runs if not run.has_ended]
    ended = [run for run in runs if run.has_ended and not run.about]
    if event.kind in ("go on", "stop") and open_runs:
        run = open_runs[event.which % len(open_runs)]
        history.go_on(run, troubles) if event.kind == "go on" else history.stop(run)
    failed = [run for run in ended if run.result != "SUCCESSFUL"]
    if event.kind == "rerun" and failed:
        history.rerun(failed[event.which % len(failed)], troubles)
    deployed = [run for run in ended if not run.stopped]
    if event.kind == "redeploy" and deployed:
        history.redeploy(deployed[event.which % len(deployed)], 0, troubles)


_small = st.integers(0, 3)
_seldom = st.sampled_from((False, False, False, True))
_trouble = st.tuples(st.integers(0, 3), st.sampled_from(TROUBLES))
_troubles = st.one_of(st.just(()), st.tuples(_trouble), st.tuples(_trouble), st.tuples(_trouble, _trouble))
_start = st.builds(
    Event,
    st.just("start"),
    st.integers(0, 9),
    _troubles,
    st.sampled_from((ALL_GATES, ALL_GATES, 0, 1)),
    st.sampled_from((-1, -1, -1, -1, 0, 1)),
)
_other = st.builds(
    Event,
    st.sampled_from(("rerun", "go on", "redeploy", "stop", "resolve", "expired", "renewed", "silent")),
    _small,
    _troubles,
)
_same = st.builds(Event, st.just("start"), st.just(0), _troubles)  # the same pipeline again and again
EVENTS = st.lists(st.one_of(_same, _same, _start, _start, _other), min_size=1, max_size=14).map(tuple)
WORLDS = st.builds(World, st.booleans(), st.booleans(), st.sampled_from(("FAILED", "STOPPED")), st.booleans())


@st.composite
def files(draw: st.DrawFn) -> File:
    """One place of the three in most files, two in some."""
    after = draw(st.sampled_from((True, True, True, False)))
    final = draw(_seldom) if after else draw(st.booleans())
    told = draw(_seldom) if after or final else True
    naming = draw(st.sampled_from(("each", "none", "shared", "dedup")))
    shared = draw(_pagers(naming)) if after else None
    one_final = draw(_finals(beside_others=bool(shared))) if final else None
    pipelines = [
        draw(_pipelines(section, pattern, shared, naming, one_final if section != "custom" else None))
        for section, pattern in draw(st.sampled_from(SHAPES))
    ]
    triggers: list[Trigger] = []
    if told:
        token = draw(st.sampled_from((True, True, False)))
        pager = Pager(
            token=token,
            branches=draw(st.sampled_from(("", "", "main"))),
            alert_name=draw(st.sampled_from(("told", "told", "told ci"))),
        )
        if draw(_seldom):
            pager = replace(pager, build_status="$BITBUCKET_TRIGGER_PIPELINE_STATUS")
        pipelines.append(Pipeline("custom", TOLD, (Step("PagerDuty", inside=pager),)))
        triggers += draw(st.sampled_from((RECIPE, EVERYTHING, ALL_BUT_MAIN_PAGER)))
    if draw(_seldom):
        pipelines.append(draw(_pipelines("custom", "chained", shared, naming, None)))
        triggers.append(Trigger("chained", ("SUCCESSFUL",), ("branches",)))
    return File(tuple(pipelines), tuple(triggers))


RECIPE = (Trigger(TOLD), Trigger(TOLD, ("SUCCESSFUL",), ("branches", "default")))
EVERYTHING = (Trigger(TOLD, STATUSES_OF_FAILURE), Trigger(TOLD, ("SUCCESSFUL",), but=(TOLD,)))
ALL_BUT_MAIN_PAGER = (Trigger(TOLD, ("SUCCESSFUL", *STATUSES_OF_FAILURE), but=(TOLD,)),)
SHAPES = (
    (("branches", "main"),),
    (("default", ""), ("branches", "main")),
    (("branches", "main"), ("custom", "nightly")),
    (("branches", "main"), ("branches", "{main,release/*}")),
    (("default", ""), ("custom", "nightly")),
    (("branches", "main"), ("tags", "**")),
    (("branches", "main"), ("pull-requests", "**")),
    (("custom", "deploy-api"), ("custom", "deploy-web")),
    (("default", ""), ("branches", "release/*"), ("tags", "v*"), ("pull-requests", "**"), ("custom", "nightly")),
)


@st.composite
def _pagers(draw: st.DrawFn, naming: str) -> Pager:
    return Pager(
        alert_name="checks" if naming == "shared" else "",
        dedup_key=draw(st.sampled_from(DEDUP_KEYS)) if naming == "dedup" else "",
        branches=draw(st.sampled_from(("", "", "", "main"))),
        pull_requests=draw(st.booleans()),
        ignore_exit_codes=draw(st.sampled_from(("", "", "", "", "", "0", "1"))),
        service=draw(st.sampled_from(("PAGERDUTY_INTEGRATION_KEY",) * 4 + ("PAGERDUTY_OTHER_KEY",))),
    )


@st.composite
def _pipelines(
    draw: st.DrawFn, section: str, pattern: str, shared: Pager | None, naming: str, final: Step | None
) -> Pipeline:
    elements = tuple(draw(_elements(shared, naming)) for _ in range(draw(st.sampled_from((1, 2, 2, 3)))))
    return Pipeline(section, pattern, elements, final)


@st.composite
def _elements(draw: st.DrawFn, shared: Pager | None, naming: str) -> Element:
    kind = draw(st.sampled_from(("step", "step", "step", "parallel", "stage")))
    if kind == "step":
        return draw(_steps(shared, naming))
    if kind == "parallel":
        if draw(_seldom) and shared:
            sharded = replace(shared, alert_name="unit $BITBUCKET_PARALLEL_STEP", dedup_key="")
            return Parallel((Step("Shard", after=sharded),) * 2)
        return Parallel(tuple(draw(_steps(shared, naming, gates=False)) for _ in range(2)))
    return Stage(
        tuple(draw(_steps(shared, naming, gates=False, deployments=False)) for _ in range(draw(st.integers(1, 2)))),
        name="Stage",
        deployment=draw(st.sampled_from(("", "Production", "staging"))),
        condition=draw(_seldom),
        manual=draw(_seldom),
    )


@st.composite
def _steps(draw: st.DrawFn, shared: Pager | None, naming: str, gates: bool = True, deployments: bool = True) -> Step:
    name = draw(st.sampled_from(NAMES))
    pager = shared
    if pager and naming == "each":
        pager = replace(pager, alert_name=name.lower())
    if pager and draw(st.sampled_from((False, False, False, False, True))):
        pager = None
    special = draw(
        st.sampled_from(
            ("", "", "", "condition", "manual", "ignore", "retry", "no clone", "deployment", "manual deployment")
        )
    )
    return Step(
        name,
        after=pager,
        deployment=draw(st.sampled_from(("production", "staging"))) if "deployment" in special and deployments else "",
        condition=special == "condition",
        manual=gates and "manual" in special,
        on_fail=special if special in ("ignore", "retry") else "",
        clone=special != "no clone",
    )


@st.composite
def _finals(draw: st.DrawFn, beside_others: bool) -> Step:
    name = draw(st.sampled_from(("Final", "")))
    how = draw(st.sampled_from(("token", "token", "token", "status", "after", "after with token", "no token")))
    pager = Pager(
        token="token" in how and how != "no token",
        build_status="$STATUS" if how == "status" else "",
        alert_name="pipeline" if beside_others else draw(st.sampled_from(("", "", "", "ci"))),
        dedup_key="" if beside_others else draw(st.sampled_from(("", "", "", "", "", *DEDUP_KEYS[:2]))),
    )
    return Step(name, after=pager) if how.startswith("after") else Step(name, inside=pager)


SCRIPTS = st.builds(Script, files(), WORLDS, EVENTS)
