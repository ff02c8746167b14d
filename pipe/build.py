"""What Bitbucket says of this build: its default variables, read once, and the addresses made from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from pipe.lib.environment import present
from pipe.lib.text import masked_line

if TYPE_CHECKING:
    from pipe.bitbucket import PipelineRun

SITE = "https://bitbucket.org"
MAX_VALUE_LENGTH = 1000  # characters of a variable of Bitbucket's; git names no longer refs


class Told(NamedTuple):
    """What `triggers: pipeline-completed` says of the pipeline that ended; an absent part is an empty string."""

    status: str = ""  # in upper case: FAILED [D], SUCCESSFUL or PASSED, STOPPED … [?]
    uuid: str = ""
    selector_type: str = ""  # default, branches, tags, pull-requests, custom [R]
    selector_pattern: str = ""

    @property
    def selector(self) -> tuple[str, str]:
        return self.selector_type, self.selector_pattern


class Build(NamedTuple):
    """One run of a pipeline, by Bitbucket's default variables; an absent variable is an empty string.

    Source: "Variables and secrets" in Bitbucket Cloud's documentation. There is no variable for a step's name, a
    pipeline's name or (outside of runs that `triggers:` started) its status.
    """

    repository: str = ""
    project: str = ""
    number: str = ""
    commit: str = ""
    branch: str = ""
    tag: str = ""
    pull_request: str = ""
    destination: str = ""
    environment: str = ""
    pipeline_uuid: str = ""
    step_uuid: str = ""
    step_run: int = 1
    in_ci: bool = False
    clone: Path = Path(".")
    told: Told = Told()
    is_pull_request: bool = False  # also where its number is not known
    by_uuid: bool = False  # its page is addressed by uuid: it is not this run, but the one that this run is told of
    ref_known: bool = True

    @classmethod
    def read(cls, environ: Mapping[str, str], conceal: Callable[[str], str] = str) -> Build:
        """`conceal` masks what is secret: these values go into keys and addresses."""

        def of(name: str) -> str:
            value = present(environ, name)
            return masked_line(value, conceal, MAX_VALUE_LENGTH)

        workspace, slug = of("BITBUCKET_WORKSPACE"), of("BITBUCKET_REPO_SLUG")
        run = of("BITBUCKET_STEP_RUN_NUMBER")
        trigger = "BITBUCKET_TRIGGER_PIPELINE_"
        return cls(
            repository=of("BITBUCKET_REPO_FULL_NAME") or (f"{workspace}/{slug}" if workspace and slug else ""),
            project=of("BITBUCKET_PROJECT_KEY"),
            number=of("BITBUCKET_BUILD_NUMBER"),
            commit=of("BITBUCKET_COMMIT"),
            branch=of("BITBUCKET_BRANCH"),
            tag=of("BITBUCKET_TAG"),
            pull_request=of("BITBUCKET_PR_ID"),
            is_pull_request=bool(of("BITBUCKET_PR_ID")),
            destination=of("BITBUCKET_PR_DESTINATION_BRANCH"),
            environment=of("BITBUCKET_DEPLOYMENT_ENVIRONMENT"),
            pipeline_uuid=of("BITBUCKET_PIPELINE_UUID"),
            step_uuid=of("BITBUCKET_STEP_UUID"),
            step_run=int(run) if re.fullmatch(r"[1-9][0-9]{0,5}", run) else 1,
            in_ci=bool(of("CI")),
            clone=Path(of("BITBUCKET_CLONE_DIR") or "."),
            told=Told(
                of(f"{trigger}STATUS").upper(),
                of(f"{trigger}UUID"),
                of(f"{trigger}SELECTOR_TYPE").lower(),
                of(f"{trigger}SELECTOR_PATTERN"),
            ),
        )

    def told_of(self) -> Build:
        """The build that this run is told of, hardly known at all without Bitbucket's API."""
        return Build(
            repository=self.repository,
            project=self.project,
            in_ci=self.in_ci,
            clone=self.clone,
            told=self.told,
            pipeline_uuid=self.told.uuid,
            is_pull_request=is_pull_request(self.told.selector_type),
            by_uuid=True,
            ref_known=False,
        )

    def of_run(self, run: PipelineRun) -> Build:
        """Another build of this repository, as Bitbucket's API describes it."""
        on_pull_request = bool(run.pull_request or run.ref_type == "pullrequest") or is_pull_request(run.selector_type)
        branch = run.ref_name if run.ref_type == "branch" or on_pull_request else ""
        tag = run.ref_name if run.ref_type == "tag" and not on_pull_request else ""
        bare_commit = run.commit and not (run.ref_type or run.ref_name)
        ref_known = run.pull_request if on_pull_request else branch or tag or bare_commit
        return self.told_of()._replace(
            number=str(run.number or ""),
            commit=run.commit,
            branch=branch,
            tag=tag,
            pull_request=str(run.pull_request or ""),
            is_pull_request=on_pull_request,
            destination=run.destination,
            pipeline_uuid=run.uuid or self.told.uuid,
            ref_known=bool(ref_known),
        )

    @property
    def workspace(self) -> str:
        return self.repository.partition("/")[0]

    @property
    def slug(self) -> str:
        return self.repository.partition("/")[2]

    @property
    def deployment(self) -> str:
        """The environment that a step's alert is about; in a pull request it is about that."""
        return "" if self.is_pull_request else self.environment

    @property
    def label(self) -> str:
        """`#812`; empty where nothing numbers the build."""
        return f"#{self.number}" if self.number else ""

    @property
    def place(self) -> str:
        """Where the build ran, to follow a verb: `on main`, `in pull request 42`, `on tag v1.2`; may be empty."""
        if self.is_pull_request:
            return f"in pull request {self.pull_request}" if self.pull_request else "in a pull request"
        if self.tag:
            return f"on tag {self.tag}"
        if self.branch:
            return f"on {self.branch}"
        return f"at commit {self.commit[:12]}" if self.commit else ""

    @property
    def pipeline_url(self) -> str:
        """The pipeline's page: by number, or by uuid where the number is that of another run [R]."""
        return self._url("pipelines/results/", self.pipeline_uuid if self.by_uuid else self.number)

    @property
    def commit_url(self) -> str:
        return self._url("commits/", self.commit)

    @property
    def pull_request_url(self) -> str:
        return self._url("pull-requests/", self.pull_request)

    def step_url(self, uuid: str) -> str:
        return f"{self.pipeline_url}/steps/{quote(uuid, safe='')}" if self.pipeline_url and uuid else ""

    def _url(self, path: str, item: str) -> str:
        return f"{SITE}/{quote(self.repository)}/{path}{quote(item, safe='')}" if self.repository and item else ""


def is_pull_request(selector_type: str) -> bool:
    return selector_type.replace("-", "").replace("_", "") in ("pullrequests", "pullrequest")
