"""Branch, commit and repository of a checkout, read from real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_sergas.core.records import Environment
from pytest_sergas.plugin.environment import describe
from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration


def git(directory: Path, *arguments: str) -> str:
    """Run git without anybody's own configuration."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", *identity, *arguments],  # noqa: S607  whichever git the machine has
        cwd=directory,
        env=own,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit on the branch feature/pay."""
    directory = tmp_path / "shop"
    directory.mkdir()
    git(directory, "init", "--quiet", "--initial-branch", "feature/pay")
    git(directory, "commit", "--quiet", "--allow-empty", "--message", "one")
    return directory


def checkout(root: Path) -> tuple[str, str]:
    found = describe(root, {})
    return found.branch, found.commit


def test_branch_and_commit_come_from_the_checkout(repository: Path) -> None:
    assert checkout(repository) == ("feature/pay", git(repository, "rev-parse", "HEAD"))


def test_directory_deep_in_the_repository_belongs_to_it(repository: Path) -> None:
    deep = repository / "services" / "api"
    deep.mkdir(parents=True)

    assert checkout(deep) == ("feature/pay", git(repository, "rev-parse", "HEAD"))


def test_packed_refs_are_read(repository: Path) -> None:
    git(repository, "branch", "feature/pay-later")
    git(repository, "pack-refs", "--all")

    assert checkout(repository) == ("feature/pay", git(repository, "rev-parse", "HEAD"))


def test_loose_ref_is_newer_than_the_packed_one(repository: Path) -> None:
    git(repository, "pack-refs", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "two")

    assert checkout(repository) == ("feature/pay", git(repository, "rev-parse", "HEAD"))


def test_detached_head_has_a_commit_and_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")

    assert checkout(repository) == ("", git(repository, "rev-parse", "HEAD"))


def test_worktree_has_its_own_branch(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--quiet", "-b", "hotfix", str(tmp_path / "hotfix"))
    git(tmp_path / "hotfix", "commit", "--quiet", "--allow-empty", "--message", "two")

    assert checkout(tmp_path / "hotfix") == ("hotfix", git(tmp_path / "hotfix", "rev-parse", "HEAD"))


def test_submodule_is_a_repository_of_its_own(repository: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "--quiet", "--initial-branch", "main")
    git(library, "commit", "--quiet", "--allow-empty", "--message", "library")
    git(repository, "submodule", "--quiet", "add", str(library), "vendored")

    assert checkout(repository / "vendored") == ("main", git(library, "rev-parse", "HEAD"))


def test_repository_without_a_commit_has_only_a_branch(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")

    assert checkout(tmp_path) == ("main", "")


def test_refs_that_are_no_files_say_nothing(repository: Path) -> None:
    # What a repository in the reftable format has in this file, for readers that only know files.
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/.invalid\n", encoding="ascii")

    assert checkout(repository) == ("", "")


def test_address_of_origin_loses_its_password(repository: Path) -> None:
    git(repository, "remote", "add", "upstream", "https://example.org/other.git")
    git(repository, "remote", "add", "origin", "https://me:secret@example.org/acme/shop.git")

    assert describe(repository, {}).repository == "https://example.org/acme/shop.git"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
        pytest.param(b"ref: refs/heads/\x00", id="null byte"),
        pytest.param(b"ref: refs/heads/../../../../../etc/hostname", id="a way out"),
        pytest.param(b"x" * 100_000, id="large"),
    ],
)
def test_broken_head_never_fails_and_names_no_commit(repository: Path, content: bytes) -> None:
    (repository / ".git" / "HEAD").write_bytes(content)

    assert describe(repository, {}).commit == ""


@pytest.mark.parametrize("content", [b"gitdir: /nowhere", b"gitdir: ", b"no link", b"gitdir: \x00"])
def test_link_that_leads_nowhere_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".git").write_bytes(content)

    assert checkout(tmp_path) == ("", "")


def test_outside_a_repository_only_python_and_platform_are_known(tmp_path: Path) -> None:
    found = describe(tmp_path, {})

    assert found == Environment(python=found.python, platform=found.platform)
    assert found.python.startswith("3.")
    assert found.platform


def test_ci_system_has_the_last_word(repository: Path) -> None:
    environ = {
        "GITLAB_CI": "true",
        "CI_COMMIT_BRANCH": "main",
        "CI_COMMIT_SHA": "a" * 40,
        "CI_PROJECT_PATH": "acme/shop",
    }

    found = describe(repository, environ)

    assert (found.branch, found.commit, found.repository) == ("main", "a" * 40, "acme/shop")


def test_checkout_fills_in_what_the_ci_system_does_not_say(repository: Path) -> None:
    found = describe(repository, {"JENKINS_URL": "https://ci.example.org/"})

    assert (found.provider, found.branch, found.commit) == (
        "jenkins",
        "feature/pay",
        git(repository, "rev-parse", "HEAD"),
    )


def test_branch_of_a_merge_is_not_taken_for_the_pull_request_s(repository: Path) -> None:
    environ = {"CIRCLECI": "true", "CIRCLE_BRANCH": "pull/12", "CIRCLE_PR_NUMBER": "12"}

    found = describe(repository, environ)

    assert (found.branch, found.pull_request) == ("", "12")


def test_run_records_where_it_took_place(pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for switch in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TF_BUILD", "BUILDKITE", "JENKINS_URL"):
        monkeypatch.delenv(switch, raising=False)
    pytester.makepyfile("import pytest\n@pytest.mark.unit\ndef test_one(): pass")
    git(pytester.path, "init", "--quiet", "--initial-branch", "feature/pay")
    git(pytester.path, "commit", "--quiet", "--allow-empty", "--message", "one")

    ran = run()

    assert ran.document is not None
    found = ran.document["results"]["environment"]
    assert found["commit"] == git(pytester.path, "rev-parse", "HEAD")
