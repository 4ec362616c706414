"""Which counters were raised since a look"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "counters", sa.Column("changed", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_index(op.f("ix_counters_changed"), "counters", ["changed"], unique=False)
