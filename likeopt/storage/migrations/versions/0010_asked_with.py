"""What narrowed a question, so that it can be asked ahead as it was asked"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("messages", sa.Column("asked_with", sa.Text(), nullable=True))
