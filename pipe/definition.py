"""What `bitbucket-pipelines.yml` defines: its pipelines, their steps, and where this pipe stands in them. Data only."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from pipe.build import Build, is_pull_request
from pipe.lib.globs import Glob
from pipe.lib.text import one_line

MAX_LABEL_LENGTH = 80  # characters
MAX_MATCHING = 10_000  # characters of a pattern times those of a branch's name: some milliseconds
TRIGGER_STATUS = "BITBUCKET_TRIGGER_PIPELINE_STATUS"
SECTIONS = ("default", "branches", "tags", "pull-requests", "custom")


class Item(NamedTuple):
    """One use of this pipe. Values stand as in the file: what the step's shell makes of a `$` is not known."""

    place: str = "after-script"  # or "script"
    alert_name: str = ""
    dedup_key: str = ""
    action: str = "auto"
    exit_code: str = ""
    own_code: str = ""  # of BITBUCKET_EXIT_CODE
    build_status: str = ""
    knows_environment: bool = True  # `docker://` is not told in which it is, unless that is mapped
    knows_tag: bool = True  # the same of its tag

    @property
    def gives_a_status(self) -> bool:
        """Whether it gives the user's word for its pipeline's result; what Bitbucket says of another one is none."""
        return bool(self.build_status) and TRIGGER_STATUS not in self.build_status


class Step(NamedTuple):
    """One step of a pipeline, with what its group or stage hands down to it."""

    name: str = ""
    environments: tuple[str, ...] = ("",)  # "" for none; both where it cannot be told
    on_fail: str = ""  # "ignore", "retry", "fail" or ""
    may_be_skipped: bool = False  # by a condition, or at a manual gate
    final: bool = False
    group: int = 0  # which parallel group of its file it stands in; 0 for none
    items: tuple[Item, ...] = ()


class Pipeline(NamedTuple):
    """One pipeline of the file: its section, its pattern or name there, and its steps in order."""

    section: str  # default, branches, tags, pull-requests, custom, or what comes new
    pattern: str = ""
    steps: tuple[Step, ...] = ()
    imported: bool = False  # its steps stand in another repository

    @property
    def label(self) -> str:
        return one_line(f"{self.section}: {self.pattern}" if self.pattern else self.section, MAX_LABEL_LENGTH)

    @property
    def holds_the_pipe(self) -> bool:
        """Whether it does, or may."""
        return self.imported or any(step.items for step in self.steps)

    def fits(self, build: Build) -> bool:
        """Whether a run like this one can be a run of this pipeline. Every pipeline can also be started by hand or by a
        schedule, on a branch of somebody's choice [D]; so of several that fit, each can be the running one."""
        if self.section == "custom" or self.section not in SECTIONS:
            return True
        if build.is_pull_request:
            return self.section == "pull-requests" and matches(self.pattern, build.branch)
        if build.tag:
            return self.section == "tags"  # all of them: a key is for a line of tags
        if not build.branch:
            return False
        return self.section == "default" or (self.section == "branches" and matches(self.pattern, build.branch))


class Definition(NamedTuple):
    """All pipelines of the file. `unread`: why a file that is there could not be read. `absent`: there is none."""

    pipelines: tuple[Pipeline, ...] = ()
    triggered: tuple[str, ...] = ()  # custom pipelines that any entry of `triggers:` names
    behind_an_end: tuple[str, ...] = ()  # those that start when something has ended, and not by a push
    told: tuple[str, ...] = ()  # those that `pipeline-completed` names
    unread: str = ""
    absent: bool = False

    @property
    def is_read(self) -> bool:
        return not (self.unread or self.absent)

    def possible(self, build: Build) -> tuple[Pipeline, ...]:
        """The pipelines that can be the running one."""
        return tuple(pipeline for pipeline in self.pipelines if pipeline.fits(build))

    def about_the_same(self, build: Build) -> tuple[Pipeline, ...]:
        """The pipelines in which a step's alert can be about the same place: any can deploy to an environment."""
        return self.pipelines if build.deployment else self.possible(build)

    def imports(self, build: Build) -> bool:
        """Whether a pipeline whose steps the file does not show can be the running one."""
        return any(pipeline.imported for pipeline in self.possible(build))

    def selected(self, selector: tuple[str, str]) -> Pipeline | None:
        """The pipeline that Bitbucket's API names by type and pattern, where the file shows it."""
        kind, pattern = selector
        section = "pull-requests" if is_pull_request(kind) else kind
        wanted = "" if section == "default" else pattern
        return next((p for p in self.pipelines if (p.section, p.pattern) == (section, wanted)), None)

    def may_be_a_pager(self, selector: tuple[str, str]) -> bool:
        """Whether the pipeline is one of `pagers`, or may be one where the file or Bitbucket does not say."""
        kind, pattern = selector
        if kind and kind != "custom":
            return False
        return pattern in self.pagers() if self.told and pattern else True

    def pagers(self) -> tuple[str, ...]:
        """The custom pipelines that are told how another one ended, and in which this pipe stands in a script; all that
        are told where it is seen in none: what calls the image from a script line is not seen."""
        told = [one for one in self.pipelines if one.section == "custom" and one.pattern in self.told]
        items = {one.pattern: [item for step in one.steps for item in step.items] for one in told}
        holding = [one for one in told if one.imported or any(item.place == "script" for item in items[one.pattern])]
        return tuple(one.pattern for one in holding or told)


def of_json(found: list[Any]) -> Definition:
    """What JSON made of a definition, as it was. Raises TypeError where it is none."""
    read = Definition._make(found)
    pipelines = (Pipeline._make(one) for one in read.pipelines)
    return read._replace(
        pipelines=tuple(one._replace(steps=tuple(_step(step) for step in one.steps)) for one in pipelines),
        triggered=tuple(read.triggered),
        behind_an_end=tuple(read.behind_an_end),
        told=tuple(read.told),
    )


def _step(found: Iterable[Any]) -> Step:
    step = Step._make(found)
    return step._replace(environments=tuple(step.environments), items=tuple(Item._make(item) for item in step.items))


@lru_cache(maxsize=4096)
def matches(pattern: str, branch: str) -> bool:
    """A pattern that cannot be read, or would take long, could match anything."""
    if len(pattern) * len(branch) > MAX_MATCHING:
        return True
    try:
        return pattern == branch or Glob(pattern).matches(branch)
    except ValueError:
        return True
