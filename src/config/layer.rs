//! The layers that can hold a setting, and the environment variable of each setting.

use crate::environment::ENV_FILE;
use crate::types::portable;

portable! {
    /// A layer that can hold a setting, in order of precedence: the first one wins.
    pub enum Layer {
        Environment = "environment",
        DotEnv = "dotenv",
        Channel = "channel",
        Override = "override",
        System = "system",
        File = "file",
        KindDefault = "kind_default",
        Default = "default",
    }
}

/// Prefix of the environment variables that are settings.
pub(super) const PREFIX: &str = "VIRALDB_";

/// Variables that have the prefix but are not settings.
pub(super) const OTHERS: [&str; 5] =
    ["VIRALDB_CONFIG", ENV_FILE, "VIRALDB_KEY", "VIRALDB_KEY_FILE", "VIRALDB_READ_URL"];

/// Returns the environment variable of a setting: `VIRALDB_UPLOADER__TIMEOUT` for `uploader.timeout`.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Returns the setting that an environment variable sets.
pub(super) fn key_of(variable: &str) -> String {
    variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase().replace("__", ".")
}
