"""Adds metadata to videos and music, and a table of schedules, which viraldb does not have.

SQLAlchemy reserves the attribute `metadata`, so the models use `metadata_info`. The column is named metadata_info on
SQLite and metadata on PostgreSQL.
"""

import sqlalchemy as sa
from alembic import op

revision = "002_metadata"
down_revision = "001_initial"
branch_labels = None
depends_on = None


def metadata():
    return "metadata" if op.get_bind().dialect.name == "postgresql" else "metadata_info"


def upgrade():
    for table in ("videos", "music"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column(metadata(), sa.JSON(), nullable=True))
    op.create_table(
        "publication_schedules",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("channel_id", sa.String(36), sa.ForeignKey("channels.id", ondelete="CASCADE"), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(), nullable=False),
    )


def downgrade():
    op.drop_table("publication_schedules")
    for table in ("videos", "music"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(metadata())
