"""The dedup key: the design's table, pinned for ever, since a changed key strands every open alert."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.build import Build
from pipe.key import dedup_key

ON_MAIN = Build(repository="acme/shop", branch="main")


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (
            Build(repository="acme/shop", branch="main", environment="production"),
            "bitbucket:acme/shop:deployment/production",
        ),
        (
            Build(repository="acme/shop", tag="v1", environment="production"),
            "bitbucket:acme/shop:deployment/production",
        ),
        (
            Build(repository="acme/shop", branch="fix", pull_request="42", environment="test"),
            "bitbucket:acme/shop:deployment/test",
        ),
        (Build(repository="acme/shop", branch="fix", pull_request="42"), "bitbucket:acme/shop:pr/42"),
        (Build(repository="acme/shop", tag="v1.2"), "bitbucket:acme/shop:tags"),
        (ON_MAIN, "bitbucket:acme/shop:branch/main"),
        (Build(repository="acme/shop", branch="feature/Ä b"), "bitbucket:acme/shop:branch/feature/Ä b"),
        (Build(repository="acme/shop"), "bitbucket:acme/shop:detached"),
    ],
)
def test_the_first_row_that_fits_gives_the_key(build, key):
    assert dedup_key(build) == key
    assert dedup_key(build, "Unit Tests") == f"{key}:Unit Tests"
    assert dedup_key(build, result_unknown=True) == f"{key}:result unknown"


def test_nothing_that_changes_from_run_to_run_is_in_it():
    other = Build(
        repository="acme/shop",
        branch="main",
        number="813",
        commit="f" * 40,
        pipeline_uuid="{1}",
        step_uuid="{2}",
        step_run=3,
    )
    assert dedup_key(other) == dedup_key(ON_MAIN)


def test_a_key_of_one_s_own_replaces_it_whole():
    assert dedup_key(ON_MAIN, "unit tests", "shop is broken") == "shop is broken"
    assert dedup_key(ON_MAIN, "", "shop is broken", result_unknown=True) == "shop is broken:result unknown"


def test_a_long_branch_name_gives_a_readable_start_and_a_hash():
    key = dedup_key(Build(repository="acme/shop", branch="feature/" + "x" * 292))
    assert key == (
        "bitbucket:acme/shop:branch/feature/"
        + "x" * 155
        + ":43a4394cbfffd711d62e8ccf52701e595a9557c18d57f7ac03087923af63f655"
    )


@given(st.text(max_size=600), st.text(max_size=300))
def test_any_key_fits_and_different_names_stay_apart(branch, name):
    key = dedup_key(Build(repository="acme/shop", branch=branch), name)
    assert len(key) <= 255
    assert key != dedup_key(Build(repository="acme/shop", branch=branch + "x"), name)
