"""Pipeline files of the shapes that teams write, and how many of their alerts one fully green run resolves.

Each shape is a function of what stands in every step's after-script: a named pipe, or one without a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.histories.bitbucket import MAIN, Ref
from tests.histories.history import History
from tests.histories.pager import without_evidence
from tests.histories.pipelines_file import Element, File, Pager, Parallel, Pipeline, Stage, Step
from tests.histories.strategies import FEATURE, PULL_REQUEST

PagerOf = Callable[[str], Pager]
TAG = Ref("tag", "v1.2.3")
REFS = {
    "default": FEATURE,
    "tags": TAG,
    "pull-requests": PULL_REQUEST,
    "custom": MAIN,
}


def named(step: str) -> Pager:
    return Pager(alert_name=step.lower())


def unnamed(step: str) -> Pager:
    return Pager()


def shapes(pager_of: PagerOf) -> Iterator[File]:
    """Some thirty files."""

    def step(name: str, deployment: str = "", manual: bool = False, condition: bool = False, on_fail: str = "") -> Step:
        return Step(name, pager_of(name), deployment=deployment, manual=manual, condition=condition, on_fail=on_fail)

    def steps(*names: str) -> tuple[Step, ...]:
        return tuple(step(name) for name in names)

    def push(branch: str, *elements: Element) -> Pipeline:
        return Pipeline("branches", branch, elements)

    def default(*elements: Element) -> Pipeline:
        return Pipeline("default", "", elements)

    def custom(name: str, *elements: Element) -> Pipeline:
        return Pipeline("custom", name, elements)

    def tags(pattern: str, *elements: Element) -> Pipeline:
        return Pipeline("tags", pattern, elements)

    def requests(*elements: Element) -> Pipeline:
        return Pipeline("pull-requests", "**", elements)

    build, test, lint = steps("Build", "Test", "Lint")
    staging, live = step("Deploy", "staging"), step("Deploy", "production", manual=True)

    # One pipeline
    yield File((default(step("Build and test")),))
    yield File((push("main", build, test),))
    yield File((push("master", build, test, step("Deploy", "production")),))
    yield File((default(build, test), push("main", build, test, staging)))
    yield File((default(Parallel((test, lint))), push("main", Parallel((test, lint)), build, staging, live)))
    # Shared anchors
    yield File((default(test), push("develop", test, staging), push("main", test, live)))
    yield File((push("develop", build, staging), push("main", build, step("Deploy", "production")), requests(build)))
    yield File((requests(lint, test), push("main", lint, test, build)))
    # Tags
    yield File((default(test), tags("v*", build, step("Publish", "production"))))
    yield File((push("main", test), tags("release-*", build, step("Release")), tags("**", test)))
    yield File((default(test), tags("*-staging", staging), tags("*-production", step("Deploy", "production"))))
    # Nightlies and pipelines by hand
    yield File((push("main", test), custom("nightly", step("End to end"), step("Audit"))))
    yield File(
        (default(build), custom("deploy-staging", staging), custom("deploy-production", step("Deploy", "production")))
    )
    yield File(
        (push("main", build, test), custom("rollback", step("Roll back", "production")), custom("sonar", step("Sonar")))
    )
    yield File(
        (custom("terraform-plan", step("Plan")), custom("terraform-apply", step("Plan"), step("Apply", "production")))
    )
    # Stages and gates
    yield File(
        (
            push(
                "main",
                Stage((build, test), "Build"),
                Stage((step("Deploy"), step("Smoke test")), "Live", "production", manual=True),
            ),
        )
    )
    yield File(
        (
            push(
                "main",
                build,
                Stage(steps("Migrate", "Deploy"), "Staging", "staging"),
                Stage(steps("Migrate", "Deploy"), "Live", "production", manual=True),
            ),
        )
    )
    yield File(
        (push("release/*", build, step("Deploy", "test"), step("Deploy", "staging", manual=True), live), default(test))
    )
    # Monorepos
    yield File(
        (
            push(
                "main",
                Parallel((step("API", condition=True), step("Web", condition=True), step("Mobile", condition=True))),
            ),
        )
    )
    yield File(
        (
            push("main", step("Build API", condition=True), step("Build web", condition=True), step("Deploy API", "production-api", condition=True),
                 step("Deploy web", "production-web", condition=True)),
            requests(Parallel((step("Test API", condition=True), step("Test web", condition=True)))),
        )
    )  # fmt: skip
    yield File(
        (custom("deploy-api", step("Deploy API", "production")), custom("deploy-web", step("Deploy web", "production")))
    )
    yield File(
        (
            push("main", *steps("Backend", "Frontend", "Infrastructure"), step("Deploy", "production")),
            default(*steps("Backend", "Frontend")),
        )
    )
    # Parallel tests
    yield File((push("main", build, Parallel(steps("Unit 1", "Unit 2", "Unit 3", "Unit 4")), staging),))
    shards = _shards(pager_of)
    yield File((default(build, shards), push("main", build, shards, staging)))
    # More than one pattern for a branch
    yield File((push("main", build, live), push("{main,develop}", build, test), default(test)))
    yield File(
        (
            push("feature/*", lint, test),
            push("bugfix/*", lint, test),
            push("release/*", lint, test, staging),
            push("main", build, live),
        )
    )
    # Ignored, retried
    yield File((push("main", step("Audit", on_fail="ignore"), step("End to end", on_fail="retry"), staging),))
    yield File(
        (default(step("Lint", on_fail="ignore"), test), push("main", step("Lint", on_fail="ignore"), test, build))
    )
    # One name twice in one pipeline, as it happens
    yield File((push("main", build, test, Parallel(steps("Test", "Lint"))),))
    # Several regions, several environments
    yield File((push("main", build, step("Deploy", "production-eu"), step("Deploy", "production-us")),))
    yield File(
        (
            push(
                "main",
                *steps("Build", "Test", "Push image", "Scan"),
                step("Deploy", "staging"),
                step("Smoke test"),
                live,
                step("Tag release"),
            ),
        )
    )
    yield File(
        (
            push("main", test, staging, step("Test on staging"), live, step("Test on production")),
            requests(test),
            custom("load", step("Load test")),
        )
    )
    yield File(
        (
            push("main", build, Parallel((step("Deploy"), step("Docs"))), step("Notify", on_fail="ignore")),
            custom("docs", step("Docs")),
        )
    )


def _shards(pager_of: PagerOf) -> Parallel:
    pager = pager_of("Unit $BITBUCKET_PARALLEL_STEP")
    if pager.alert_name:
        pager = Pager(alert_name="unit $BITBUCKET_PARALLEL_STEP")
    return Parallel((Step("Unit", pager),) * 3)


def count_alerts(pager_of: PagerOf) -> tuple[int, int]:
    """How many alerts one fully green run resolved, and how many there were: each step of each pipeline fails once."""
    resolved = opened = 0
    for file in shapes(pager_of):
        for pipeline in file.pipelines:
            for slot in pipeline.slots:
                history = History(file)
                ref = _ref(pipeline)
                history.start(pipeline, ref, {slot.index: "fail"})
                opened += len(history.pagerduty.open)
                before = len(history.pagerduty.open)
                history.start(pipeline, ref)
                resolved += before - len(history.pagerduty.open)
    return resolved, opened


def report() -> Iterator[str]:
    with without_evidence():
        files = len(list(shapes(named)))
        for what, pager_of in (("a named pipe", named), ("an unnamed one", unnamed)):
            resolved, opened = count_alerts(pager_of)
            share = f"{resolved} of {opened} alerts ({resolved / opened:.1%})"
            yield f"{files} files of real shape with {what} in every step: one fully green run resolves {share}"


def _ref(pipeline: Pipeline) -> Ref:
    if pipeline.section != "branches":
        ref = REFS[pipeline.section]
        return Ref("tag", pipeline.pattern.replace("**", "v1.2.3").replace("*", "1.2.3")) if ref == TAG else ref
    if "{" in pipeline.pattern:
        return MAIN
    return Ref("branch", pipeline.pattern.replace("*", "1"))
