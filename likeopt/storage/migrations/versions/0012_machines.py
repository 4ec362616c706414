"""How far the index of words of each machine has followed the library"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "machines",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("words_applied", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
    )
    # Until a machine reports, all that was found before is found.
    op.execute(
        "INSERT INTO machines (name, words_applied, seen_at)"
        " SELECT 'before', CAST(value AS BIGINT), 0 FROM facts WHERE name = 'words_applied'"
    )
    op.execute("DELETE FROM facts WHERE name = 'words_applied'")
