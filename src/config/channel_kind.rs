//! The three kinds of channels, and the defaults that differ by kind.

use std::sync::LazyLock;

use serde_json::Value;

use crate::types::portable;

portable! {
    /// How a channel makes its videos; the value of the channel's setting `kind`.
    pub enum ChannelKind {
        Compilation = "compilation",
        Republishing = "republishing",
        Generation = "generation",
    }
}

/// Returns the default that a kind of channel uses instead of the general default.
pub(super) fn default_of(kind: Option<ChannelKind>, name: &str) -> Option<&'static Value> {
    static OF_KINDS: LazyLock<Vec<(ChannelKind, &str, Value)>> = LazyLock::new(|| {
        use ChannelKind::{Compilation, Generation};
        vec![
            // People watch long videos on large screens. A run every six hours finds enough clips for one video a day,
            // so compilations keep the general default frequency.
            (Compilation, "default_min_resolution", "1080p".into()),
            // Generated videos are short and need no search for source videos, so a channel can publish more often.
            (Generation, "default_posting_frequency", "twice_daily".into()),
            (Generation, "target_duration_min", 15.into()),
            (Generation, "target_duration_max", 60.into()),
        ]
    });
    let kind = kind?;
    OF_KINDS.iter().find(|(of, key, _)| *of == kind && *key == name).map(|(.., value)| value)
}
