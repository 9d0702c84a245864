"""The tables of the store, and how those of an earlier version become today's.

A part that keeps something adds its tables at the end of `MIGRATIONS`; what stands there is never changed, because
stores with it exist.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from pytest_sergas.engine import known_by_alert

Step = str | Callable[[sqlite3.Connection], None]

# Says that an SQLite file is ours ("SRGS"), so that nobody else's is touched.
APPLICATION_ID = 0x53524753

MIGRATIONS: tuple[tuple[int, tuple[Step, ...]], ...] = (
    (
        1,
        (
            # One row for each pushed group; `families` is JSON, see groups.py.
            """
            CREATE TABLE pushed_groups (
                path TEXT PRIMARY KEY NOT NULL,
                pushed_s REAL NOT NULL,
                failed_s REAL NOT NULL,
                renewed_s REAL NOT NULL,
                ttl_s REAL,
                families BLOB NOT NULL
            )
            """,
        ),
    ),
    (
        2,
        (
            # A stretch of time during which a component had one status; seconds since the epoch.
            """
            CREATE TABLE health_spans (
                name TEXT NOT NULL,
                status TEXT NOT NULL,
                from_s REAL NOT NULL,
                until_s REAL NOT NULL,
                PRIMARY KEY (name, from_s)
            ) WITHOUT ROWID
            """,
        ),
    ),
    (
        3,
        (
            # A test run: figures, condensed tests and document; see runs.py.
            """
            CREATE TABLE runs (
                run_id TEXT PRIMARY KEY NOT NULL,
                received_s REAL NOT NULL,
                project TEXT NOT NULL,
                branch TEXT NOT NULL,
                commit_id TEXT NOT NULL,
                started_s REAL,
                finished_s REAL,
                by_status TEXT NOT NULL,
                flaky INTEGER NOT NULL,
                digest BLOB NOT NULL,
                tests BLOB NOT NULL,
                document BLOB NOT NULL
            )
            """,
        ),
    ),
    (
        4,
        (
            # Alerts that are pending or firing; times in seconds since the epoch, labels as JSON, see alert_rows.py.
            """
            CREATE TABLE alerts (
                rule TEXT NOT NULL,
                labels TEXT NOT NULL,
                state TEXT NOT NULL,
                body TEXT NOT NULL,
                PRIMARY KEY (rule, labels)
            ) WITHOUT ROWID
            """,
            # What is told together, and what each channel knows about each alert of it.
            """
            CREATE TABLE alert_groups (
                key TEXT PRIMARY KEY NOT NULL,
                route TEXT NOT NULL,
                labels TEXT NOT NULL,
                flushed_s REAL
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE alert_entries (
                key TEXT NOT NULL,
                labels TEXT NOT NULL,
                body TEXT NOT NULL,
                PRIMARY KEY (key, labels)
            ) WITHOUT ROWID
            """,
            # The outbox; `body` is empty once nobody needs it any more.
            """
            CREATE TABLE notifications (
                id INTEGER PRIMARY KEY,
                key TEXT NOT NULL UNIQUE,
                channel TEXT NOT NULL,
                state TEXT NOT NULL,
                made_s REAL NOT NULL,
                finished_s REAL,
                attempts INTEGER NOT NULL,
                result TEXT NOT NULL,
                body TEXT NOT NULL
            )
            """,
            "CREATE INDEX notifications_state ON notifications (state)",
            # What happened to alerts: transitions, and whom they were told or why not.
            """
            CREATE TABLE alert_history (
                id INTEGER PRIMARY KEY,
                at_s REAL NOT NULL,
                event TEXT NOT NULL,
                why TEXT NOT NULL,
                detail TEXT NOT NULL,
                source TEXT NOT NULL,
                name TEXT NOT NULL,
                level TEXT NOT NULL,
                labels TEXT NOT NULL,
                value REAL,
                channel TEXT NOT NULL,
                key TEXT NOT NULL
            )
            """,
            """
            CREATE TABLE silences (
                id TEXT PRIMARY KEY NOT NULL,
                body TEXT NOT NULL
            ) WITHOUT ROWID
            """,
        ),
    ),
    (
        5,
        (
            # Where the CI shows the run, which part of a suite it is, and its figures by type as JSON; see past.py.
            "ALTER TABLE runs ADD COLUMN build_url TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE runs ADD COLUMN shard TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE runs ADD COLUMN split TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE runs ADD COLUMN types TEXT NOT NULL DEFAULT '{}'",
        ),
    ),
    (6, (known_by_alert.migrate,)),
    (
        7,
        (
            # What was reported when a stretch began, and the other component that it was put down to.
            "ALTER TABLE health_spans ADD COLUMN cause TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE health_spans ADD COLUMN due_to TEXT NOT NULL DEFAULT ''",
        ),
    ),
    (
        8,
        (
            # Series of which trends are kept; labels as JSON, `seen_s` is when one was measured last.
            """
            CREATE TABLE trend_series (
                id INTEGER PRIMARY KEY,
                name TEXT NOT NULL,
                labels TEXT NOT NULL,
                seen_s REAL NOT NULL
            )
            """,
            # An hour of one of them in five-minute buckets; see trend_rows.py.
            "CREATE TABLE trend_hours (key INTEGER PRIMARY KEY, buckets BLOB NOT NULL)",
        ),
    ),
)
LATEST = MIGRATIONS[-1][0]


def version(connection: sqlite3.Connection) -> int:
    """Return the version of the tables that are there; 0 for an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether the file is empty or a store."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application_id == APPLICATION_ID or (application_id == 0 and tables == 0):
        return True
    # The number alone may be damaged: nobody else has all these tables.
    return version(connection) == LATEST and is_as_made(connection)


def is_as_made(connection: sqlite3.Connection) -> bool:
    """Whether the tables have the columns that those of their version have; of other versions than `LATEST`, yes."""
    if version(connection) != LATEST:
        return True
    made = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(made)
        return _columns(connection) == _columns(made)
    finally:
        made.close()


def _columns(connection: sqlite3.Connection) -> set[tuple[object, ...]]:
    query = (
        'SELECT t.name, c.name, c.type, c."notnull", c.pk FROM sqlite_schema AS t, pragma_table_info(t.name) AS c '
        "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
    )
    return set(connection.execute(query))


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to `LATEST`: whole, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        present = version(connection)
        for number, steps in MIGRATIONS:
            if number > present:
                for step in steps:
                    connection.execute(step) if isinstance(step, str) else step(connection)
        connection.execute(f"PRAGMA user_version = {LATEST}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
