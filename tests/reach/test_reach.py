"""The table of reach: complete, shown in the documentation, and each effect in it with an observation.

An observation is what a run, a sidecar or a program visibly does because of a key: in the tests of this directory, or
in a test elsewhere that `ELSEWHERE` names, which sets the key and sees what comes of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from pytest_sergas.config import SECTIONS, TYPE_KEYS, find, load_sections
from pytest_sergas.config.channels import COMMON as CHANNEL_KEYS
from pytest_sergas.config.checks import COMMON as CHECK_KEYS
from pytest_sergas.config.collect import TARGET_KEYS
from pytest_sergas.config.file import ConfigFile
from pytest_sergas.config.program import Program, runs_of
from pytest_sergas.config.reach import PARTS, REACH, Effect, effects, table
from pytest_sergas.config.routes import ROUTE_KEYS, WINDOW_KEYS
from pytest_sergas.config.runs import KEYS
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.monitoring import ComprehensiveMonitoringSystem
from pytest_sergas.publishers import endpoint
from tests.reach import test_daemon, test_program, test_runs, test_serve, test_variables

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
_PLUGIN, _PUBLISHERS, _SIDECAR, _ENGINE = (
    "tests/plugin/test_",
    "tests/publishers/test_",
    "tests/sidecar/test_",
    "tests/engine/test_",
)

# Key → the test that proves it in a run of pytest.
RUNS: Mapping[str, str] = {
    "retry_delay": f"{_PLUGIN}timeouts.py::test_delay_longer_than_the_timeout_is_not_counted",
    "retry_on": f"{_PLUGIN}retries.py::test_retry_on_looks_at_what_failed_subtests_raised",
    "max_retries": f"{_PLUGIN}acceptance.py::test_whole_run_makes_no_more_repetitions_than_it_may",
    "max_workers": f"{_PLUGIN}nothing_in_the_way.py::test_auto_starts_no_more_workers_than_allowed",
    "max_test_workers": f"{_PLUGIN}nothing_in_the_way.py::test_auto_starts_no_more_workers_than_allowed",
    "exclusive_wait": f"{_PLUGIN}exclusive.py::test_waiting_ends_with_a_text_that_names_who_holds_the_lock",
    "watchdog": f"{_PLUGIN}watchdog.py::test_0_is_never",
    "durations": f"{_PLUGIN}durations.py::test_file_of_the_configuration_is_only_read",
    "history": f"{_PLUGIN}baselines.py::test_history_stands_in_the_cache_unless_a_file_is_named",
    "measure": f"{_PLUGIN}measuring.py::test_one_switch_turns_it_off",
    "measure_children": f"{_PLUGIN}measuring.py::test_memory_of_children_counts_where_it_is_asked_for",
    "push_token_file": f"{_PUBLISHERS}pushgateway.py::test_bearer_token_is_sent",
    "publish_deadline": f"{_PLUGIN}publishing.py::test_gateway_that_never_answers_costs_no_more_than_the_deadline",
    "test_retry_count": f"{_PLUGIN}retries.py::test_closest_and_most_explicit_number_wins",
    "types.NAME.retry_delay": f"{_PLUGIN}timeouts.py::test_delay_longer_than_the_timeout_is_not_counted",
    "types.NAME.retry_on": f"{_PLUGIN}retries.py::test_retry_on_looks_at_what_failed_subtests_raised",
    "types.NAME.max_memory_mb": f"{_PLUGIN}budgets.py::test_memory_over_its_budget_is_not_repeated",
    "types.NAME.max_cpu": f"{_PLUGIN}budgets.py::test_cpu_that_a_call_really_used_is_judged",
    "types.NAME.max_regression": f"{_PLUGIN}baselines.py::test_test_is_compared_with_its_history",
    "types.NAME.budget_attempts": f"{_PLUGIN}budgets.py::test_number_of_attempts_is_a_setting",
    "types.NAME.exclusive": f"{_PLUGIN}exclusive.py::test_run_says_which_tests_were_exclusive_and_when",
    "types.NAME.fail_on_flaky": f"{_PLUGIN}acceptance.py::test_flaky_test_fails_the_run_where_the_type_says_so",
    "types.NAME.max_flaky": f"{_PLUGIN}acceptance.py::test_run_passes_where_no_more_are_flaky_than_may_be",
    "types.NAME.min_coverage": f"{_PLUGIN}coverage.py::test_type_that_covers_too_little_fails_the_run",
    "strict": "tests/reach/test_runs.py::test_strict_refuses_a_test_without_a_type",
    "test_timeout": "tests/reach/test_runs.py::test_each_key_has_its_effect",
    "types.NAME.parallel": f"{_PLUGIN}scheduler.py::test_type_that_is_not_parallel_runs_on_one_worker",
    "types.NAME.max_workers": f"{_PLUGIN}scheduler.py::test_type_that_is_not_parallel_runs_on_one_worker",
    "types.NAME.wait_s": f"{_PLUGIN}dependencies.py::test_nobody_waits_longer_than_the_type_says",
}
_SMTP = dict.fromkeys(test_variables.OF_KEYS, "tests/reach/test_variables.py::test_each_name_has_its_effect")
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "pytest": {
        **RUNS,
        "checks.timeout": "tests/checks/test_once.py::test_check_that_hangs_costs_only_its_own_result",
        "checks.depends_on": "tests/checks/test_once.py::test_what_depends_on_a_dead_component_is_unknown",
        "environment.PROMETHEUS_GATEWAY": f"{_PLUGIN}publishing.py::test_gateway_is_also_named_by_the_environment",
        "environment.SERGAS_PUSH_USERNAME": f"{_PUBLISHERS}pushgateway.py::test_environment_wins_over_the_file",
        "environment.SERGAS_PUSH_PASSWORD": f"{_PUBLISHERS}pushgateway.py::test_environment_wins_over_the_file",
        "environment.SERGAS_PUSH_TOKEN": f"{_PUBLISHERS}pushgateway.py::test_environment_wins_over_the_file",
    },
    "serve": {
        **_SMTP,
        "serve.web_config": f"{_SIDECAR}auth.py::test_right_credentials_are_let_in",
        "serve.token_file": f"{_SIDECAR}serve.py::test_sighup_switches_authentication_on",
        "serve.make_token": f"{_SIDECAR}token.py::test_token_is_made_and_all_but_the_probes_want_it",
        "serve.trusted_proxies": f"{_SIDECAR}proxy.py::test_forwarded_host_is_judged_only_from_a_trusted_proxy",
        "serve.max_connections": f"{_SIDECAR}connection.py::test_connection_that_has_waited_longest_makes_room",
        "serve.header_timeout": f"{_SIDECAR}connection.py::test_connection_that_says_nothing_is_closed",
        "serve.body_timeout": f"{_SIDECAR}connection.py::test_body_that_never_ends_is_answered_with_408",
        "groups.ttl": f"{_ENGINE}groups.py::test_push_without_a_ttl_takes_the_configurations",
        "groups.ttl_rules": f"{_SIDECAR}push.py::test_configured_ttl_applies_by_label",
        "groups.max_groups": f"{_SIDECAR}push.py::test_one_group_too_many_is_503_and_the_others_go_on",
        "groups.max_series": f"{_SIDECAR}push.py::test_one_series_too_many_is_503_and_stores_nothing",
        "groups.max_push_mib": f"{_SIDECAR}push.py::test_body_that_is_too_large_is_413",
        "groups.max_push_series": f"{_SIDECAR}push_memory.py::test_push_beyond_a_bound_is_413_and_takes_no_memory",
        "groups.max_store_mib": f"{_ENGINE}store.py::test_store_that_is_full_says_so_and_goes_on_when_there_is_room",
        "collect.retention": "tests/reach/test_variables.py::test_each_name_has_its_effect",
        "collect.targets.ca_file": "tests/collectors/test_scrape.py::test_connection_that_fails_says_so",
        "max_alerts_per_minute": f"{_ENGINE}capping.py::test_every_channel_has_the_cap_of_the_configuration",
        "channels.send_resolved": f"{_ENGINE}capping.py::test_channel_that_wants_no_ends_is_told_none",
        "environment.SERGAS_PUSH_TOKEN": f"{_ENGINE}gateway.py"
        "::test_credentials_stand_in_the_url_or_in_the_environment",
    },
}
ELSEWHERE = {
    **ELSEWHERE,
    "program": {
        # The same keys reach the pytest that a program starts, as the last test here shows for each of them.
        **RUNS,
        **{
            key: where
            for key, where in ELSEWHERE["serve"].items()
            if not key.startswith("serve.")  # the engine is the same one
        },
        "collect.duration_sampling": "tests/collectors/test_http_requests.py::"
        "test_sampled_durations_are_those_of_every_so_manieth_request_and_the_count_stays_exact",
    },
}
HERE: Mapping[str, frozenset[str]] = {
    "pytest": frozenset(test_runs.OBSERVED),
    "serve": frozenset(
        {*test_daemon.OBSERVED, *test_variables.OBSERVED, *(f"serve.{key}" for key in test_serve.OBSERVED)}
    ),
    "program": frozenset(
        {*test_runs.OBSERVED, *test_daemon.OBSERVED, *test_variables.OBSERVED, *test_program.OBSERVED}
    ),
}


def known() -> Iterator[str]:
    """Yield every key and variable that there is, as `effects` names them."""
    for name in SECTIONS:
        section = find(name)
        yield from (".".join(section.path(key)) for key in section.keys)
        yield from section.names
        yield from (f"environment.{variable}" for variable in section.environment)
    yield from (f"environment.{variable}" for variable in (endpoint.USERNAME, endpoint.PASSWORD, endpoint.TOKEN))
    for where, keys in (
        ("types.NAME", TYPE_KEYS),
        ("collect.targets", TARGET_KEYS),
        ("checks", CHECK_KEYS),
        ("channels", CHANNEL_KEYS),
        ("routes", ROUTE_KEYS),
        ("maintenance", WINDOW_KEYS),
    ):
        yield from (f"{where}.{key}" for key in keys)


def listed() -> list[str]:
    return [f"{row.where}.{key}" if row.where else key for row in REACH for key in row.keys]


def test_table_has_every_key_and_variable_once() -> None:
    assert sorted(listed()) == sorted(set(known()))


def test_table_of_the_documentation_is_this_one() -> None:
    assert "\n".join(table()) in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("part", PARTS)
def test_each_effect_has_an_observation(part: str) -> None:
    observed = {*HERE[part], *ELSEWHERE[part]}

    assert sorted(set(effects(part)) - observed) == []
    assert sorted(observed - set(effects(part))) == []


@cache
def _tests_of(file: str) -> tuple[str, frozenset[str]]:
    text = (ROOT / file).read_text("utf-8")
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return text, frozenset(node.name for node in ast.parse(text).body if isinstance(node, kinds))


@pytest.mark.parametrize("part", PARTS)
def test_observation_elsewhere_is_there_and_sets_the_key(part: str) -> None:
    for key, where in ELSEWHERE[part].items():
        file, _, name = where.partition("::")
        text, names = _tests_of(file)
        assert not name or name in names, where
        assert key.rpartition(".")[2] in text or file == "tests/reach/test_variables.py", (
            f"{where} says nothing of {key}"
        )


@pytest.mark.parametrize("row", [row for row in REACH if row.program is Effect.REFUSED], ids=lambda row: row.where)
def test_what_a_program_refuses_it_refuses_with_the_reason(row: object) -> None:
    del row
    with pytest.raises(ConfigurationError, match="serve: is for sergas serve alone; a program opens"):
        ComprehensiveMonitoringSystem({"serve": {"listen": "127.0.0.1:8000"}})


@pytest.mark.parametrize("key", [*KEYS, "test_timeout", "test_retry_count", "max_test_workers"])
def test_key_of_runs_reaches_the_pytest_that_a_program_starts(key: str, tmp_path: Path) -> None:
    import tomllib

    name = find("").names.get(key, key)
    example = {"types": "{unit = {timeout = 5}}"}.get(name, KEYS[name].example)
    written = tomllib.loads(f"{key} = {example}")

    direct = load_sections(ConfigFile(tmp_path, "sergas.toml", (), written), ("",), environ={})[""].settings
    program = Program(runs_of(written, Path()))
    through = load_sections(program.over(ConfigFile(tmp_path, "", (), {})), ("",), environ={})[""].settings

    one, other = getattr(direct, name), getattr(through, name)
    assert other == one or str(other).endswith(str(one)), key  # a file has become absolute
