"""What Bitbucket says of this build: its default variables, read once, and the addresses made from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipe.environment import present

SITE = "https://bitbucket.org"


@dataclass(frozen=True)
class Build:
    """One run of one step, by Bitbucket's default variables; an absent variable is an empty string.

    Source: "Variables and secrets" in Bitbucket Cloud's documentation. There is no variable for a step's name, a
    pipeline's name or its status.
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

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Build:
        def of(name: str) -> str:
            return present(environ, name).strip()

        workspace, slug = of("BITBUCKET_WORKSPACE"), of("BITBUCKET_REPO_SLUG")
        run = of("BITBUCKET_STEP_RUN_NUMBER")
        return cls(
            repository=of("BITBUCKET_REPO_FULL_NAME") or (f"{workspace}/{slug}" if workspace and slug else ""),
            project=of("BITBUCKET_PROJECT_KEY"),
            number=of("BITBUCKET_BUILD_NUMBER"),
            commit=of("BITBUCKET_COMMIT"),
            branch=of("BITBUCKET_BRANCH"),
            tag=of("BITBUCKET_TAG"),
            pull_request=of("BITBUCKET_PR_ID"),
            destination=of("BITBUCKET_PR_DESTINATION_BRANCH"),
            environment=of("BITBUCKET_DEPLOYMENT_ENVIRONMENT"),
            pipeline_uuid=of("BITBUCKET_PIPELINE_UUID"),
            step_uuid=of("BITBUCKET_STEP_UUID"),
            step_run=int(run) if re.fullmatch(r"[1-9][0-9]{0,5}", run) else 1,
            in_ci=bool(of("CI")),
            clone=Path(of("BITBUCKET_CLONE_DIR") or "."),
        )

    @property
    def workspace(self) -> str:
        return self.repository.partition("/")[0]

    @property
    def slug(self) -> str:
        return self.repository.partition("/")[2]

    @property
    def label(self) -> str:
        """`#812`; empty where nothing numbers the build."""
        return f"#{self.number}" if self.number else ""

    @property
    def place(self) -> str:
        """Where the build ran, to follow a verb: `on main`, `in pull request 42`, `on tag v1.2`; may be empty."""
        if self.pull_request:
            return f"in pull request {self.pull_request}"
        if self.tag:
            return f"on tag {self.tag}"
        if self.branch:
            return f"on {self.branch}"
        return f"at commit {self.commit[:12]}" if self.commit else ""

    @property
    def pipeline_url(self) -> str:
        return self._url("pipelines/results/", self.number)

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
