"""The event's body: its fields, its limits, and what PagerDuty's own client would send for the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipe import event, subject
from pipe.build import Build, Told
from pipe.decision import Decision
from pipe.event import Story
from pipe.evidence import Evidence
from pipe.outcome import Outcome, Result
from pipe.settings import Settings
from sandbox import rules
from tests.conftest import KEY

BUILD = Build(
    repository="acme/shop",
    project="SHOP",
    number="812",
    commit="7f21b04c2d0f",
    branch="main",
    step_uuid="{22}",
    in_ci=True,
)
NOW = "2026-11-25T03:00:00.000+00:00"
FAILED = Outcome(Result.FAILED, "exit code 2", of_step=True, exit_code=2)
PASSED = Outcome(Result.SUCCESSFUL, "exit code 0", of_step=True, exit_code=0)
PIPELINE = Outcome(
    Result.FAILED, "Bitbucket says so", failed_steps=("integration tests", "lint"), failed_step_uuid="{33}"
)
TRIGGER, RESOLVE = Decision("", "trigger"), Decision("", "resolve")
UNKNOWN = Decision("", "trigger", result_unknown=True, resolves="by hand")
read = Settings.read


def told(build: Build, outcome: Outcome = FAILED, settings: Settings | None = None, **more) -> Story:
    given = settings or Settings()
    if outcome.of_step:
        what = subject.of_step(build, given.alert_name, given.dedup_key)
    else:
        what = subject.of_pipeline(build, given.alert_name, given.dedup_key, outcome.selector)
    return Story(build, outcome, what, NOW, **{"evidence": Evidence(), **more})


def made(settings=None, build=BUILD, outcome=FAILED, decision=TRIGGER, **more) -> event.Event:
    return event.alert(settings or Settings(), told(build, outcome, settings, **more), decision)


def summary(**more) -> str:
    return made(**more).body["payload"]["summary"]


def test_a_failure_s_event_whole():
    assert made(evidence=Evidence(commit_message="Fix it", commit_author="Ada"), warnings=("SEVERITY: …",)).body == {
        "event_action": "trigger",
        "dedup_key": "bitbucket:acme/shop:branch/main:step",
        "payload": {
            "summary": "acme/shop: build failed on main (#812, exit code 2)",
            "source": "bitbucket.org/acme/shop",
            "severity": "error",
            "timestamp": NOW,
            "component": "shop",
            "group": "SHOP",
            "class": "build",
            "custom_details": {
                "repository": "acme/shop",
                "branch": "main",
                "build_number": 812,
                "commit": "7f21b04c2d0f",
                "commit_message": "Fix it",
                "commit_author": "Ada",
                "exit_code": 2,
                "pipe_warnings": ["SEVERITY: …"],
            },
        },
        "links": [
            {"href": "https://bitbucket.org/acme/shop/pipelines/results/812/steps/%7B22%7D", "text": "Failed step"},
            {"href": "https://bitbucket.org/acme/shop/pipelines/results/812", "text": "Pipeline"},
            {"href": "https://bitbucket.org/acme/shop/commits/7f21b04c2d0f", "text": "Commit"},
        ],
        "client": "Bitbucket Pipelines",
        "client_url": "https://bitbucket.org/acme/shop/pipelines/results/812",
    }


PR = Build(
    repository="acme/shop", number="812", branch="fix", pull_request="42", destination="main", is_pull_request=True
)
TAG = Build(repository="acme/shop", number="812", tag="v1.2")
DEPLOYMENT = Build(repository="acme/shop", number="812", branch="main", environment="production")
TESTS = Evidence(failed_tests_total=37, tests_total=300)
OUT_OF_MEMORY = Outcome(Result.FAILED, "", failed_steps=("build",), error="Container 'Build' exceeded memory limit.")
NIGHTLY = Outcome(Result.FAILED, "", selector=("custom", "nightly"))
TOLD = Build(repository="acme/shop", branch="main", number="9", told=Told("FAILED", "{7}", "branches", "main")).told_of(
    None
)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"settings": Settings(alert_name="unit tests")}, "acme/shop: unit tests failed on main (#812, exit code 2)"),
        ({"settings": Settings(alert_name="unit tests"), "outcome": PASSED, "decision": RESOLVE}, "acme/shop: unit tests passed on main (#812)"),
        ({"build": PR}, "acme/shop: build failed in pull request 42 (#812, exit code 2)"),
        ({"build": TAG}, "acme/shop: build failed on tag v1.2 (#812, exit code 2)"),
        ({"build": DEPLOYMENT}, "acme/shop: deployment to production failed on main (#812, exit code 2)"),
        ({"outcome": PIPELINE}, 'acme/shop: "integration tests" and 1 more failed on main (#812)'),
        ({"evidence": TESTS}, "acme/shop: build failed on main (#812, 37 of 300 tests failed)"),
        ({"evidence": Evidence(failed_tests_total=37)}, "acme/shop: build failed on main (#812, exit code 2)"),
        ({"evidence": Evidence(failed_tests_total=0, tests_total=300)}, "acme/shop: build failed on main (#812, exit code 2)"),
        ({"evidence": TESTS, "outcome": PASSED, "decision": RESOLVE}, "acme/shop: build passed on main (#812)"),
        ({"outcome": OUT_OF_MEMORY}, 'acme/shop: "build" failed on main (#812, exceeded memory limit)'),
        ({"newer_passed": "#813"}, "acme/shop: build failed on main (#812, exit code 2; newer #813 passed)"),
        ({"newer_passed": "#813", "outcome": NIGHTLY}, "acme/shop: pipeline nightly failed on main (#812; newer #813 passed)"),
        ({"newer_passed": "#813", "outcome": PASSED, "decision": RESOLVE}, "acme/shop: build passed on main (#812)"),
        ({"outcome": Outcome(Result.FAILED, "", failed_steps=("e2e",), selector=("custom", "nightly"))}, 'acme/shop: "e2e" of nightly failed on main (#812)'),
        ({"build": TOLD, "outcome": Outcome(Result.FAILED, "", told=True)}, "acme/shop: pipeline branches main failed"),
        ({"decision": Decision("", "resolve", result_unknown=True)}, "acme/shop: the result of #812 on main is known"),
        ({"decision": Decision("", "acknowledge")}, "acme/shop: build acknowledged on main (#812)"),
        ({"decision": UNKNOWN}, "acme/shop: cannot tell whether #812 on main passed"),
        ({"decision": UNKNOWN, "settings": Settings(summary="Shop is down")}, "acme/shop: cannot tell whether #812 on main passed"),
        ({"settings": Settings(summary="Shop is down")}, "Shop is down"),
        ({"build": Build()}, "unknown repository: build failed (exit code 2)"),
    ],
)  # fmt: skip
def test_the_summary_says_what_broke_and_where(more, expected):
    assert summary(**more) == expected


def test_an_unknown_result_is_a_warning_under_a_key_of_its_own_with_reason_and_ways_to_tell():
    unknown = Outcome(Result.UNKNOWN, "why", of_step=True)
    body = made(Settings(severity="critical"), outcome=unknown, decision=UNKNOWN, ways_to_tell=("map it",)).body
    assert body["dedup_key"] == "bitbucket:acme/shop:branch/main:result unknown"
    assert body["payload"]["severity"] == "warning"
    details = body["payload"]["custom_details"]
    assert (details["reason"], details["ways_to_tell"], details["resolves"]) == ("why", ["map it"], "by hand")


def test_what_closes_an_unknown_result_has_its_key_and_a_complete_payload():
    body = made(outcome=PIPELINE, decision=Decision("", "resolve", result_unknown=True)).body
    assert (body["event_action"], body["dedup_key"]) == ("resolve", "bitbucket:acme/shop:branch/main:result unknown")
    assert (
        refusals(json.loads(made(outcome=PIPELINE, decision=Decision("", "resolve", result_unknown=True)).encoded(KEY)))
        == []
    )
    assert "reason" not in body["payload"]["custom_details"]


def test_every_detail_has_its_name():
    build = Build(
        repository="acme/shop", number="812", commit="c", branch="fix", tag="t", pull_request="42", is_pull_request=True,
        environment="production", step_run=2,
    )  # fmt: skip
    outcome = Outcome(Result.FAILED, "", of_step=True, exit_code=2, failed_steps=("a",), error="e")
    evidence = Evidence("subject", "Ada", ("x: y",), 1, 2, "log")
    decision = Decision("", "trigger", resolves="by hand")
    details = made(
        build=build,
        outcome=outcome,
        evidence=evidence,
        decision=decision,
        step_name="s",
        newer_build="#813",
        warnings=("w",),
    ).body["payload"]["custom_details"]
    assert details == {
        "repository": "acme/shop", "branch": "fix", "tag": "t", "pull_request": 42, "environment": "production", "build_number": 812,
        "commit": "c", "commit_message": "subject", "commit_author": "Ada", "step": "s", "exit_code": 2, "failed_steps": ["a"], "error": "e",
        "failed_tests_total": 1, "failed_tests": ["x: y"], "log_tail": "log", "rerun": 2, "newer_build": "#813", "resolves": "by hand",
        "pipe_warnings": ["w"],
    }  # fmt: skip


def test_without_a_repository_a_trigger_has_no_key():
    assert "dedup_key" not in made(build=Build(branch="main")).body
    assert "dedup_key" not in made(build=Build(branch="main"), decision=UNKNOWN).body


def test_the_links_lead_to_what_the_event_is_about_each_once():
    links = made(
        build=PR,
        outcome=PIPELINE,
        settings=Settings(links=(("Mine", "https://bitbucket.org/acme/shop/pull-requests/42"),)),
    ).body["links"]
    results = "https://bitbucket.org/acme/shop/pipelines/results/812"
    assert [(link["text"], link["href"]) for link in links] == [
        ("Mine", "https://bitbucket.org/acme/shop/pull-requests/42"), ("Failed step", f"{results}/steps/%7B33%7D"), ("Pipeline", results),
    ]  # fmt: skip


def test_a_told_pipeline_is_linked_by_its_uuid_never_the_pager_s_own_run():
    body = made(build=TOLD, outcome=Outcome(Result.FAILED, "", told=True)).body
    assert body["client_url"] == "https://bitbucket.org/acme/shop/pipelines/results/%7B7%7D"
    assert [link["href"] for link in body["links"]] == [body["client_url"]]


def test_the_smallest_event_is_what_pagerduty_must_take_with_the_refusal_in_it():
    whole = made(Settings(custom_details={"resolves": ["mine"]}, links=(("x", "https://x"),)))
    small = whole.smallest("400 bad link")
    assert set(small.body) == {"event_action", "dedup_key", "payload"}
    assert small.body["dedup_key"] == whole.dedup_key
    assert set(small.body["payload"]) == {"summary", "source", "severity", "custom_details"}
    assert small.body["payload"]["custom_details"] == {
        "note": "PagerDuty refused the whole event: 400 bad link",
        "resolves": "['mine']",
    }
    assert refusals(json.loads(small.encoded(KEY))) == []
    assert small.smallest("again") is None
    assert made(outcome=PASSED, decision=RESOLVE).smallest("400") is None
    assert "dedup_key" not in made(build=Build()).smallest("400").body


def test_a_resolve_carries_the_complete_payload_but_no_client():
    body = made(outcome=PASSED, decision=RESOLVE).body
    assert set(body["payload"]) == {
        "summary",
        "source",
        "severity",
        "timestamp",
        "component",
        "group",
        "class",
        "custom_details",
    }
    assert "client" not in body
    assert body["payload"]["custom_details"]["exit_code"] == 0


def test_the_user_s_fields_details_and_links_come_first():
    body = made(
        Settings(
            source="s", component="c", group="g", class_="k", severity="critical", dedup_key="d",
            custom_details={"team": "payments", "branch": "mine"}, links=(("Runbook", "https://r.example"), ("", "https://x.example")),
        )
    ).body  # fmt: skip
    assert [body["payload"][name] for name in ("source", "component", "group", "class", "severity")] == [
        "s",
        "c",
        "g",
        "k",
        "critical",
    ]
    assert body["dedup_key"] == "d"
    assert body["payload"]["custom_details"]["team"] == "payments"
    assert body["payload"]["custom_details"]["branch"] == "mine"
    assert body["links"][:2] == [{"href": "https://r.example", "text": "Runbook"}, {"href": "https://x.example"}]


def test_a_long_summary_is_cut_by_characters_and_told():
    one = made(Settings(summary="😱" * 5000))
    text = one.body["payload"]["summary"]
    assert len(text) == 1024
    assert text == "😱" * 1023 + "…"
    assert "5000 characters" in one.warnings[0]
    assert one.warnings[0] in one.body["payload"]["custom_details"]["pipe_warnings"]
    assert summary(settings=Settings(summary="x" * 1024)) == "x" * 1024


def test_details_that_are_too_large_give_way_to_a_note():
    one = made(Settings(custom_details={"dump": "ä" * 1_000_000}))
    assert len(one.encoded(KEY)) <= 512_000
    assert "The details were left out" in one.body["payload"]["custom_details"]["note"]
    assert one.body["links"]


@pytest.mark.parametrize("resolves", [5, {"a": "b"}, ["x"], "x" * 600_000])
def test_a_detail_of_the_user_s_own_called_resolves_costs_no_page(resolves):
    one = made(Settings(custom_details={"dump": "x" * 600_000, "resolves": resolves}))
    assert len(one.encoded(KEY)) <= 512_000
    assert refusals(json.loads(one.encoded(KEY))) == []


@pytest.mark.parametrize("length", [255_600, 255_700, 255_703, 255_710])
def test_the_limit_counts_encoded_bytes(length):
    assert len(made(Settings(custom_details={"dump": "ä" * length})).encoded(KEY)) <= 512_000


def test_links_that_are_too_large_go_after_the_details():
    one = made(Settings(links=tuple(("x", "https://x.example/" + "y" * 100_000) for _ in range(9))))
    assert len(one.encoded(KEY)) <= 512_000
    assert one.body["payload"]["summary"] == "acme/shop: build failed on main (#812, exit code 2)"


def test_no_secret_is_in_an_event():
    given = {
        "INTEGRATION_KEY": KEY,
        "ATLASSIAN_API_TOKEN": "tok-0123456789",
        "SUMMARY": f"x {KEY}",
        "DEDUP_KEY": f"{KEY}-x",
    }
    settings = read({**given, "CUSTOM_DETAILS": json.dumps({"k": f"key={KEY}", KEY: ["tok-0123456789"]})})
    one = made(settings, evidence=Evidence(commit_message="remove tok-0123456789"))
    text = json.dumps(one.body)
    assert KEY not in text
    assert "tok-0123" not in text
    assert one.encoded(KEY).count(KEY.encode()) == 1


@pytest.mark.parametrize("where", ["SUMMARY", "SOURCE", "DEDUP_KEY", "ALERT_NAME"])
@pytest.mark.parametrize("before", [159, 180, 992, 1000, 1010])
def test_no_part_of_a_secret_stays_where_something_is_cut(where, before):
    one = made(read({"INTEGRATION_KEY": KEY, where: "-" * before + KEY + "-" * 300}))
    assert KEY[:12] not in json.dumps(one.body)


@pytest.mark.parametrize("token", ["trigger", "payload", "bitbucket", "production"])
def test_a_word_in_place_of_a_token_neither_breaks_the_event_nor_changes_the_key(token):
    one = made(read({"INTEGRATION_KEY": KEY, "BITBUCKET_ACCESS_TOKEN": token}), DEPLOYMENT)
    assert refusals(json.loads(one.encoded(KEY))) == []
    assert one.dedup_key == "bitbucket:acme/shop:deployment/production:step"


def test_a_change_event_has_no_action_key_severity_or_client():
    body = event.change(Settings(), told(DEPLOYMENT, PASSED)).body
    assert set(body) == {"payload", "links"}
    assert set(body["payload"]) == {"summary", "source", "timestamp", "custom_details"}
    assert body["payload"]["summary"] == "acme/shop: deployed to production on main (#812)"


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(
    given_variables=st.dictionaries(
        st.sampled_from(
            ["SUMMARY", "SOURCE", "COMPONENT", "GROUP", "CLASS", "ALERT_NAME", "DEDUP_KEY", "SEVERITY", "LINKS"]
        ),
        words | st.text(max_size=400) | st.sampled_from(["critical", "x https://y", "\x85", "\u3000"]),
    ),
    build_variables=st.dictionaries(
        st.sampled_from(
            ["REPO_FULL_NAME", "BUILD_NUMBER", "COMMIT", "BRANCH", "TAG", "PR_ID", "DEPLOYMENT_ENVIRONMENT"]
        ),
        words,
    ),
    decision=st.sampled_from([TRIGGER, RESOLVE, UNKNOWN]),
)
def test_whatever_the_build_pagerduty_would_take_the_event(given_variables, build_variables, decision):
    build = Build.read({f"BITBUCKET_{name}": value for name, value in build_variables.items()})
    one = made(read({**given_variables, "INTEGRATION_KEY": KEY}), build, decision=decision)
    assume(decision.action == "trigger" or one.dedup_key)  # without a key no resolve is decided on
    body = one.encoded(KEY)
    assert refusals(json.loads(body)) == []


def refusals(body: dict) -> list[str]:
    return list(rules.alert_errors(body))


@pytest.mark.parametrize(("decision", "outcome"), [(TRIGGER, FAILED), (RESOLVE, PASSED)])
def test_pagerduty_s_own_client_agrees_field_by_field(decision, outcome):
    import httpx2
    import pagerduty

    seen = []

    def answer(request):
        seen.append(json.loads(request.content))
        return httpx2.Response(202, json={"status": "success", "message": "Event processed", "dedup_key": "x"})

    ours = json.loads(made(outcome=outcome, decision=decision).encoded(KEY))
    payload = ours["payload"]
    client = pagerduty.EventsApiV2Client(KEY, transport=httpx2.MockTransport(answer))
    if decision.action == "trigger":
        client.trigger(
            "acme/shop: build failed on main (#812, exit code 2)",
            "bitbucket.org/acme/shop",
            dedup_key="bitbucket:acme/shop:branch/main:step",
            severity="error",
            custom_details={
                "repository": "acme/shop", "branch": "main", "build_number": 812, "commit": "7f21b04c2d0f", "exit_code": 2,
            },
            payload={"component": "shop", "group": "SHOP", "class": "build", "timestamp": NOW},
        )  # fmt: skip
    else:
        client.resolve("bitbucket:acme/shop:branch/main:step")
    (theirs,) = seen
    shared = set(ours) & set(theirs) - {"payload"}
    assert {"routing_key", "event_action", "dedup_key"} <= shared
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
    inner = set(payload) & set(theirs.get("payload", {}))
    assert {name: payload[name] for name in inner} == {name: theirs["payload"][name] for name in inner}
    assert decision.action == "resolve" or {"summary", "source", "severity", "custom_details", "component"} <= inner
