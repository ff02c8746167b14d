"""The event's body: its fields, its limits, and what PagerDuty's own client would send for the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipe import event, subject
from pipe.bitbucket.runs import PipelineRun
from pipe.build import Build, Told
from pipe.decision import Decision
from pipe.event import Event, Story
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
CLOSING = Decision("", "resolve", result_unknown=True)
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
PAGER = Build(repository="acme/shop", branch="main", number="9", told=Told("FAILED", "{7}", "branches", "main"))
TOLD = PAGER.told_of()
TOLD_AND_SEEN = PAGER.of_run(PipelineRun(uuid="{7}", number=812, ref_type="branch", ref_name="main", commit="7f21b04c"))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"settings": Settings(alert_name="unit tests")}, "acme/shop: unit tests failed on main (#812, exit code 2)"),
        ({"settings": Settings(alert_name="unit tests"), "outcome": PASSED, "decision": RESOLVE}, "acme/shop: unit tests passed on main (#812)"),
        ({"build": PR}, "acme/shop: build failed in pull request 42 (#812, exit code 2)"),
        ({"build": TAG}, "acme/shop: build failed on tag v1.2 (#812, exit code 2)"),
        ({"build": DEPLOYMENT}, "acme/shop: deployment to production failed on main (#812, exit code 2)"),
        ({"build": DEPLOYMENT, "settings": Settings(alert_name="smoke test")}, "acme/shop: smoke test in production failed on main (#812, exit code 2)"),
        ({"build": DEPLOYMENT, "settings": Settings(alert_name="To PRODUCTION")}, "acme/shop: To PRODUCTION failed on main (#812, exit code 2)"),
        ({"build": DEPLOYMENT, "outcome": PIPELINE, "settings": Settings(alert_name="nightly")}, "acme/shop: nightly failed on main (#812)"),
        ({"build": DEPLOYMENT._replace(environment="EU"), "settings": Settings(alert_name="deploy eu")}, "acme/shop: deploy eu failed on main (#812, exit code 2)"),
        ({"outcome": PASSED}, "acme/shop: build paged on main (#812)"),
        ({"step_name": "Unit tests"}, 'acme/shop: "Unit tests" failed on main (#812, exit code 2)'),
        ({"step_name": "Deploy", "build": DEPLOYMENT}, "acme/shop: deployment to production failed on main (#812, exit code 2)"),
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
        ({"decision": CLOSING}, "acme/shop: the result of #812 on main is known"),
        ({"decision": RESOLVE, "outcome": Outcome(Result.UNKNOWN, "", of_step=True)}, "acme/shop: build resolved on main (#812)"),
        ({"decision": Decision("", "acknowledge")}, "acme/shop: build acknowledged on main (#812)"),
        ({"decision": UNKNOWN}, "acme/shop: cannot tell whether #812 on main passed"),
        ({"decision": UNKNOWN, "settings": Settings(summary="Shop is down")}, "acme/shop: cannot tell whether #812 on main passed"),
        ({"settings": Settings(summary="Shop is down")}, "Shop is down"),
        ({"build": Build()}, "unknown repository: build failed (exit code 2)"),
        ({"build": TOLD_AND_SEEN, "outcome": Outcome(Result.FAILED, "", told=True)}, "acme/shop: build failed on main (#812)"),
        ({"build": TOLD._replace(told=Told("FAILED", "{7}", "custom"))}, "acme/shop: pipeline custom failed (exit code 2)"),
        ({"outcome": Outcome(Result.FAILED, "", error="No runner with Mac OS X.")}, "acme/shop: build failed on main (#812, No runner with Mac OS X)"),
        ({"outcome": Outcome(Result.FAILED, "", error=f"Container 'Build' {'x' * 61}")}, f"acme/shop: build failed on main (#812, {'x' * 59}…)"),
        ({"outcome": Outcome(Result.FAILED, "", error="x. y", exit_code=2)}, "acme/shop: build failed on main (#812, x. y)"),
        ({"outcome": Outcome(Result.FAILED, "", error="e"), "evidence": TESTS}, "acme/shop: build failed on main (#812, 37 of 300 tests failed)"),
        ({"outcome": Outcome(Result.FAILED, "", failed_steps=("a", "b", "c"))}, 'acme/shop: "a" and 2 more failed on main (#812)'),
        ({"outcome": NIGHTLY._replace(failed_steps=("a", "b"))}, 'acme/shop: "a" and 1 more of nightly failed on main (#812)'),
        ({"build": BUILD._replace(number="")}, "acme/shop: build failed on main (exit code 2)"),
        ({"build": BUILD._replace(number=""), "outcome": PASSED._replace(exit_code=None), "decision": RESOLVE}, "acme/shop: build passed on main"),
        ({"newer_passed": "#813", "outcome": Outcome(Result.FAILED, ""), "build": BUILD._replace(number="")}, "acme/shop: build failed on main (newer #813 passed)"),
        ({"build": BUILD._replace(number=""), "decision": UNKNOWN}, "acme/shop: cannot tell whether the build on main passed"),
        ({"build": Build(), "decision": UNKNOWN}, "unknown repository: cannot tell whether the build passed"),
        ({"decision": UNKNOWN, "settings": Settings(alert_name="unit tests")}, "acme/shop: cannot tell whether unit tests of #812 on main passed"),
        ({"decision": CLOSING, "settings": Settings(alert_name="unit tests")}, "acme/shop: the result of unit tests of #812 on main is known"),
    ],
)  # fmt: skip
def test_the_summary_says_what_broke_and_where(more, expected):
    assert summary(**more) == expected


RESULTS = "https://bitbucket.org/acme/shop/pipelines/results/812"
PIPELINE_LINK = {"href": RESULTS, "text": "Pipeline"}
COMMIT_LINK = {"href": "https://bitbucket.org/acme/shop/commits/7f21b04c2d0f", "text": "Commit"}
UNKNOWN_KEY = "bitbucket:acme/shop:branch/main:result unknown"
WARNING = {
    "source": "bitbucket.org/acme/shop", "severity": "warning", "timestamp": NOW, "component": "shop", "group": "SHOP", "class": "build",
}  # fmt: skip
ABOUT = {"repository": "acme/shop", "branch": "main", "build_number": 812, "commit": "7f21b04c2d0f"}


def test_an_unknown_result_s_event_whole():
    outcome = Outcome(Result.UNKNOWN, "why", of_step=True)
    given = Settings(severity="critical", summary="Shop is down")
    assert made(given, outcome=outcome, decision=UNKNOWN, ways_to_tell=("map it", "or this")).body == {
        "event_action": "trigger",
        "dedup_key": UNKNOWN_KEY,
        "payload": {
            "summary": "acme/shop: cannot tell whether #812 on main passed",
            **WARNING,
            "custom_details": {**ABOUT, "resolves": "by hand", "reason": "why", "ways_to_tell": ["map it", "or this"]},
        },
        "links": [PIPELINE_LINK, COMMIT_LINK],
        "client": "Bitbucket Pipelines",
        "client_url": RESULTS,
    }


def test_what_closes_an_unknown_result_has_its_key_and_a_complete_payload():
    one = made(outcome=Outcome(Result.SUCCESSFUL, "it passed"), decision=CLOSING, ways_to_tell=("map it",))
    assert one.body == {
        "event_action": "resolve",
        "dedup_key": UNKNOWN_KEY,
        "payload": {
            "summary": "acme/shop: the result of #812 on main is known",
            **WARNING,
            "custom_details": ABOUT,
        },
        "links": [PIPELINE_LINK, COMMIT_LINK],
    }
    assert refusals(json.loads(one.encoded(KEY))) == []


def test_of_an_unknown_build_only_what_is_known_is_sent():
    assert made(build=Build(), outcome=Outcome(Result.FAILED, "")).body == {
        "event_action": "trigger",
        "payload": {
            "summary": "unknown repository: build failed",
            "source": "bitbucket.org/",
            "severity": "error",
            "timestamp": NOW,
            "class": "build",
            "custom_details": {},
        },
        "client": "Bitbucket Pipelines",
    }


def test_a_step_in_a_deployment_is_of_another_class_and_without_a_project_the_workspace_is_the_group():
    payload = made(build=DEPLOYMENT).body["payload"]
    assert (payload["class"], payload["group"]) == ("deployment", "acme")
    assert made(build=DEPLOYMENT, outcome=PIPELINE).body["payload"]["class"] == "build"


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


@pytest.mark.parametrize(
    ("number", "shown"),
    [("812", 812), ("9" * 15, int("9" * 15)), ("9" * 16, "9" * 16), ("8a", "8a"), ("٣", "٣"), ("²", "²"), ("-1", "-1")],
)
def test_a_number_is_a_number_as_far_as_every_reader_of_json_can_hold_it(number, shown):
    assert made(build=BUILD._replace(number=number)).body["payload"]["custom_details"]["build_number"] == shown


def test_without_a_repository_a_trigger_has_no_key():
    assert "dedup_key" not in made(build=Build(branch="main")).body
    assert "dedup_key" not in made(build=Build(branch="main"), decision=UNKNOWN).body


FAILED_BY_API = Outcome(Result.FAILED, "Bitbucket says so")
PR_LINK = "https://bitbucket.org/acme/shop/pull-requests/42"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"build": PR, "outcome": PIPELINE}, [("Failed step", f"{RESULTS}/steps/%7B33%7D"), ("Pipeline", RESULTS), ("Pull request", PR_LINK)]),
        ({"build": PR, "outcome": PASSED, "decision": RESOLVE}, [("Pipeline", RESULTS), ("Pull request", PR_LINK)]),
        ({"build": PR._replace(step_uuid="{22}")}, [("Failed step", f"{RESULTS}/steps/%7B22%7D"), ("Pipeline", RESULTS), ("Pull request", PR_LINK)]),
        ({"build": PR._replace(step_uuid="{22}"), "outcome": FAILED_BY_API}, [("Pipeline", RESULTS), ("Pull request", PR_LINK)]),
        ({"build": PR, "settings": Settings(links=(("Mine", PR_LINK),))}, [("Mine", PR_LINK), ("Pipeline", RESULTS)]),
        ({"build": PR, "settings": Settings(links=(("Mine", PR_LINK), ("Again", PR_LINK)))}, [("Mine", PR_LINK), ("Pipeline", RESULTS)]),
    ],
)  # fmt: skip
def test_the_links_lead_to_what_the_event_is_about_each_once(more, expected):
    assert [(link["text"], link["href"]) for link in made(**more).body["links"]] == expected


def test_a_told_pipeline_is_linked_by_its_uuid_never_the_pager_s_own_run():
    body = made(build=TOLD, outcome=Outcome(Result.FAILED, "", told=True)).body
    assert body["client_url"] == "https://bitbucket.org/acme/shop/pipelines/results/%7B7%7D"
    assert [link["href"] for link in body["links"]] == [body["client_url"]]


def test_the_smallest_event_is_what_pagerduty_must_take_with_the_refusal_in_it():
    whole = made(Settings(custom_details={"resolves": ["mine"]}, links=(("x", "https://x"),)))
    small = whole.smallest("400 bad link")
    details = {"note": "PagerDuty refused the whole event: 400 bad link", "resolves": "['mine']"}
    payload = {
        "summary": "acme/shop: build failed on main (#812, exit code 2)",
        "source": "bitbucket.org/acme/shop",
        "severity": "error",
        "custom_details": details,
    }
    key = "bitbucket:acme/shop:branch/main:step"
    assert small == Event("/v2/enqueue", {"event_action": "trigger", "dedup_key": key, "payload": payload})
    assert refusals(json.loads(small.encoded(KEY))) == []
    assert small.smallest("again") is None


def test_the_smallest_event_says_what_resolves_it_if_anything_was_said():
    assert made().smallest("400").body["payload"]["custom_details"] == {
        "note": "PagerDuty refused the whole event: 400"
    }
    by_hand = made(decision=Decision("", "trigger", resolves="by hand")).smallest("400")
    assert by_hand.body["payload"]["custom_details"]["resolves"] == "by hand"
    assert "dedup_key" not in made(build=Build()).smallest("400").body


@pytest.mark.parametrize("action", ["resolve", "acknowledge"])
def test_what_needs_no_payload_has_none_in_its_smallest_form(action):
    smallest = made(outcome=PASSED, decision=Decision("", action)).smallest("400")
    assert smallest == Event(
        "/v2/enqueue", {"event_action": action, "dedup_key": "bitbucket:acme/shop:branch/main:step"}
    )
    assert smallest.smallest("400") is None


def test_of_a_change_event_there_is_no_smallest_form():
    assert event.change(Settings(), told(DEPLOYMENT, PASSED)).smallest("400") is None


def test_what_the_log_shows_of_an_event():
    one, long = made(Settings(dedup_key="mine")), made(Settings(summary="x" * 201))
    assert (one.action, one.dedup_key) == ("trigger", "mine")
    assert one.summary == "acme/shop: build failed on main (#812, exit code 2)"
    assert long.summary == "x" * 200 + "…"
    assert made(Settings(summary="x" * 200)).summary == "x" * 200
    change = event.change(Settings(), told(DEPLOYMENT, PASSED))
    assert (change.action, change.dedup_key) == ("change", "")


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


SPARE = 512_000 - 64  # for the routing key and its name


def size(one: event.Event) -> int:
    return len(json.dumps(one.body, ensure_ascii=False, separators=(",", ":")).encode())


def note(one: event.Event, bytes_before: int) -> dict:
    left_out = f"The details were left out: with them the event had {bytes_before} bytes, PagerDuty takes 512000."
    return {"note": left_out}


@pytest.mark.parametrize("over", [0, 1])
def test_details_that_are_too_large_give_way_to_a_note(over):
    room = SPARE - size(made(Settings(custom_details={"dump": ""})))
    one = made(Settings(custom_details={"dump": "ä" * (room // 2) + "x" * (room % 2 + over)}))
    assert one.path == "/v2/enqueue"
    assert len(one.encoded(KEY)) <= 512_000
    if not over:
        assert size(one) == SPARE
        assert one.warnings == ()
        return
    assert one.body["payload"]["custom_details"] == note(one, SPARE + 1)
    assert one.warnings == (note(one, SPARE + 1)["note"],)
    assert set(one.body) == {"event_action", "dedup_key", "payload", "links", "client", "client_url"}


def test_a_warning_of_the_summary_stays_beside_that_of_the_details():
    one = made(Settings(summary="x" * 1025, custom_details={"dump": "x" * 600_000}))
    assert [warning[:12] for warning in one.warnings] == ["The summary ", "The details "]


def test_what_resolves_it_is_said_where_the_details_give_way():
    decision = Decision("", "trigger", resolves="by hand")
    details = made(Settings(custom_details={"dump": "x" * 600_000}), decision=decision).body["payload"][
        "custom_details"
    ]
    assert (set(details), details["resolves"]) == ({"note", "resolves"}, "by hand")


@pytest.mark.parametrize("over", [0, 1])
def test_links_that_are_too_large_go_after_the_details(over):
    def with_link(length: int) -> event.Event:
        return made(
            Settings(custom_details={"dump": "x" * 1_000_000}, links=(("x", "https://x.example/" + "y" * length),))
        )

    one = with_link(SPARE - size(with_link(0)) + over)
    assert len(one.encoded(KEY)) <= 512_000
    assert one.path == "/v2/enqueue"
    assert one.body["payload"]["summary"] == "acme/shop: build failed on main (#812, exit code 2)"
    assert set(one.body) == {"event_action", "dedup_key", "payload", "client"} | (
        set() if over else {"links", "client_url"}
    )
    gone = "The details and the links were left out: " if over else "The details were left out: "
    assert one.body["payload"]["custom_details"]["note"].startswith(gone)
    assert one.warnings == (one.body["payload"]["custom_details"]["note"],)


def test_an_event_is_sent_as_compact_utf_8():
    one = Event("/v2/enqueue", {"payload": {"summary": "Ä"}, "links": [1, 2]})
    assert one.encoded("k") == '{"routing_key":"k","payload":{"summary":"Ä"},"links":[1,2]}'.encode()


@pytest.mark.parametrize("resolves", [5, {"a": "b"}, ["x"], "x" * 600_000])
def test_a_detail_of_the_user_s_own_called_resolves_costs_no_page(resolves):
    one = made(Settings(custom_details={"dump": "x" * 600_000, "resolves": resolves}))
    assert len(one.encoded(KEY)) <= 512_000
    assert refusals(json.loads(one.encoded(KEY))) == []


@pytest.mark.parametrize("length", [255_600, 255_700, 255_703, 255_710])
def test_the_limit_counts_encoded_bytes(length):
    assert len(made(Settings(custom_details={"dump": "ä" * length})).encoded(KEY)) <= 512_000


def test_what_is_not_seen_is_in_no_part_of_an_event():
    hidden = "a\x1b[31mb\u202ec\nd\x07\re"
    one = made(
        Settings(
            source=hidden,
            custom_details={hidden: [hidden, {"x": hidden}, 5, None, True]},
            links=((hidden, f"https://x/{hidden}"),),
        ),
        evidence=Evidence(log_tail="one\r\ntwo\nthr\x08\x08\x08four"),
    )
    shown = "abc\ne"
    assert one.body["payload"]["source"] == shown
    assert one.body["payload"]["custom_details"][shown] == [shown, {"x": shown}, 5, None, True]
    assert one.body["payload"]["custom_details"]["log_tail"] == "one\ntwo\nfour"
    assert one.body["links"][0] == {"href": f"https://x/{shown}", "text": shown}


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


def test_a_change_event_whole():
    given = Settings(links=(("Runbook", "https://r.example"),), severity="critical", custom_details={"team": "x"})
    assert event.change(given, told(DEPLOYMENT, PASSED, warnings=("w",), ways_to_tell=("map it",))) == Event(
        "/v2/change/enqueue",
        {
            "payload": {
                "summary": "acme/shop: deployed to production on main (#812)",
                "source": "bitbucket.org/acme/shop",
                "timestamp": NOW,
                "custom_details": {
                    "repository": "acme/shop", "branch": "main", "environment": "production", "build_number": 812, "exit_code": 0,
                    "pipe_warnings": ["w"], "team": "x",
                },
            },
            "links": [{"href": "https://r.example", "text": "Runbook"}, PIPELINE_LINK],
        },
    )  # fmt: skip


def test_a_change_event_s_summary_is_the_user_s_or_says_what_ran():
    assert event.change(Settings(), told(BUILD, PASSED)).body["payload"]["summary"] == "acme/shop: ran on main (#812)"
    one = event.change(Settings(summary="x" * 1025, source="s"), told(BUILD, PASSED))
    assert one.body["payload"]["summary"] == "x" * 1023 + "…"
    assert one.body["payload"]["source"] == "s"
    assert one.warnings == ("The summary had 1025 characters and was cut to 1024, PagerDuty's limit.",)
    assert one.body["payload"]["custom_details"]["pipe_warnings"] == list(one.warnings)


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
