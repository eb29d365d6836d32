"""channel-manager: republishes videos from elsewhere on channels, through a queue."""

import uuid
from datetime import datetime, timezone
from types import SimpleNamespace

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, ForeignKey, Integer, String, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import declarative_base, relationship


def original_models():
    """Returns the models as they were written."""
    return models(String(36), JSON(), DateTime(), datetime.utcnow)


def for_postgres():
    """Returns the models with the types that viraldb's columns have on PostgreSQL."""
    return models(Uuid(as_uuid=False), JSONB(), DateTime(timezone=True), lambda: datetime.now(timezone.utc))


def models(Id, Document, Time, now):
    Base = declarative_base()

    def own_id():
        return Column(Id, primary_key=True, default=lambda: str(uuid.uuid4()))

    def created():
        return Column(Time, nullable=False, default=now)

    def updated():
        return Column(Time, nullable=False, default=now, onupdate=now)

    class TransformationPreset(Base):
        __tablename__ = "transformation_presets"

        id = own_id()
        name = Column(String(255), nullable=False)
        description = Column(Text)
        parameters = Column(Document, nullable=False)
        is_default = Column(Boolean, nullable=False, default=False)
        is_active = Column(Boolean, nullable=False, default=True)
        created_at = created()
        updated_at = updated()

    class Music(Base):
        __tablename__ = "music"

        id = own_id()
        name = Column(String(255), nullable=False)
        artist = Column(String(255))
        spotify_track_id = Column(String(100), unique=True)
        spotify_track_url = Column(String(500))
        file_path = Column(String(1000))
        file_size = Column(BigInteger)
        duration = Column(Integer)
        metadata_info = Column("metadata", Document)
        usage_count = Column(Integer, nullable=False, default=0)
        is_active = Column(Boolean, nullable=False, default=True)
        created_at = created()
        updated_at = updated()

    class Channel(Base):
        __tablename__ = "channels"

        id = own_id()
        name = Column(String(255), nullable=False)
        youtube_channel_id = Column(String(255), nullable=False, unique=True)
        youtube_channel_url = Column(String(500), nullable=False)
        is_active = Column(Boolean, nullable=False, default=False)
        api_credentials_encrypted = Column(Text, nullable=False)
        posting_schedule = Column(Document, nullable=False)
        content_filters = Column(Document, nullable=False)
        metadata_template = Column(Document, nullable=False)
        effect_preset_id = Column(Id, ForeignKey("transformation_presets.id", ondelete="SET NULL"))
        github_repo_url = Column(String(500))
        github_secret_key_encrypted = Column(Text)
        phase2_enabled = Column(Boolean, nullable=False, default=False)
        created_at = created()
        updated_at = updated()
        last_publication_at = Column(Time)

        preset = relationship("TransformationPreset")
        videos = relationship("Video", back_populates="channel", cascade="all, delete-orphan")
        jobs = relationship("VideoProcessingJob", back_populates="channel", cascade="all, delete-orphan")
        statistics = relationship("ChannelStatistics", back_populates="channel", passive_deletes=True)

    class Video(Base):
        __tablename__ = "videos"

        id = own_id()
        channel_id = Column(Id, ForeignKey("channels.id", ondelete="CASCADE"), nullable=False)
        source_url = Column(String(1000), nullable=False)
        source_title = Column(String(500), nullable=False)
        source_creator = Column(String(255))
        source_platform = Column(String(100), nullable=False)
        scraped_at = created()
        download_status = Column(String(50), nullable=False, default="pending")
        download_url = Column(String(1000))
        download_size = Column(BigInteger)
        download_duration = Column(Integer)
        download_resolution = Column(String(50))
        transformation_status = Column(String(50), nullable=False, default="pending")
        transformation_preset_id = Column(Id, ForeignKey("transformation_presets.id", ondelete="SET NULL"))
        transformation_params = Column(Document)
        transformed_url = Column(String(1000))
        transformed_size = Column(BigInteger)
        processing_started_at = Column(Time)
        processing_completed_at = Column(Time)
        processing_duration = Column(Integer)
        publication_status = Column(String(50), nullable=False, default="pending")
        scheduled_publication_at = Column(Time)
        published_at = Column(Time)
        youtube_video_id = Column(String(50))
        youtube_video_url = Column(String(500))
        final_title = Column(String(500))
        final_description = Column(Text)
        final_tags = Column(Document)
        music_replaced = Column(Boolean, nullable=False, default=False)
        music_track_id = Column(Id, ForeignKey("music.id", ondelete="SET NULL"))
        metadata_info = Column("metadata", Document, nullable=False, default=dict)
        created_at = created()
        updated_at = updated()

        channel = relationship("Channel", back_populates="videos")
        preset = relationship("TransformationPreset")
        music = relationship("Music")
        jobs = relationship("VideoProcessingJob", back_populates="video", cascade="all, delete-orphan")
        statistics = relationship("VideoStatistics", back_populates="video", passive_deletes=True)

    class VideoProcessingJob(Base):
        __tablename__ = "video_processing_jobs"

        id = own_id()
        video_id = Column(Id, ForeignKey("videos.id", ondelete="CASCADE"), nullable=False)
        channel_id = Column(Id, ForeignKey("channels.id", ondelete="CASCADE"), nullable=False)
        job_type = Column(String(50), nullable=False)
        status = Column(String(50), nullable=False, default="queued")
        priority = Column(Integer, nullable=False, default=0)
        attempts = Column(Integer, nullable=False, default=0)
        max_attempts = Column(Integer, nullable=False, default=3)
        error_message = Column(Text)
        error_details = Column(Document)
        queued_at = created()
        started_at = Column(Time)
        completed_at = Column(Time)
        duration = Column(Integer)
        github_workflow_run_id = Column(String(100))
        created_at = created()
        updated_at = updated()

        video = relationship("Video", back_populates="jobs")
        channel = relationship("Channel", back_populates="jobs")

    class ChannelStatistics(Base):
        __tablename__ = "channel_statistics"

        id = own_id()
        channel_id = Column(Id, ForeignKey("channels.id", ondelete="CASCADE"), nullable=False)
        subscriber_count = Column(BigInteger, nullable=False, default=0)
        view_count = Column(BigInteger, nullable=False, default=0)
        video_count = Column(Integer, nullable=False, default=0)
        total_views = Column(BigInteger, nullable=False, default=0)
        total_videos = Column(Integer, nullable=False, default=0)
        timestamp = created()
        created_at = created()

        channel = relationship("Channel", back_populates="statistics")

    class VideoStatistics(Base):
        __tablename__ = "video_statistics"

        id = own_id()
        video_id = Column(Id, ForeignKey("videos.id", ondelete="CASCADE"), nullable=False)
        view_count = Column(BigInteger, nullable=False, default=0)
        like_count = Column(BigInteger, nullable=False, default=0)
        comment_count = Column(BigInteger, nullable=False, default=0)
        timestamp = created()
        created_at = created()

        video = relationship("Video", back_populates="statistics")

    class SystemConfiguration(Base):
        __tablename__ = "system_configuration"

        key = Column(String(255), primary_key=True)
        value = Column(Document, nullable=False)
        description = Column(Text)
        encrypted = Column(Boolean, nullable=False, default=False)
        created_at = created()
        updated_at = updated()

    return SimpleNamespace(now=now, **{name: kind for name, kind in locals().items() if isinstance(kind, type)})
