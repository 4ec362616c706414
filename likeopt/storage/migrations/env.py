"""Alembic environment: runs on the connection that `likeopt.storage.db.migrate` hands over."""

from alembic import context

from likeopt.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
)
context.run_migrations()
