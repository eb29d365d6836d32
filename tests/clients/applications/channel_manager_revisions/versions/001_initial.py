"""The eight tables.

Statuses are Python enums. SQLite stores their names as text, such as QUEUED. PostgreSQL stores their values in
native enum types, such as queued. The statistics have no foreign keys on PostgreSQL.
"""

import sqlalchemy as sa
from alembic import op

revision = "001_initial"
down_revision = None
branch_labels = None
depends_on = None

WORDS = {
    "downloadstatus": ("pending", "downloading", "downloaded", "failed"),
    "transformationstatus": ("pending", "processing", "transformed", "failed"),
    "publicationstatus": ("pending", "scheduled", "publishing", "published", "failed"),
    "jobtype": ("scrape", "download", "transform", "publish", "music_replace"),
    "jobstatus": ("queued", "processing", "completed", "failed", "retrying"),
}


def words(name):
    on_postgres = op.get_bind().dialect.name == "postgresql"
    return sa.Enum(*(WORDS[name] if on_postgres else map(str.upper, WORDS[name])), name=name)


def id_of(table, ondelete):
    if ondelete is None and op.get_bind().dialect.name == "postgresql":
        return sa.String(36)
    return sa.String(36), sa.ForeignKey(f"{table}.id", ondelete=ondelete or "CASCADE")


def column(name, kind, **more):
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return sa.Column(name, *kinds, nullable=more.pop("nullable", False), **more)


