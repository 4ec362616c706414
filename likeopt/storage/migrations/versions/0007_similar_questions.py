"""Whose question an answer was written for"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("messages", sa.Column("cached_question", sa.Text(), nullable=True))
