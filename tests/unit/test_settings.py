"""The variables: declared once, parsed strictly, and never the reason for a traceback or a lost page."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipe.settings import FALLBACKS, FROM_CONTEXT, SECRETS_OF_BITBUCKET, VARIABLES, Settings
from tests.conftest import KEY, ROOT

read = Settings.read
NAMES = [variable.name for variable in VARIABLES]
GOOD = {"INTEGRATION_KEY": KEY}


def test_the_settings_have_an_attribute_for_every_variable_and_the_same_defaults():
    assert Settings(integration_key=KEY) == read(GOOD)


def rows_of(page: str) -> list[tuple[str, str, str]]:
    return re.findall(r"^\| `?([A-Z_]+)`?(?: \(\*\*?\))? \| (.*?) \| (.*) \|$", (ROOT / page).read_text(), re.M)


def test_the_page_of_variables_shows_every_one_once_with_its_default_and_help():
    expected = [(v.name, f"`{v.shown}`" if v.shown and " " not in v.shown else v.shown, v.help) for v in VARIABLES]
    assert rows_of("docs/variables.md") == expected
    assert set(rows_of("README.md")) < set(expected)
    assert f"[All {len(VARIABLES)} variables]" in (ROOT / "README.md").read_text()


def test_pipe_yml_shows_every_variable_with_the_default_the_context_gives():
    rows = yaml.safe_load((ROOT / "pipe.yml").read_text())["variables"]
    shown = {row["name"]: row.get("default", "") for row in rows}
    assert list(shown) == [*NAMES, *(name for name in FROM_CONTEXT if name not in NAMES)]
    expected = {name: f"${name}" for name in FROM_CONTEXT} | {name: f"${other}" for name, other in FALLBACKS.items()}
    assert {name: default for name, default in shown.items() if default} == expected


@pytest.mark.parametrize("name", [*FALLBACKS, *FROM_CONTEXT])
def test_pipe_yml_s_own_default_that_found_nothing_is_absent_without_a_word(name):
    assert read({"PAGERDUTY_INTEGRATION_KEY": KEY, name: f"${FALLBACKS.get(name, name)}"}) == Settings(
        integration_key=KEY
    )


@pytest.mark.parametrize("value", ['"critical"', "'critical'", ' "critical" '])
def test_quotes_around_a_whole_value_are_taken_off_with_a_warning(value):
    settings = read({**GOOD, "SEVERITY": value})
    assert (settings.severity, settings.notices) == (
        "critical",
        ("SEVERITY has quotes around its value; they were taken off.",),
    )


@pytest.mark.parametrize("value", ["", " ", "$WORD", "${WORD}", " $WORD "])
def test_empty_and_unexpanded_values_are_absent(value):
    settings = read({**dict.fromkeys(NAMES, value), "PAGERDUTY_INTEGRATION_KEY": KEY})
    assert settings == Settings(integration_key=KEY, notices=settings.notices)
    assert len(settings.notices) == len(NAMES) * ("$" in value)


def test_what_is_odd_about_a_mapped_variable_of_the_build_is_said_too():
    name = "BITBUCKET_DEPLOYMENT_ENVIRONMENT"
    said = {"$OTHER": f"{name} is the unexpanded variable $OTHER; taken as absent.", f"${name}": "", "production": ""}
    said['"production"'] = f"{name} has quotes around its value; they were taken off."
    for value, notice in said.items():
        assert read({**GOOD, name: value}).notices == ((notice,) if notice else ())


def test_an_unexpanded_variable_in_quotes_is_both():
    assert read({**GOOD, "DEDUP_KEY": "'$PD_KEY'"}).notices == (
        "DEDUP_KEY is the unexpanded variable $PD_KEY; taken as absent.",
        "DEDUP_KEY has quotes around its value; they were taken off.",
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SEVERITY": " Critical "}, {"severity": "critical"}),
        ({"PULL_REQUESTS": "TRUE"}, {"pull_requests": True}),
        ({"REGION": "EU"}, {"region": "eu"}),
        ({"TIMEOUT": "7.5"}, {"timeout": 7.5}),
        ({"EXIT_CODE": " 1 "}, {"exit_code": 1}),
        ({"BITBUCKET_EXIT_CODE": "127"}, {"exit_code": 127}),
        ({"EXIT_CODE": "3", "BITBUCKET_EXIT_CODE": "0"}, {"exit_code": 3}),
        ({"EXIT_CODE": "130", "BITBUCKET_EXIT_CODE": "1", "IGNORE_EXIT_CODES": "130"}, {"exit_code": 1}),
        ({"EXIT_CODE": "1", "BITBUCKET_EXIT_CODE": "130", "IGNORE_EXIT_CODES": "130"}, {"exit_code": 1}),
        ({"ALERT_NAME": "  Unit  Tests "}, {"alert_name": "Unit Tests"}),
        ({"ALERT_NAME": "\x1b[31munit\x1b[0m \u202etests"}, {"alert_name": "unit tests"}),
        ({"BUILD_STATUS": " Passed "}, {"build_status": "successful"}),
        ({"BUILD_STATUS": "SUCCESS"}, {"build_status": "successful"}),
        ({"BUILD_STATUS": "EXPIRED"}, {"build_status": "expired"}),
        ({"TIMEOUT": "1"}, {"timeout": 1.0}),
        ({"BRANCHES": "main release/*"}, {"branches": ("main", "release/*")}),
        ({"BRANCHES_COUNT": "2", "BRANCHES_0": "main", "BRANCHES_1": "dev"}, {"branches": ("main", "dev")}),
        ({"BRANCHES_COUNT": "2", "BRANCHES_0": "", "BRANCHES_1": "$X"}, {"branches": ()}),
        ({"BRANCHES": "{main,rel{1,2}} a-[bc]?"}, {"branches": ("{main,rel{1,2}}", "a-[bc]?")}),
        ({"IGNORE_EXIT_CODES": "130 143"}, {"ignore_exit_codes": (130, 143)}),
        ({"CUSTOM_DETAILS": '{"team": "a", "n": 1}'}, {"custom_details": {"team": "a", "n": 1}}),
        ({"CUSTOM_DETAILS": '{"a": "\\ud800"}'}, {"custom_details": {"a": "\ufffd"}}),
        ({"LINKS": "Our runbook https://r.example/1"}, {"links": (("Our runbook", "https://r.example/1"),)}),
        ({"LINKS_COUNT": "1", "LINKS_0": "https://r.example"}, {"links": (("", "https://r.example"),)}),
        ({"EVENTS_URL": "https://relay.example:8443/pd/"}, {"events_url": "https://relay.example:8443/pd"}),
        ({"EVENTS_URL": "https://events.pagerduty.com/v2/enqueue"}, {"events_url": "https://events.pagerduty.com"}),
        ({"SUMMARY": "two\nlines"}, {"summary": "two lines"}),
        ({"SUMMARY": "caf\udce9"}, {"summary": "caf\ufffd"}),
    ],
)
def test_good_values(environ, expected):
    settings = read({**GOOD, **environ})
    assert {name: getattr(settings, name) for name in expected} == expected
    assert not settings.problems + settings.fatal


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENT_ACTION", "page"), ("SEVERITY", "eror"), ("TIMEOUT", "2m"), ("TIMEOUT", "0"), ("TIMEOUT", "1e3"),
        ("TIMEOUT", "99999"), ("CHANGE_EVENT", "1"), ("ON_ERROR", "ignore"), ("DRY_RUN", "on"),
        ("DEBUG", "2"), ("TEST_REPORTS", "out/{a,b/*.xml"), ("TEST_REPORTS", "[a.xml"), ("CUSTOM_DETAILS", '{"a": "b'), ("CUSTOM_DETAILS", "[1]"), ("CUSTOM_DETAILS", '{"a": NaN}'),
        ("CUSTOM_DETAILS", "[" * 100_000), ("CUSTOM_DETAILS", '{"a":' * 60 + "1" + "}" * 60), ("CUSTOM_DETAILS", '{"a": 1e999}'),
        ("LINKS", "Runbook"), ("LINKS", "x ftp://y"), ("LINKS_COUNT", "many"), ("LINKS_COUNT", "-1"), ("BRANCHES_COUNT", "999999"),
        ("TIMEOUT", "0.001"), ("TIMEOUT", "0.9"),
        ("BRANCHES", "all"), ("TAGS", "all"), ("BRANCHES", "main, dev"), ("BRANCHES", "[main]"), ("BRANCHES", "main|develop"), ("BRANCHES", "(main|develop)"), ("BRANCHES", "main;develop"),
        ("BRANCHES", "^main$"), ("BRANCHES", "main$"), ("BRANCHES", "/main"), ("BRANCHES", "{main}"), ("BRANCHES", "refs/heads/main"), ("BRANCHES", "{main, dev}"), ("BRANCHES", '["main"]'), ("BRANCHES", 'main "dev"'),
        ("BRANCHES", "{main,dev"), ("BRANCHES", "!dev"), ("BRANCHES", "release/.*"), ("BRANCHES", "main/"), ("BRANCHES", "a..b"), ("BRANCHES", "main~1"), ("BRANCHES", "origin:main"), ("BRANCHES", "m" * 251), ("BRANCHES", "{" + "," * 100_000), ("BRANCHES", "a[b"), ("TAGS", "refs/tags/v1"), ("SEVERITY_COUNT", "1"), ("IGNORE_EXIT_CODES", "130 x"), ("LOG_LINES", "-5"), ("BITBUCKET_API_URL", "api"),
    ],
)  # fmt: skip
def test_a_bad_optional_value_falls_back_to_its_default_and_is_told(name, value):
    settings = read({**GOOD, "EXIT_CODE": "1", name: value})
    assert settings == Settings(integration_key=KEY, exit_code=1, problems=settings.problems)
    (problem,) = settings.problems
    assert problem.startswith(name.removesuffix("_COUNT") + ": ")
    assert problem.endswith((" is used.", "it is left out.", "it is ignored and keeps nothing back."))


@pytest.mark.parametrize(
    "pattern",
    [
        "release/{1,2}", "{release,hotfix}/*", "{a,b}/c", "release/{1.0,2.0}", "feature/{a,{b,c}}", "{api,web}/v*",
        "{main,master}", "v{1,2}.x", "[v]*[0-9]", "[mM]ain", "{a/b,c/*}", "x{,/y}",
    ],
)  # fmt: skip
def test_alternatives_and_ranges_are_no_other_language(pattern):
    settings = read({**GOOD, "BRANCHES": pattern})
    assert (settings.branches, settings.problems) == ((pattern,), ())


@pytest.mark.parametrize("pattern", ["{refs/heads/main,refs/heads/dev}", "{^main$,x}", "{'main',dev}", "{main|dev,x}"])
def test_another_language_within_alternatives_is_a_bad_value(pattern):
    settings = read({**GOOD, "BRANCHES": pattern})
    assert settings.branches == ()
    assert settings.problems


@pytest.mark.parametrize("code", ["abc", "1.0", "0x0", "00", "+0", "-0", "٠", "0 0", "True", "9" * 5000])
def test_an_exit_code_that_is_no_integer_tells_nothing_and_is_never_a_zero(code):
    settings = read({**GOOD, "EXIT_CODE": code})
    assert settings.exit_code is None
    assert settings.bad_exit_code.startswith("EXIT_CODE: ")
    assert settings.problems


@pytest.mark.parametrize("own", ["01", "-0", "0x1", "+1", "1.0", "１", "99999999999", "failed"])
def test_a_zero_beside_a_code_of_bitbucket_s_that_cannot_be_read_tells_nothing(own):
    settings = read({**GOOD, "EXIT_CODE": "0", "BITBUCKET_EXIT_CODE": own})
    assert settings.exit_code is None
    assert settings.bad_exit_code.startswith("BITBUCKET_EXIT_CODE: ")
    assert settings.problems == (settings.bad_exit_code,)
    assert read({**GOOD, "EXIT_CODE": "2", "BITBUCKET_EXIT_CODE": own}).exit_code == 2


def test_a_build_status_that_is_none_tells_nothing():
    settings = read({**GOOD, "BUILD_STATUS": "fialed"})
    assert settings.build_status == ""
    assert settings.bad_build_status.startswith('BUILD_STATUS: "fialed" is not one of')
    assert settings.problems == (settings.bad_build_status,)


def test_bitbucket_s_own_exit_code_of_a_failure_counts_beside_one_that_cannot_be_read():
    settings = read({**GOOD, "EXIT_CODE": "abc", "BITBUCKET_EXIT_CODE": "2"})
    assert settings.exit_code == 2
    assert read({**GOOD, "EXIT_CODE": "abc", "BITBUCKET_EXIT_CODE": "0"}).exit_code is None


def test_a_pull_requests_filter_that_cannot_be_read_keeps_nothing_back():
    settings = read({**GOOD, "PULL_REQUESTS": "yes"})
    assert settings.pull_requests
    assert settings.problems == ('PULL_REQUESTS: "yes" is not one of true, false; true is used.',)


def test_a_secret_in_what_is_shown_is_masked_before_anything_is_cut():
    token = "ATCTT3xFfGN0-a-token"
    settings = read(
        {
            **GOOD,
            "BITBUCKET_ACCESS_TOKEN": token,
            "ALERT_NAME": f"x{KEY}y",
            "SUMMARY": token,
            "CUSTOM_DETAILS": f'{{"{token}": ["{KEY}"]}}',
        }
    )
    assert (settings.alert_name, settings.summary, settings.custom_details) == ("x…ee44y", "****", {"****": ["…ee44"]})


def test_bitbucket_s_own_exit_code_of_a_failure_beats_a_zero_that_was_mapped():
    settings = read({**GOOD, "EXIT_CODE": "0", "BITBUCKET_EXIT_CODE": "2"})
    assert settings.exit_code == 2
    assert "counted as a failure; write `EXIT_CODE: $BITBUCKET_EXIT_CODE`" in settings.notices[0]
    ignored = read({**GOOD, "EXIT_CODE": "0", "BITBUCKET_EXIT_CODE": "2", "IGNORE_EXIT_CODES": "2"})
    assert (ignored.exit_code, "is 2: it counts" in ignored.notices[0]) == (2, True)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (
            "https://events.pagerduty.com/integration/c0ffee11c0ffee22c0ffee33c0ffee44/enqueue",
            "it is an address, not a key",
        ),
        ("u+Abc123Abc123Abc123", "other than letters and digits"),
        ("y1A2b3C4d5E6f7G8h9I0", "probably a REST API key"),
        ("c0ffee11c0ffee22c0ffee33c0ffee4", "it has 31 characters"),
        ("c0ffee11c0ffee22c0ffee33c0ffee445", "it has 33 characters"),
        ("", "it is missing"),
        ("$PAGERDUTY_INTEGRATION_KEY", "it is missing"),
    ],
)
def test_each_wrong_key_gets_its_own_advice_and_is_never_shown(value, advice):
    (line,) = read({"INTEGRATION_KEY": value}).fatal
    assert line.startswith("INTEGRATION_KEY: ")
    assert advice in line
    assert value.startswith("$") or not value or value not in line


def test_a_key_with_spaces_around_it_is_used_without_them_and_told():
    settings = read({"INTEGRATION_KEY": f" {KEY}\n"})
    assert settings.integration_key == KEY
    assert settings.notices == ("INTEGRATION_KEY has spaces around it; they were left out.",)


def test_a_bad_region_is_no_matter_where_events_url_says_where_to():
    settings = read({**GOOD, "REGION": "ap", "EVENTS_URL": "https://relay.example"})
    assert settings.fatal == ()
    assert settings.base_url == "https://relay.example"
    assert settings.problems[0].startswith("REGION: ")


@pytest.mark.parametrize(
    ("url", "warns"),
    [("http://relay.example", True), ("http://10.0.0.1:80/x", True), ("https://relay.example", False), ("http://127.0.0.1:8025", False),
     ("http://127.evil.example", True), ("HTTP://relay.example", True), ("http://localhost", False), ("http://[::1]:1", False), ("http://host.docker.internal:8025", False)],
)  # fmt: skip
def test_plain_http_warns_but_not_on_this_machine(url, warns):
    assert bool(read({**GOOD, "EVENTS_URL": url}).notices) is warns


@pytest.mark.parametrize("name", SECRETS_OF_BITBUCKET)
def test_bitbucket_s_own_tokens_are_secrets_like_any_other(name):
    settings = read({**GOOD, name: "eyJhbGciOi.a-token-of-bitbucket", "SUMMARY": "eyJhbGciOi.a-token-of-bitbucket"})
    assert settings.summary == "****"


@pytest.mark.parametrize("key", ["R0212P1QXGEIQPXV2X3PCR5ACZPPVFJ2", KEY, KEY.upper()])
def test_keys_are_letters_and_digits_not_only_hexadecimal(key):
    assert read({"INTEGRATION_KEY": key}).integration_key == key


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"REGION": "ap"}, "REGION"),
        ({"EVENTS_URL": "events.pagerduty.com"}, "EVENTS_URL"),
        ({"EVENTS_URL": "https://u:secretsecret@h"}, "EVENTS_URL"),
        ({"EVENTS_URL": "https://h/?key=secretsecret"}, "EVENTS_URL"),
        ({"EVENTS_URL": "https://" + "a" * 300}, "EVENTS_URL"),
        ({"EVENTS_URL": "https://[::1"}, "EVENTS_URL"),
        ({"EVENTS_URL": "https://h:99999"}, "EVENTS_URL"),
        ({"EVENTS_URL": f"https://events.pagerduty.com/integration/{KEY}/enqueue"}, "EVENTS_URL"),
    ],
)
def test_where_there_is_nowhere_to_send_to_it_is_fatal_and_the_address_is_not_shown(environ, name):
    (line,) = read({**GOOD, **environ}).fatal
    assert line.startswith(f"{name}: ")
    assert "secretsecret" not in line
    assert KEY not in line


def test_a_dry_run_needs_no_key():
    assert not read({"DRY_RUN": "true"}).fatal


@pytest.mark.parametrize(
    ("slip", "right"),
    [("SEVERTY", "SEVERITY"), ("severity", "SEVERITY"), ("INTEGRATON_KEY", "INTEGRATION_KEY"), ("LINK", "LINKS"),
     ("EXITCODE", "EXIT_CODE"), ("DEDUPKEY", "DEDUP_KEY"), ("BRANCH", "BRANCHES"),
     ("BRANCH_COUNT", "BRANCHES"), ("LINK_COUNT", "LINKS"), ("BITBUCKET_ACCES_TOKEN", "BITBUCKET_ACCESS_TOKEN"),
     ("BITBUCKET_API_URI", "BITBUCKET_API_URL"), ("bitbucket_access_token", "BITBUCKET_ACCESS_TOKEN")],
)  # fmt: skip
def test_a_slip_gets_a_warning_that_names_the_right_one(slip, right):
    assert read({**GOOD, slip: "x"}).notices == (f"{slip} is not a variable of this pipe; did you mean {right}?",)


def test_ordinary_names_are_no_slips():
    ordinary = [
        "PATH",
        "HOME",
        "LANG",
        "HOSTNAME",
        "CI",
        "BITBUCKET_BRANCH",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
        "LINKS_0",
        "PWD",
    ]
    assert read({**GOOD, **dict.fromkeys(ordinary, "x")}).notices == ()


@given(
    st.dictionaries(
        st.sampled_from([*NAMES, *(f"{name}_{part}" for name in NAMES for part in ("COUNT", "0"))]),
        st.text(st.characters(exclude_characters="\0", categories=None), max_size=60)
        | st.sampled_from(["0", "1", "true", "$X", '{"a":1}', "https://x", KEY]),
        max_size=12,
    )
)
def test_no_environment_at_all_raises(environ):
    settings = read(environ)
    for text in settings.fatal + settings.problems + settings.notices:
        text.encode()
        assert KEY not in text


@pytest.mark.parametrize("secret", ["ATCTT-3x-Ff-Gf0-A1b2-C3d4-e5f6-g7h8", "https://ada:hunter2-hunter2@example.com/"])
@pytest.mark.parametrize("before", range(20, 66, 5))
def test_a_bad_value_is_never_cut_within_a_secret(secret, before):
    value = f"{('ab ' * before)[:before]} {secret} and more"
    settings = Settings.read({"SEVERITY": value, "BITBUCKET_ACCESS_TOKEN": secret, "DRY_RUN": "true"})
    (problem,) = settings.problems
    assert "ATCTT" not in problem
    assert "ada" not in problem
    assert problem.startswith('SEVERITY: "')
