"""Which generation an answer is of, and since when it was known"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("messages", sa.Column("generation", sa.String(64), nullable=True))
    op.add_column("messages", sa.Column("cached_at", sa.BigInteger(), nullable=True))
