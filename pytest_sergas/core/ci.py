"""What a CI system says about a build in its environment variables, as an `Environment`.

One function for each system, named after its documentation of predefined variables. Everywhere:

- the branch is the *source* branch, also in a pull request's build, where most systems check out a merge
  under another name; a tag is no branch;
- the build is the whole pipeline where the system has a number and an address for it, so that the shards
  of one build agree;
- an address loses its user name, password, query and fragment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace

from pytest_sergas.core.records import Environment
from pytest_sergas.core.text import one_line, public_url

FIELD_LIMIT = 500

Variables = Callable[..., str]


def from_variables(environ: Mapping[str, str]) -> Environment:
    """Return what the variables of the first CI system that is recognised say; an empty one without any."""

    def first(*names: str) -> str:
        """Return the first of the variables that has a value."""
        # Azure hands on a variable that it does not know as it was written: $(System.PullRequest.SourceBranch).
        values = (environ.get(name, "").strip() for name in names)
        return next((value for value in values if value and not value.startswith("$(")), "")

    for variable, provider, read in _SYSTEMS:
        if environ.get(variable, "").strip().lower() not in {"", "false", "0"}:
            return _bounded(replace(read(first), provider=provider))
    return Environment()


def is_ci(environ: Mapping[str, str]) -> bool:
    """Whether a CI system runs this: one that is recognised, or one that sets ``CI`` as nearly all do."""
    said = environ.get("CI", "").strip().lower()
    return said not in {"", "false", "0"} or bool(from_variables(environ).provider)


def _github(get: Variables) -> Environment:
    # https://docs.github.com/en/actions/reference/workflows-and-actions/variables
    number = _between(get("GITHUB_REF"), "refs/pull/", "/")
    branch = get("GITHUB_HEAD_REF") or _branch(get("GITHUB_REF"))
    url = "/".join((get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"), "actions/runs", get("GITHUB_RUN_ID")))
    return Environment(
        branch=branch,
        commit=get("GITHUB_SHA"),
        job=get("GITHUB_JOB"),
        build_id=get("GITHUB_RUN_ID"),
        build_url=public_url(url) if get("GITHUB_RUN_ID") else "",
        pull_request=number,
        repository=get("GITHUB_REPOSITORY"),
    )


def _gitlab(get: Variables) -> Environment:
    # https://docs.gitlab.com/ci/variables/predefined_variables/
    # CI_COMMIT_BRANCH is missing in a merge request's pipeline and for a tag; CI_COMMIT_REF_NAME is either.
    return Environment(
        branch=get(
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH"
        ),
        commit=get("CI_COMMIT_SHA"),
        job=get("CI_JOB_NAME"),
        build_id=get("CI_PIPELINE_ID"),
        build_url=public_url(get("CI_PIPELINE_URL")),
        pull_request=get("CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID"),
        repository=get("CI_PROJECT_PATH") or public_url(get("CI_REPOSITORY_URL")),
    )


def _jenkins(get: Variables) -> Environment:
    # https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables, and the Git plugin's.
    # In a multibranch project BRANCH_NAME is PR-12 for a pull request and the tag's name for a tag.
    if get("CHANGE_ID"):
        branch = get("CHANGE_BRANCH")
    elif get("TAG_NAME"):
        branch = ""
    else:
        remote = _branch(get("GIT_BRANCH").removeprefix("refs/remotes/")).removeprefix("origin/")
        branch = get("BRANCH_NAME") or ("" if remote == "detached" else remote)
    return Environment(
        branch=branch,
        commit=get("GIT_COMMIT"),
        job=get("JOB_NAME"),
        build_id=get("BUILD_NUMBER", "BUILD_ID"),
        build_url=public_url(get("BUILD_URL")),
        pull_request=get("CHANGE_ID"),
        repository=public_url(get("GIT_URL", "GIT_URL_1")),
    )


def _circleci(get: Variables) -> Environment:
    # https://circleci.com/docs/reference/variables/
    # For a pull request from a fork CIRCLE_BRANCH is pull/12, and nothing names the source branch.
    branch = get("CIRCLE_BRANCH")
    names = (get("CIRCLE_PROJECT_USERNAME"), get("CIRCLE_PROJECT_REPONAME"))
    return Environment(
        branch="" if branch.startswith("pull/") else branch,
        commit=get("CIRCLE_SHA1"),
        job=get("CIRCLE_JOB"),
        build_id=get("CIRCLE_BUILD_NUM"),
        build_url=public_url(get("CIRCLE_BUILD_URL")),
        pull_request=get("CIRCLE_PR_NUMBER") or get("CIRCLE_PULL_REQUEST").rstrip("/").rpartition("/")[2],
        repository="/".join(names) if all(names) else public_url(get("CIRCLE_REPOSITORY_URL")),
    )


def _azure(get: Variables) -> Environment:
    # https://learn.microsoft.com/azure/devops/pipelines/build/variables
    # BUILD_SOURCEBRANCHNAME is only the last part of a branch with slashes.
    server = get("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI").rstrip("/")
    build, project = get("BUILD_BUILDID"), get("SYSTEM_TEAMPROJECT").replace(" ", "%20")
    return Environment(
        branch=_branch(get("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH")),
        commit=get("BUILD_SOURCEVERSION"),
        job=get("SYSTEM_JOBNAME", "AGENT_JOBNAME"),
        build_id=build,
        build_url=public_url(f"{server}/{project}/_build/results?buildId={build}") if server and build else "",
        # The ID is Azure's own number, also for a repository on GitHub, which has a number besides.
        pull_request=get("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"),
        repository=get("BUILD_REPOSITORY_NAME") or public_url(get("BUILD_REPOSITORY_URI")),
    )


def _buildkite(get: Variables) -> Environment:
    # https://buildkite.com/docs/pipelines/configure/environment-variables
    # BUILDKITE_COMMIT is HEAD until the agent has checked it out; from a fork the branch is owner:branch.
    request = get("BUILDKITE_PULL_REQUEST")
    commit = get("BUILDKITE_COMMIT")
    return Environment(
        branch="" if get("BUILDKITE_TAG") else get("BUILDKITE_BRANCH"),
        commit="" if commit == "HEAD" else commit,
        job=get("BUILDKITE_STEP_KEY", "BUILDKITE_LABEL"),
        build_id=get("BUILDKITE_BUILD_NUMBER"),
        build_url=public_url(get("BUILDKITE_BUILD_URL")),
        pull_request="" if request == "false" else request,
        repository=public_url(get("BUILDKITE_REPO")),
    )


# Jenkins last: its variable is an address that the agents of another system may have inherited.
_SYSTEMS: tuple[tuple[str, str, Callable[[Variables], Environment]], ...] = (
    ("GITHUB_ACTIONS", "github", _github),
    ("GITLAB_CI", "gitlab", _gitlab),
    ("CIRCLECI", "circleci", _circleci),
    ("TF_BUILD", "azure", _azure),
    ("BUILDKITE", "buildkite", _buildkite),
    ("JENKINS_URL", "jenkins", _jenkins),
)


def _branch(ref: str) -> str:
    """Return the branch of a full or short ref; "" for a tag's or a pull request's."""
    if ref.startswith("refs/") and not ref.startswith("refs/heads/"):
        return ""
    return ref.removeprefix("refs/heads/")


def _between(text: str, before: str, after: str) -> str:
    return text.removeprefix(before).partition(after)[0] if text.startswith(before) else ""


def _bounded(environment: Environment) -> Environment:
    """Make every field one printable line: the variables are whatever a build sets them to."""
    values = {field.name: one_line(getattr(environment, field.name), FIELD_LIMIT) for field in fields(environment)}
    return Environment(**values)
