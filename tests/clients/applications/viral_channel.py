"""viral_channel: compilations of discovered videos, in one SQLite file created by create_all."""

from datetime import datetime
from typing import Any, Optional

from sqlalchemy import JSON, Boolean, DateTime, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class DiscoveredVideo(Base):
    __tablename__ = "discovered_videos"
    __table_args__ = (
        Index("idx_discovered_videos_niche", "niche", "discovered_at"),
        Index("idx_discovered_videos_processed", "processed"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    video_id: Mapped[str] = mapped_column(String)  # no version of the application made it unique
    title: Mapped[Optional[str]] = mapped_column(String)
    channel_name: Mapped[str] = mapped_column(String)
    channel_id: Mapped[str] = mapped_column(String)
    url: Mapped[str] = mapped_column(String)
    category_id: Mapped[Optional[int]] = mapped_column(Integer)
    duration_seconds: Mapped[Optional[int]] = mapped_column(Integer)
    view_count: Mapped[Optional[int]] = mapped_column(Integer)
    like_count: Mapped[Optional[int]] = mapped_column(Integer)
    comment_count: Mapped[Optional[int]] = mapped_column(Integer)
    view_velocity: Mapped[Optional[float]] = mapped_column(Float)
    viral_score: Mapped[Optional[float]] = mapped_column(Float)
    niche: Mapped[str] = mapped_column(String)
    discovery_source: Mapped[Optional[str]] = mapped_column(String)
    discovered_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)
    processed: Mapped[int] = mapped_column(Integer, default=0)
    content_id_risk: Mapped[str] = mapped_column(String, default="unknown")

    clips: Mapped[list["Clip"]] = relationship(back_populates="video")


class PipelineRun(Base):
    __tablename__ = "pipeline_runs"
    __table_args__ = (
        Index("idx_pipeline_runs_status", "status"),
        Index("idx_pipeline_runs_niche", "niche", "cycle_start"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    niche: Mapped[str] = mapped_column(String)
    cycle_start: Mapped[datetime] = mapped_column(DateTime)
    cycle_end: Mapped[datetime] = mapped_column(DateTime)
    status: Mapped[str] = mapped_column(String, default="pending")
    started_at: Mapped[Optional[datetime]] = mapped_column(DateTime)
    completed_at: Mapped[Optional[datetime]] = mapped_column(DateTime)
    video_file_path: Mapped[Optional[str]] = mapped_column(String)
    video_duration_seconds: Mapped[Optional[float]] = mapped_column(Float)
    video_file_size_bytes: Mapped[Optional[int]] = mapped_column(Integer)
    youtube_video_id: Mapped[Optional[str]] = mapped_column(String)
    youtube_url: Mapped[Optional[str]] = mapped_column(String)
    error_message: Mapped[Optional[str]] = mapped_column(Text)
    retry_count: Mapped[int] = mapped_column(Integer, default=0)

    clips: Mapped[list["Clip"]] = relationship(back_populates="run", order_by="Clip.rank_position")
    scripts: Mapped[list["Script"]] = relationship(back_populates="run")
    shorts: Mapped[list["Short"]] = relationship(back_populates="run")


class Clip(Base):
    __tablename__ = "clips"
    __table_args__ = (Index("idx_clips_pipeline", "pipeline_run_id"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pipeline_run_id: Mapped[int] = mapped_column(ForeignKey("pipeline_runs.id"))
    discovered_video_id: Mapped[int] = mapped_column(ForeignKey("discovered_videos.id"))
    rank_position: Mapped[int] = mapped_column(Integer)
    start_time_seconds: Mapped[float] = mapped_column(Float)
    end_time_seconds: Mapped[float] = mapped_column(Float)
    clip_duration_seconds: Mapped[float] = mapped_column(Float)
    extraction_method: Mapped[Optional[str]] = mapped_column(String)
    clip_file_path: Mapped[Optional[str]] = mapped_column(String)
    content_id_risk: Mapped[str] = mapped_column(String, default="unknown")

    run: Mapped[PipelineRun] = relationship(back_populates="clips")
    video: Mapped[DiscoveredVideo] = relationship(back_populates="clips")


class Script(Base):
    __tablename__ = "scripts"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pipeline_run_id: Mapped[int] = mapped_column(ForeignKey("pipeline_runs.id"))
    opening_text: Mapped[Optional[str]] = mapped_column(Text)
    closing_text: Mapped[Optional[str]] = mapped_column(Text)
    full_script_json: Mapped[Optional[Any]] = mapped_column(JSON)
    total_char_count: Mapped[Optional[int]] = mapped_column(Integer)
    estimated_duration_seconds: Mapped[Optional[float]] = mapped_column(Float)
    llm_model_used: Mapped[Optional[str]] = mapped_column(String)
    generated_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)

    run: Mapped[PipelineRun] = relationship(back_populates="scripts")


class TtsAudio(Base):
    __tablename__ = "tts_audio"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pipeline_run_id: Mapped[int] = mapped_column(ForeignKey("pipeline_runs.id"))
    engine_used: Mapped[str] = mapped_column(String)
    voice_profile: Mapped[Optional[str]] = mapped_column(String)
    audio_file_path: Mapped[Optional[str]] = mapped_column(String)
    duration_seconds: Mapped[Optional[float]] = mapped_column(Float)
    generated_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)


class Short(Base):
    __tablename__ = "shorts"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pipeline_run_id: Mapped[int] = mapped_column(ForeignKey("pipeline_runs.id"))
    clip_id: Mapped[Optional[int]] = mapped_column(ForeignKey("clips.id"))
    file_path: Mapped[Optional[str]] = mapped_column(String)
    duration_seconds: Mapped[Optional[float]] = mapped_column(Float)
    title: Mapped[Optional[str]] = mapped_column(String)
    description: Mapped[Optional[str]] = mapped_column(Text)
    youtube_video_id: Mapped[Optional[str]] = mapped_column(String)
    youtube_url: Mapped[Optional[str]] = mapped_column(String)
    status: Mapped[str] = mapped_column(String, default="pending")
    uploaded_at: Mapped[Optional[datetime]] = mapped_column(DateTime)

    run: Mapped[PipelineRun] = relationship(back_populates="shorts")
    clip: Mapped[Optional[Clip]] = relationship()


class Analytics(Base):
    __tablename__ = "analytics"
    __table_args__ = (Index("idx_analytics_video", "youtube_video_id", "measured_at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    youtube_video_id: Mapped[str] = mapped_column(String)
    measured_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)
    view_count: Mapped[Optional[int]] = mapped_column(Integer)
    like_count: Mapped[Optional[int]] = mapped_column(Integer)
    comment_count: Mapped[Optional[int]] = mapped_column(Integer)
    average_view_duration_seconds: Mapped[Optional[float]] = mapped_column(Float)
    click_through_rate: Mapped[Optional[float]] = mapped_column(Float)
    subscriber_gain: Mapped[Optional[int]] = mapped_column(Integer)
    estimated_revenue_usd: Mapped[Optional[float]] = mapped_column(Float)


class ReviewLog(Base):
    __tablename__ = "review_log"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pipeline_run_id: Mapped[int] = mapped_column(ForeignKey("pipeline_runs.id"))
    sent_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)
    responded_at: Mapped[Optional[datetime]] = mapped_column(DateTime)
    action: Mapped[Optional[str]] = mapped_column(String)
    response_detail: Mapped[Optional[str]] = mapped_column(String)
    auto_held: Mapped[bool] = mapped_column(Boolean, default=False)


class ConfigOverride(Base):
    __tablename__ = "config_overrides"

    key: Mapped[str] = mapped_column(String, primary_key=True)
    value: Mapped[str] = mapped_column(String)
    updated_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)
    updated_by: Mapped[str] = mapped_column(String, default="system")


class ErrorLog(Base):
    __tablename__ = "error_log"
    __table_args__ = (Index("idx_error_log_module", "module", "occurred_at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    pipeline_run_id: Mapped[Optional[int]] = mapped_column(ForeignKey("pipeline_runs.id"))
    module: Mapped[str] = mapped_column(String)
    error_type: Mapped[str] = mapped_column(String)
    error_message: Mapped[str] = mapped_column(Text)
    stack_trace: Mapped[Optional[str]] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(DateTime, default=datetime.utcnow)
    resolved: Mapped[bool] = mapped_column(Boolean, default=False)
