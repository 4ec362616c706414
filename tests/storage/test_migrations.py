"""Migrations lead to the schema that the code knows, on every database."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from likeopt.storage.db import Database
from likeopt.storage.tables import metadata


def test_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    def differences(c: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(c), metadata))

    assert database.read(differences) == []