def upgrade():
    false, true = sa.false(), sa.true()
    both_times = lambda: (column("created_at", sa.DateTime()), column("updated_at", sa.DateTime()))
    op.create_table(
        "transformation_presets",
        sa.Column("id", sa.String(36), primary_key=True),
        column("name", sa.String(255)),
        column("description", sa.Text(), nullable=True),
        column("parameters", sa.Text()),
        column("is_default", sa.Boolean(), server_default=false),
        column("is_active", sa.Boolean(), server_default=true),
        *both_times(),
    )
    op.create_table(
        "music",
        sa.Column("id", sa.String(36), primary_key=True),
        column("name", sa.String(255)),
        column("artist", sa.String(255), nullable=True),
        column("spotify_track_id", sa.String(100), nullable=True),
        column("spotify_track_url", sa.String(500), nullable=True),
        column("file_path", sa.String(1000), nullable=True),
        column("file_size", sa.BigInteger(), nullable=True),
        column("duration", sa.Integer(), nullable=True),
        column("usage_count", sa.Integer(), server_default="0"),
        column("is_active", sa.Boolean(), server_default=true),
        *both_times(),
    )
    op.create_table(
        "channels",
        sa.Column("id", sa.String(36), primary_key=True),
        column("name", sa.String(255)),
        column("youtube_channel_id", sa.String(255)),
        column("youtube_channel_url", sa.String(500)),
        column("is_active", sa.Boolean(), server_default=false),
        column("api_credentials_encrypted", sa.Text()),
        column("posting_schedule", sa.Text()),
        column("content_filters", sa.Text()),
        column("metadata_template", sa.Text()),
        column("effect_preset_id", id_of("transformation_presets", "SET NULL"), nullable=True),
        column("github_repo_url", sa.String(500), nullable=True),
        column("github_secret_key_encrypted", sa.Text(), nullable=True),
        column("phase2_enabled", sa.Boolean(), server_default=false),
        *both_times(),
        column("last_publication_at", sa.DateTime(), nullable=True),
    )
    op.create_index("idx_channels_is_active", "channels", ["is_active"])
    op.create_table(
        "videos",
        sa.Column("id", sa.String(36), primary_key=True),
        column("channel_id", id_of("channels", "CASCADE")),
        column("source_url", sa.String(1000)),
        column("source_title", sa.String(500)),
        column("source_creator", sa.String(255), nullable=True),
        column("source_platform", sa.String(100)),
        column("scraped_at", sa.DateTime()),
        column("download_status", words("downloadstatus")),
        column("download_url", sa.String(1000), nullable=True),
        column("download_size", sa.BigInteger(), nullable=True),
        column("download_duration", sa.Integer(), nullable=True),
        column("download_resolution", sa.String(50), nullable=True),
        column("transformation_status", words("transformationstatus")),
        column("transformation_preset_id", id_of("transformation_presets", "SET NULL"), nullable=True),
        column("transformation_params", sa.Text(), nullable=True),
        column("transformed_url", sa.String(1000), nullable=True),
        column("transformed_size", sa.BigInteger(), nullable=True),
        column("processing_started_at", sa.DateTime(), nullable=True),
        column("processing_completed_at", sa.DateTime(), nullable=True),
        column("processing_duration", sa.Integer(), nullable=True),
        column("publication_status", words("publicationstatus")),
        column("scheduled_publication_at", sa.DateTime(), nullable=True),
        column("published_at", sa.DateTime(), nullable=True),
        column("youtube_video_id", sa.String(50), nullable=True),
        column("youtube_video_url", sa.String(500), nullable=True),
        column("final_title", sa.String(500), nullable=True),
        column("final_description", sa.Text(), nullable=True),
        column("final_tags", sa.Text(), nullable=True),
        column("music_replaced", sa.Boolean(), server_default=false),
        column("music_track_id", id_of("music", "SET NULL"), nullable=True),
        *both_times(),
    )
    op.create_index("idx_videos_channel_id", "videos", ["channel_id"])
    op.create_index("idx_videos_publication_status", "videos", ["publication_status"])
    op.create_table(
        "video_processing_jobs",
        sa.Column("id", sa.String(36), primary_key=True),
        column("video_id", id_of("videos", "CASCADE")),
        column("channel_id", id_of("channels", "CASCADE")),
        column("job_type", words("jobtype")),
        column("status", words("jobstatus")),
        column("priority", sa.Integer(), server_default="0"),
        column("attempts", sa.Integer(), server_default="0"),
        column("max_attempts", sa.Integer(), server_default="3"),
        column("error_message", sa.Text(), nullable=True),
        column("error_details", sa.Text(), nullable=True),
        column("queued_at", sa.DateTime()),
        column("started_at", sa.DateTime(), nullable=True),
        column("completed_at", sa.DateTime(), nullable=True),
        column("duration", sa.Integer(), nullable=True),
        column("github_workflow_run_id", sa.String(100), nullable=True),
        *both_times(),
    )
    op.create_index("idx_jobs_priority_status", "video_processing_jobs", ["priority", "status", "queued_at"])
    op.create_table(
        "channel_statistics",
        sa.Column("id", sa.String(36), primary_key=True),
        column("channel_id", id_of("channels", None)),
        column("subscriber_count", sa.BigInteger(), server_default="0"),
        column("view_count", sa.BigInteger(), server_default="0"),
        column("video_count", sa.Integer(), server_default="0"),
        column("total_views", sa.BigInteger(), server_default="0"),
        column("total_videos", sa.Integer(), server_default="0"),
        column("timestamp", sa.DateTime()),
        column("created_at", sa.DateTime()),
    )
    op.create_table(
        "video_statistics",
        sa.Column("id", sa.String(36), primary_key=True),
        column("video_id", id_of("videos", None)),
        column("view_count", sa.BigInteger(), server_default="0"),
        column("like_count", sa.Integer(), server_default="0"),
        column("comment_count", sa.Integer(), server_default="0"),
        column("timestamp", sa.DateTime()),
        column("created_at", sa.DateTime()),
    )
    op.create_table(
        "system_configuration",
        sa.Column("key", sa.String(255), primary_key=True),
        column("value", sa.Text()),
        column("description", sa.Text(), nullable=True),
        column("encrypted", sa.Boolean(), server_default=false),
        *both_times(),
    )


def downgrade():
    for table in (
        "system_configuration",
        "video_statistics",
        "channel_statistics",
        "video_processing_jobs",
        "videos",
        "channels",
        "music",
        "transformation_presets",
    ):
        op.drop_table(table)
