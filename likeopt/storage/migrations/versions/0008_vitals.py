"""How fast the page is for those who use it"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "vitals",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=8), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("page", sa.String(length=16), nullable=False),
        sa.Column("screen", sa.String(length=8), nullable=False),
        sa.Column("way", sa.String(length=16), nullable=False),
        sa.Column("operation", sa.String(length=120), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("target", sa.String(length=100), nullable=True),
        sa.Column("parts", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vitals")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_vitals_at"), "vitals", ["at"], unique=False)
    op.create_index(op.f("ix_vitals_name_at"), "vitals", ["name", "at"], unique=False)
