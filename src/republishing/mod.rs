//! Republishing: source videos are downloaded, transformed and published on channels.

mod channel;
mod channel_statistics;
mod music;
mod system_configuration;
mod transformation_preset;
mod video;
mod video_processing_job;
mod video_statistics;

pub use crate::types::{
    ChannelId, ChannelStatisticsId, MusicId, TransformationPresetId, VideoId, VideoProcessingJobId,
    VideoStatisticsId,
};
pub use channel::{Channel, ChannelChanges, ChannelContents, ChannelFilter, NewChannel};
pub use channel_statistics::{
    ChannelStatistics, ChannelStatisticsChanges, ChannelStatisticsFilter, NewChannelStatistics,
};
pub use music::{Music, MusicChanges, MusicFilter, NewMusic};
pub use system_configuration::{
    NewSystemConfiguration, SystemConfiguration, SystemConfigurationChanges, SystemConfigurationFilter,
};
pub use transformation_preset::{
    NewTransformationPreset, TransformationPreset, TransformationPresetChanges, TransformationPresetFilter,
    TransformationPresetUses,
};
pub use video::{
    DownloadStatus, NewVideo, PublicationStatus, TransformationStatus, Video, VideoChanges, VideoFilter,
    VideoMove, VideoStatus,
};
pub use video_processing_job::{
    JobStatus, JobType, NewVideoProcessingJob, VideoProcessingJob, VideoProcessingJobChanges,
    VideoProcessingJobFilter,
};
pub use video_statistics::{
    NewVideoStatistics, VideoStatistics, VideoStatisticsChanges, VideoStatisticsFilter,
};
