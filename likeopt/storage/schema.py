"""Whether a SQLite database is ready for use, found out without loading SQLAlchemy and Alembic.

Those cost 0.6 s of CPU and 30 MB, which only a new database or a new version of the schema is
worth.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest() -> str:
    """The newest revision of the schema: file names begin with their revision."""
    return max(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))


def is_prepared(path: Path, *, used: bool = False) -> bool:
    """Whether the database has the newest schema and what `bootstrap` adds.

    With `used`, also whether its library ever held anything.
    """
    if not path.exists():
        return False
    query = (
        "SELECT version_num, (SELECT count(*) FROM facts WHERE name = 'database_id'),"
        " (SELECT value FROM counters WHERE name = 'library') FROM alembic_version"
    )
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute(query).fetchall()
    except sqlite3.Error:
        return False
    if len(rows) != 1:
        return False
    version, bootstrapped, revision = rows[0]
    return version == newest() and bool(bootstrapped) and (not used or bool(revision))


def is_set_up(path: Path, *, oidc: bool) -> bool:
    """Whether an administrator can sign in, so that no link is needed to become one who can: not
    `people.needs_setup`, without the time that opening the database takes."""
    query = (
        "SELECT count(*) FROM users WHERE (id = 'local' OR (role = 'admin' AND disabled = 0))"
        " AND (password_hash IS NOT NULL OR (? AND oidc_subject IS NOT NULL))"
    )
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            return bool(connection.execute(query, (oidc,)).fetchone()[0])
    except sqlite3.Error:
        return False
