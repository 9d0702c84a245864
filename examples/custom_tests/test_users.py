"""The decorators of the specification: a type, a budget, and what has to be there."""

from __future__ import annotations

from pytest_sergas import TestType, integration_test, performance_test, test
from users import Users


@test(test_type=TestType.UNIT)
async def test_user_creation() -> bool:
    """A coroutine needs no further marker, and may return whether it succeeded."""
    user = Users().create("test@example.com")
    return user.email == "test@example.com"


@performance_test(max_duration=2.0, max_memory_mb=100.0)
@test(test_type=TestType.PERFORMANCE)
def test_many_users_are_created_in_time() -> None:
    users = Users()
    for number in range(1_000):
        users.create(f"{number}@example.com")


@integration_test(dependencies=["database"])
@test(test_type=TestType.INTEGRATION)
def test_user_is_found_again() -> None:
    users = Users()
    user = users.create("test@example.com")

    assert users.find(user.id) == user
