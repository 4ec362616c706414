"""Migrations lead to the schema that the code knows, on every database."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext

from likeopt.config import Config
from likeopt.storage import db, people
from likeopt.storage.db import Database
from likeopt.storage.tables import metadata


def test_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    def differences(c: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(c), metadata))

    assert database.read(differences) == []


def test_addresses_of_before_are_confirmed_only_where_that_is_known(config: Config) -> None:
    database = Database(config.database)
    script = AlembicConfig()
    script.set_main_option("script_location", str(Path(db.__file__).parent / "migrations"))

    def upgrade(c: sa.Connection, revision: str) -> None:
        script.attributes["connection"] = c
        command.upgrade(script, revision)

    def before(c: sa.Connection) -> None:
        upgrade(c, "0003")
        for id_, subject in (("local", "NULL"), ("typed", "NULL"), ("linked", "'issuer 1'")):
            c.exec_driver_sql(
                "INSERT INTO users (id, name, role, created_at, email, oidc_subject)"
                f" VALUES ('{id_}', 'N', 'member', 0, '{id_}@example.org', {subject})"
            )

    database.write(before)
    database.write(lambda c: upgrade(c, "head"))
    known = {one.id: one.email_confirmed for one in database.read(people.list_)}
    assert known == {"local": True, "typed": False, "linked": True}
    database.close()
