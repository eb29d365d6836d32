"""A later version of ViralForge: more columns, another table, and a different unique constraint on trends."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Enum,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from . import viralforge


def metadata(dialect):
    """Returns the tables. On PostgreSQL the status words are native enums."""
    tables = MetaData()
    for table in viralforge.Base.metadata.sorted_tables:
        table.to_metadata(tables)
    trends, scripts = tables.tables["trends"], tables.tables["scripts"]
    trends.constraints = {rule for rule in trends.constraints if not isinstance(rule, UniqueConstraint)}
    trends.append_constraint(UniqueConstraint("platform", "external_id", name="uq_platform_external_id"))
    for column in (
        Column("description", Text),
        Column("duration", Integer),
        Column("sound_name", String(500)),
        Column("posted_at", DateTime(timezone=True)),
        Column("engagement_velocity", Float),
    ):
        trends.append_column(column)
    for column in (Column("hook_text", String(500)), Column("aspect_ratio", String(10), default="9:16")):
        scripts.append_column(column)
    Table("trend_reports", tables, Column("id", Integer, primary_key=True), Column("raw_report", viralforge.Document))
    if dialect == "postgresql":
        for table, name, words in (
            ("jobs", "jobstatus", ("pending", "running", "completed", "failed")),
            ("trends", "platform", ("tiktok", "youtube")),
            ("videos", "videostatus", ("GENERATED", "APPROVED", "REJECTED", "PUBLISHED")),
        ):
            tables.tables[table].c["platform" if table == "trends" else "status"].type = Enum(
                *words, name=name, metadata=tables
            )
        for name in ("views", "likes", "comments", "shares"):
            trends.c[name].type = BigInteger()
    return tables
