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
    op.execute("DELETE FROM facts WHERE name = 'words_applied'")
