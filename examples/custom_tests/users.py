"""Users in a database, which is a file here."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with an address."""

    id: int
    email: str


class Users:
    """All of them."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:")
        self._connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE)")

    def create(self, email: str) -> User:
        cursor = self._connection.execute("INSERT INTO users (email) VALUES (?)", (email,))
        return User(int(cursor.lastrowid or 0), email)

    def find(self, user_id: int) -> User:
        [email] = self._connection.execute("SELECT email FROM users WHERE id = ?", (user_id,)).fetchone()
        return User(user_id, email)


def database_is_there() -> str:
    """Say what is checked before the tests that need the database."""
    return f"SQLite {sqlite3.sqlite_version}"
