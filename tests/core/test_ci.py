"""What each CI system's documented variables say about a build."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.ci import FIELD_LIMIT, from_variables
from pytest_sergas.core.ctrf import to_json
from pytest_sergas.core.ctrf_reading import from_json
from pytest_sergas.core.records import Environment
from pytest_sergas.core.report import read_report
from pytest_sergas.core.text import public_url
from tests.publishers.conftest import record, run_of

pytestmark = pytest.mark.unit

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "1658821493",
    "GITHUB_JOB": "tests",
    "GITHUB_SHA": "ffac537e6cbbf934b08745a378932722df287a53",
    "GITHUB_REF": "refs/heads/feature/pay",
    "GITHUB_REF_NAME": "feature/pay",
    "GITHUB_HEAD_REF": "",
}
GITHUB_BUILD = Environment(
    provider="github",
    branch="feature/pay",
    commit="ffac537e6cbbf934b08745a378932722df287a53",
    job="tests",
    build_id="1658821493",
    build_url="https://github.com/acme/shop/actions/runs/1658821493",
    repository="acme/shop",
)
GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": "1ecfd275763eff1d6b4844ea3168962458c9f27a",
    "CI_COMMIT_REF_NAME": "main",
    "CI_JOB_NAME": "tests 1/3",
    "CI_PIPELINE_ID": "1000",
    "CI_PIPELINE_URL": "https://gitlab.com/acme/shop/-/pipelines/1000",
    "CI_PROJECT_PATH": "acme/shop",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:secret@gitlab.com/acme/shop.git",
}
JENKINS = {
    "JENKINS_URL": "https://ci.example.org/",
    "JOB_NAME": "acme/shop",
    "BUILD_NUMBER": "153",
    "BUILD_URL": "https://ci.example.org/job/acme/job/shop/153/",
    "GIT_COMMIT": "ce9a3c1404e8c91be604088670e93434c4253f03",
    "GIT_URL": "https://me:secret@git.example.org/acme/shop.git",
}
CIRCLECI = {
    "CIRCLECI": "true",
    "CIRCLE_BRANCH": "main",
    "CIRCLE_SHA1": "2f5b4b1c2a5a7a0d6b9e6c7f8d9a0b1c2d3e4f50",
    "CIRCLE_JOB": "tests",
    "CIRCLE_BUILD_NUM": "42",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/shop/42",
    "CIRCLE_PROJECT_USERNAME": "acme",
    "CIRCLE_PROJECT_REPONAME": "shop",
}
AZURE = {
    "TF_BUILD": "True",
    "BUILD_SOURCEBRANCH": "refs/heads/feature/pay",
    "BUILD_SOURCEBRANCHNAME": "pay",
    "BUILD_SOURCEVERSION": "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
    "SYSTEM_JOBNAME": "tests",
    "AGENT_JOBNAME": "Job",
    "BUILD_BUILDID": "77",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/acme/",
    "SYSTEM_TEAMPROJECT": "Web Shop",
    "BUILD_REPOSITORY_NAME": "acme/shop",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "$(System.PullRequest.SourceBranch)",
}
BUILDKITE = {
    "BUILDKITE": "true",
    "BUILDKITE_BRANCH": "main",
    "BUILDKITE_COMMIT": "83a20ec058e2fb00e7fa4558c4c6e81e2dcf253d",
    "BUILDKITE_LABEL": "Tests",
    "BUILDKITE_BUILD_NUMBER": "1514",
    "BUILDKITE_BUILD_URL": "https://buildkite.com/acme/shop/builds/1514",
    "BUILDKITE_PULL_REQUEST": "false",
    "BUILDKITE_REPO": "git@github.com:acme/shop.git",
    "BUILDKITE_TAG": "",
}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, Environment(), id="no CI"),
        pytest.param({"CI": "true"}, Environment(), id="a CI system that nobody knows"),
        pytest.param({**GITHUB, "GITHUB_ACTIONS": "false"}, Environment(), id="switched off"),
        pytest.param(GITHUB, GITHUB_BUILD, id="github"),
        pytest.param(
            GITLAB,
            Environment(
                provider="gitlab",
                commit="1ecfd275763eff1d6b4844ea3168962458c9f27a",
                job="tests 1/3",
                build_id="1000",
                build_url="https://gitlab.com/acme/shop/-/pipelines/1000",
                repository="acme/shop",
            ),
            id="gitlab",
        ),
        pytest.param(
            JENKINS,
            Environment(
                provider="jenkins",
                commit="ce9a3c1404e8c91be604088670e93434c4253f03",
                job="acme/shop",
                build_id="153",
                build_url="https://ci.example.org/job/acme/job/shop/153/",
                repository="https://git.example.org/acme/shop.git",
            ),
            id="jenkins",
        ),
        pytest.param(
            CIRCLECI,
            Environment(
                provider="circleci",
                branch="main",
                commit="2f5b4b1c2a5a7a0d6b9e6c7f8d9a0b1c2d3e4f50",
                job="tests",
                build_id="42",
                build_url="https://circleci.com/gh/acme/shop/42",
                repository="acme/shop",
            ),
            id="circleci",
        ),
        pytest.param(
            AZURE,
            Environment(
                provider="azure",
                branch="feature/pay",
                commit="a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
                job="tests",
                build_id="77",
                build_url="https://dev.azure.com/acme/Web%20Shop/_build/results?buildId=77",
                repository="acme/shop",
            ),
            id="azure",
        ),
        pytest.param(
            BUILDKITE,
            Environment(
                provider="buildkite",
                branch="main",
                commit="83a20ec058e2fb00e7fa4558c4c6e81e2dcf253d",
                job="Tests",
                build_id="1514",
                build_url="https://buildkite.com/acme/shop/builds/1514",
                repository="github.com:acme/shop.git",
            ),
            id="buildkite",
        ),
    ],
)
def test_build_is_read_from_the_documented_variables(environ: dict[str, str], expected: Environment) -> None:
    assert from_variables(environ) == expected


@pytest.mark.parametrize(
    ("environ", "branch", "pull_request"),
    [
        pytest.param(
            {
                **GITHUB,
                "GITHUB_REF": "refs/pull/12/merge",
                "GITHUB_REF_NAME": "12/merge",
                "GITHUB_HEAD_REF": "feature/pay",
            },
            "feature/pay",
            "12",
            id="github",
        ),
        pytest.param(
            {**GITLAB, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature/pay", "CI_MERGE_REQUEST_IID": "12"},
            "feature/pay",
            "12",
            id="gitlab",
        ),
        pytest.param(
            {
                **GITLAB,
                "CI_COMMIT_BRANCH": "main",
                "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME": "feature/pay",
                "CI_EXTERNAL_PULL_REQUEST_IID": "12",
            },
            "feature/pay",
            "12",
            id="gitlab, for a repository elsewhere",
        ),
        pytest.param(
            {
                **JENKINS,
                "BRANCH_NAME": "PR-12",
                "CHANGE_ID": "12",
                "CHANGE_BRANCH": "feature/pay",
                "GIT_BRANCH": "PR-12",
            },
            "feature/pay",
            "12",
            id="jenkins",
        ),
        pytest.param(
            {**CIRCLECI, "CIRCLE_BRANCH": "feature/pay", "CIRCLE_PULL_REQUEST": "https://github.com/acme/shop/pull/12"},
            "feature/pay",
            "12",
            id="circleci",
        ),
        pytest.param(
            {**CIRCLECI, "CIRCLE_BRANCH": "pull/12", "CIRCLE_PR_NUMBER": "12"}, "", "12", id="circleci, from a fork"
        ),
        pytest.param(
            {
                **AZURE,
                "BUILD_SOURCEBRANCH": "refs/pull/12/merge",
                "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/feature/pay",
                "SYSTEM_PULLREQUEST_PULLREQUESTID": "12",
            },
            "feature/pay",
            "12",
            id="azure",
        ),
        pytest.param(
            {
                **AZURE,
                "SYSTEM_PULLREQUEST_SOURCEBRANCH": "feature/pay",
                "SYSTEM_PULLREQUEST_PULLREQUESTID": "999",
                "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "12",
            },
            "feature/pay",
            "12",
            id="azure, for a repository on github",
        ),
        pytest.param(
            {**BUILDKITE, "BUILDKITE_BRANCH": "feature/pay", "BUILDKITE_PULL_REQUEST": "12"},
            "feature/pay",
            "12",
            id="buildkite",
        ),
    ],
)
def test_pull_request_build_names_its_source_branch(environ: dict[str, str], branch: str, pull_request: str) -> None:
    found = from_variables(environ)

    assert (found.branch, found.pull_request) == (branch, pull_request)


@pytest.mark.parametrize(
    ("environ", "branch"),
    [
        pytest.param({**GITLAB, "CI_COMMIT_BRANCH": "feature/pay"}, "feature/pay", id="gitlab"),
        pytest.param({**JENKINS, "BRANCH_NAME": "feature/pay"}, "feature/pay", id="jenkins multibranch"),
        pytest.param({**JENKINS, "GIT_BRANCH": "origin/feature/pay"}, "feature/pay", id="jenkins, remote branch"),
        pytest.param(
            {**JENKINS, "GIT_BRANCH": "refs/remotes/origin/feature/pay"},
            "feature/pay",
            id="jenkins, full remote branch",
        ),
        pytest.param({**JENKINS, "GIT_BRANCH": "refs/heads/feature/pay"}, "feature/pay", id="jenkins, full branch"),
        pytest.param({**JENKINS, "GIT_BRANCH": "detached"}, "", id="jenkins, detached"),
    ],
)
def test_branch_is_found_wherever_the_system_puts_it(environ: dict[str, str], branch: str) -> None:
    assert from_variables(environ).branch == branch


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({**GITHUB, "GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1"}, id="github"),
        pytest.param({**GITLAB, "CI_COMMIT_REF_NAME": "v1", "CI_COMMIT_TAG": "v1"}, id="gitlab"),
        pytest.param({**JENKINS, "TAG_NAME": "v1", "BRANCH_NAME": "v1", "GIT_BRANCH": "v1"}, id="jenkins"),
        pytest.param({**CIRCLECI, "CIRCLE_TAG": "v1", "CIRCLE_BRANCH": ""}, id="circleci"),
        pytest.param({**AZURE, "BUILD_SOURCEBRANCH": "refs/tags/v1", "BUILD_SOURCEBRANCHNAME": "v1"}, id="azure"),
        pytest.param({**BUILDKITE, "BUILDKITE_TAG": "v1", "BUILDKITE_BRANCH": "v1"}, id="buildkite"),
    ],
)
def test_tag_is_no_branch(environ: dict[str, str]) -> None:
    assert from_variables(environ).branch == ""


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param(
            {**GITLAB, "CI_PROJECT_PATH": "", "CI_PIPELINE_URL": "https://me:secret@gitlab.com/1"}, id="gitlab"
        ),
        pytest.param({**GITHUB, "GITHUB_SERVER_URL": "https://me:secret@github.com"}, id="github"),
        pytest.param({**JENKINS, "BUILD_URL": "https://me:secret@ci.example.org/1"}, id="jenkins"),
        pytest.param(
            {**CIRCLECI, "CIRCLE_PROJECT_REPONAME": "", "CIRCLE_REPOSITORY_URL": "https://me:secret@github.com/a/b"},
            id="circleci",
        ),
        pytest.param(
            {
                **AZURE,
                "SYSTEM_COLLECTIONURI": "https://me:secret@dev.azure.com/acme/",
                "BUILD_REPOSITORY_NAME": "",
                "BUILD_REPOSITORY_URI": "https://me:secret@dev.azure.com/acme/_git/shop",
            },
            id="azure",
        ),
        pytest.param({**BUILDKITE, "BUILDKITE_REPO": "https://me:secret@github.com/acme/shop.git"}, id="buildkite"),
    ],
)
def test_addresses_lose_user_name_and_password_and_nothing_else(environ: dict[str, str]) -> None:
    found = from_variables(environ)

    assert "secret" not in repr(found)
    assert "me:" not in repr(found)
    assert found.repository
    assert found.build_url


def test_at_sign_in_the_path_of_an_address_is_no_password() -> None:
    found = from_variables({**JENKINS, "BUILD_URL": "https://ci.example.org/job/shop@main/3/"})

    assert found.build_url == "https://ci.example.org/job/shop@main/3/"


def test_commit_that_is_not_known_yet_is_empty() -> None:
    assert from_variables({**BUILDKITE, "BUILDKITE_COMMIT": "HEAD"}).commit == ""


def test_system_inside_a_jenkins_agent_is_itself() -> None:
    assert from_variables({**JENKINS, **BUILDKITE}).provider == "buildkite"


@given(st.text(st.characters()), st.sampled_from([GITHUB, GITLAB, JENKINS, CIRCLECI, AZURE, BUILDKITE]))
def test_whatever_a_variable_holds_each_field_is_one_bounded_line(text: str, environ: dict[str, str]) -> None:
    switch = next(iter(environ))
    found = from_variables({**dict.fromkeys(environ, text), switch: "true"})

    for value in (found.branch, found.commit, found.job, found.build_id, found.build_url, found.repository):
        assert len(value) <= FIELD_LIMIT
        assert len(value.splitlines()) <= 1
        assert value.encode("utf-8").decode("utf-8") == value


@pytest.mark.parametrize("environ", [GITHUB, GITLAB, JENKINS, CIRCLECI, AZURE, BUILDKITE])
def test_query_of_an_address_reaches_no_record(environ: dict[str, str]) -> None:
    spoiled = {
        name: f"{value}?private_token=s3cret&a=b#s3cret" if value.startswith("https://") else value
        for name, value in environ.items()
    }

    assert "s3cret" not in repr(from_variables(spoiled))
    assert from_variables(spoiled).build_url


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://ci.example/1?token=s3cret", "https://ci.example/1"),
        ("https://ci.example/1#s3cret", "https://ci.example/1"),
        ("https://me:s3cret@ci.example/a@b/1", "https://ci.example/a@b/1"),
        ("https://dev.azure.com/a/_build/results?buildId=77", "https://dev.azure.com/a/_build/results?buildId=77"),
        ("https://a/results?x=s3cret&buildId=77&y=s3cret", "https://a/results?buildId=77"),
        ("https://a/results?buildId=s3cret", "https://a/results"),
        ("git@host.example:acme/shop.git", "host.example:acme/shop.git"),
        ("", ""),
    ],
)
def test_address_in_a_record_is_public(url: str, kept: str) -> None:
    assert public_url(url) == kept


def test_query_of_an_address_in_a_document_of_others_is_not_taken_over() -> None:
    written = to_json(run_of(record("a"), environment=Environment(build_url="https://ci.example/1?token=s3cret")))

    assert from_json(written).environment.build_url == "https://ci.example/1"
    assert read_report(json.loads(written)).build_url == "https://ci.example/1"
