"""ViralForge: videos generated from trends, on PostgreSQL or SQLite."""

from sqlalchemy import JSON, Column, DateTime, Float, ForeignKey, Integer, String, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import declarative_base, relationship

Base = declarative_base()
Document = JSON().with_variant(JSONB(), "postgresql")


class Job(Base):
    __tablename__ = "jobs"

    id = Column(Integer, primary_key=True)
    status = Column(String(50), nullable=False, default="pending")
    stage = Column(String(50))
    theme = Column(String(255))
    created_at = Column(DateTime(timezone=True), server_default=func.now())
    updated_at = Column(DateTime(timezone=True), onupdate=func.now())
    error_message = Column(Text)
    extra_data = Column("metadata", Document)

    scripts = relationship("Script", back_populates="job", order_by="Script.id")
    videos = relationship("Video", back_populates="job", order_by="Video.id")


class Trend(Base):
    __tablename__ = "trends"

    id = Column(Integer, primary_key=True)
    platform = Column(String(50), nullable=False)
    external_id = Column(String(255), nullable=False, unique=True)
    title = Column(String(500))
    creator = Column(String(255))
    hashtags = Column(Document)
    views = Column(Integer)
    likes = Column(Integer)
    comments = Column(Integer)
    shares = Column(Integer)
    video_url = Column(String(1000))
    thumbnail_url = Column(String(1000))
    collected_at = Column(DateTime(timezone=True), server_default=func.now())
    extra_data = Column("metadata", Document)


class Script(Base):
    __tablename__ = "scripts"

    id = Column(Integer, primary_key=True)
    job_id = Column(Integer, ForeignKey("jobs.id"))
    video_prompt = Column(Text, nullable=False)
    scenes = Column(Document, nullable=False)
    text_overlays = Column(Document)
    voiceover_script = Column(Text)
    title = Column(String(500))
    description = Column(Text)
    hashtags = Column(Document)
    created_at = Column(DateTime(timezone=True), server_default=func.now())

    job = relationship("Job", back_populates="scripts")


class Video(Base):
    __tablename__ = "videos"

    id = Column(Integer, primary_key=True)
    job_id = Column(Integer, ForeignKey("jobs.id"))
    script_id = Column(Integer, ForeignKey("scripts.id"))
    status = Column(String(50), default="generated")
    file_path = Column(String(1000))
    thumbnail_path = Column(String(1000))
    duration_seconds = Column(Float)
    cost_usd = Column(Float)
    created_at = Column(DateTime(timezone=True), server_default=func.now())
    approved_at = Column(DateTime(timezone=True))
    published_at = Column(DateTime(timezone=True))
    published_url = Column(String(1000))
    extra_data = Column("metadata", Document)

    job = relationship("Job", back_populates="videos")
    script = relationship("Script")
