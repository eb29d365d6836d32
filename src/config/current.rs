//! Settings as the open transaction sees them, for viraldb functions that use settings.
//!
//! A [`Config`](super::Config) uses connections of its own, so it does not see uncommitted changes of the transaction.
//! With an in-memory SQLite database it would also wait for that transaction and deadlock.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use diesel::prelude::*;
use serde::de::DeserializeOwned;

use super::Registry;
use super::layer::Layer;
use super::layers::{Fixed, Layers, OfChannel, Resolved, Stored};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::republishing::{Channel, ChannelId};
use crate::schema::viraldb_config_changes as changes;
use crate::types::Json;
use crate::{DbConnection, Error, Result};

/// The environment and the files, as this process read them.
struct Process {
    file: Option<PathBuf>,
    /// `None` until a function first asks for a setting.
    fixed: Option<Arc<Fixed>>,
}

static PROCESS: Mutex<Process> = Mutex::new(Process { file: None, fixed: None });

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::default);

/// Sets the configuration file of this process, as `--config` does for the command.
///
/// Functions such as [`queue::enqueue`](crate::queue::enqueue) use settings but take no [`Config`](super::Config). They
/// read the environment and the configuration file once per process, when one of them first asks for a setting. Call
/// `use_file` before that, when the program starts. With `None`, viraldb looks for the file as
/// [`Config::open`](super::Config::open) does.
pub fn use_file(file: Option<PathBuf>) {
    *PROCESS.lock().unwrap_or_else(PoisonError::into_inner) = Process { file, fixed: None };
}

fn fixed() -> Result<Arc<Fixed>> {
    let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(fixed) = &process.fixed {
        return Ok(Arc::clone(fixed));
    }
    let fixed = Arc::new(Fixed::read(process.file.as_deref())?);
    Ok(Arc::clone(process.fixed.insert(fixed)))
}

/// A part of viraldb's settings, as one transaction sees them.
pub(crate) struct Current {
    fixed: Arc<Fixed>,
    stored: Stored,
    channels: HashMap<ChannelId, Json>,
    /// The settings that were changed since the database was created.
    changed: HashSet<String>,
}

impl Current {
    /// Reads these settings, for all channels and for the given channels that exist.
    pub(crate) fn read(
        conn: &mut DbConnection,
        channels: impl IntoIterator<Item = ChannelId>,
        keys: &[&str],
    ) -> Result<Self> {
        let (fixed, stored) = (fixed()?, Stored::read(conn, keys)?);
        let mut channels: Vec<ChannelId> = channels.into_iter().collect();
        channels.sort_unstable();
        channels.dedup();
        let channels = Channel::settings_of_many(conn, &channels)?;
        Ok(Self { fixed, stored, channels, changed: HashSet::new() })
    }

    /// Also reads which of these settings were changed since the database was created.
    pub(crate) fn with_changes(mut self, conn: &mut DbConnection, keys: &[&str]) -> Result<Self> {
        let changed: Vec<String> = on_backend!(conn, |c| changes::table
            .filter(changes::key.eq_any(keys))
            .select(changes::key)
            .distinct()
            .load(c))
        .of("viraldb_config_changes", "")?;
        self.changed = changed.into_iter().collect();
        Ok(self)
    }

    /// Returns true if the channel was among the given channels and exists.
    pub(crate) fn knows(&self, channel: ChannelId) -> bool {
        self.channels.contains_key(&channel)
    }

    /// Returns the given channels that exist.
    pub(crate) fn channels(&self) -> impl Iterator<Item = ChannelId> {
        self.channels.keys().copied()
    }

    /// Returns a setting for a channel, or for all channels.
    ///
    /// # Errors
    /// The errors of [`Config::get`](super::Config::get), and `NotFound` if the channel does not exist.
    pub(crate) fn get<T: DeserializeOwned>(&self, channel: Option<ChannelId>, key: &str) -> Result<T> {
        let key = REGISTRY.get(key)?;
        super::read(&key.name, &Resolved::of(key, &self.layers(channel)?))
    }

    /// Returns a setting if somebody has set it, and `None` if only its default applies.
    ///
    /// `viraldb init` stores the defaults in `system_configuration`. A default there counts only if the history of the setting
    /// has a change.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get).
    pub(crate) fn get_if_set<T: DeserializeOwned>(
        &self,
        channel: Option<ChannelId>,
        key: &str,
    ) -> Result<Option<T>> {
        let key = REGISTRY.get(key)?;
        let layers = self.layers(channel)?;
        match layers.winner(key) {
            None | Some((Layer::Default | Layer::KindDefault, _)) => Ok(None),
            Some((Layer::System, found))
                if found.value == key.default && !self.changed.contains(&*key.name) =>
            {
                Ok(None)
            }
            Some(_) => super::read(&key.name, &Resolved::of(key, &layers)).map(Some),
        }
    }

    fn layers(&self, channel: Option<ChannelId>) -> Result<Layers<'_>> {
        let channel = match channel {
            None => None,
            Some(id) => {
                let missing = || Error::NotFound { table: "channels", key: id.to_string() };
                let settings = self.channels.get(&id).ok_or_else(missing)?;
                Some(OfChannel { id, settings: &settings.0 })
            }
        };
        Ok(Layers { fixed: &self.fixed, stored: &self.stored, channel })
    }
}
