"""Addresses that an administrator has chosen or confirmed"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "users",
        sa.Column("email_confirmed", sa.Integer(), nullable=False, server_default="0"),
    )
    # Which of the others typed their addresses themselves is not known any more.
    op.execute(
        "UPDATE users SET email_confirmed = 1 WHERE id = 'local' OR oidc_subject IS NOT NULL"
    )
