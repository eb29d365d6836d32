//! The places where a setting can stand, and the variable of each setting.

use crate::environment::ENV_FILE;
use crate::types::portable;

portable! {
    /// Where a setting can stand, the strongest first.
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

/// Begin of the variables that are settings.
pub(super) const PREFIX: &str = "VIRALDB_";

/// Variables with our prefix that are not settings.
pub(super) const OTHERS: [&str; 5] =
    ["VIRALDB_CONFIG", ENV_FILE, "VIRALDB_KEY", "VIRALDB_KEY_FILE", "VIRALDB_READ_URL"];

/// The variable of a setting: `VIRALDB_UPLOADER__TIMEOUT` for `uploader.timeout`.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// The setting of a variable.
pub(super) fn key_of(variable: &str) -> String {
    variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase().replace("__", ".")
}
