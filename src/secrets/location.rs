//! The columns and rows that hold encrypted values.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::types::ChannelId;
use crate::{Error, Result};

/// The column and row of one encrypted value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// `channels.api_credentials_encrypted`. An empty string means that there is no secret.
    ChannelCredentials(ChannelId),
    /// `channels.github_secret_key_encrypted`. NULL means that there is no secret.
    ChannelGithubKey(ChannelId),
    /// `system_configuration.value` of the setting with this key, if `encrypted` is true.
    Setting(String),
}

impl Place {
    /// Returns the column.
    pub const fn column(&self) -> Column {
        match self {
            Self::ChannelCredentials(_) => Column::ChannelCredentials,
            Self::ChannelGithubKey(_) => Column::ChannelGithubKey,
            Self::Setting(_) => Column::Setting,
        }
    }

    /// Returns the key of the row: the id of the channel, or the key of the setting.
    pub fn row_key(&self) -> String {
        match self {
            Self::ChannelCredentials(id) | Self::ChannelGithubKey(id) => id.to_string(),
            Self::Setting(key) => key.clone(),
        }
    }
}

impl fmt::Display for Place {
    /// Formats the place like `channels.api_credentials_encrypted of 0190b5a0-…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.column(), crate::quote::short(&self.row_key()))
    }
}

/// A column with encrypted values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // documented at the variants of Place
pub enum Column {
    ChannelCredentials,
    ChannelGithubKey,
    Setting,
}

impl Column {
    /// All columns with encrypted values.
    pub const ALL: [Self; 3] = [Self::ChannelCredentials, Self::ChannelGithubKey, Self::Setting];

    /// Returns the name of the table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::ChannelCredentials | Self::ChannelGithubKey => "channels",
            Self::Setting => "system_configuration",
        }
    }

    /// Returns the name of the column in its table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChannelCredentials => "api_credentials_encrypted",
            Self::ChannelGithubKey => "github_secret_key_encrypted",
            Self::Setting => "value",
        }
    }

    /// Returns the place of this column in the row with the given key.
    pub(super) fn of_row(self, key: String) -> Result<Place> {
        let channel = |key: &str| {
            key.parse::<ChannelId>().map_err(|_| Error::invalid(format!("channels {key}"), "is not a UUID"))
        };
        Ok(match self {
            Self::ChannelCredentials => Place::ChannelCredentials(channel(&key)?),
            Self::ChannelGithubKey => Place::ChannelGithubKey(channel(&key)?),
            Self::Setting => Place::Setting(key),
        })
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table(), self.name())
    }
}

impl Serialize for Column {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
