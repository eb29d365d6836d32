//! The three kinds of channels, and the defaults that are their own.

use std::sync::LazyLock;

use serde_json::Value;

use crate::types::portable;

portable! {
    /// The three ways of making videos; the setting `kind` of a channel.
    pub enum ChannelKind {
        Compilation = "compilation",
        Republishing = "republishing",
        Generation = "generation",
    }
}

/// The default that channels of a kind have in place of the one of all.
pub(super) fn default_of(kind: Option<ChannelKind>, name: &str) -> Option<&'static Value> {
    static OF_KINDS: LazyLock<Vec<(ChannelKind, &str, Value)>> = LazyLock::new(|| {
        use ChannelKind::{Compilation, Generation};
        vec![
            // A long video is watched on a large screen; one a day is what a run every six hours can be chosen for.
            (Compilation, "default_min_resolution", "1080p".into()),
            // Generated videos are shorts, and cost no search for sources.
            (Generation, "default_posting_frequency", "twice_daily".into()),
            (Generation, "target_duration_min", 15.into()),
            (Generation, "target_duration_max", 60.into()),
        ]
    });
    let kind = kind?;
    OF_KINDS.iter().find(|(of, key, _)| *of == kind && *key == name).map(|(.., value)| value)
}
