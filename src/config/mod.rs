//! Settings in eight layers.
//!
//! viraldb looks for a setting in these layers, in this order. The first layer that has a value wins:
//!
//! 1. the environment: `VIRALDB_` and the key in upper case, with `__` for a dot
//! 2. the nearest `.env` file, from the current folder up, with the same names
//! 3. `channels.settings` of the requested channel
//! 4. `config_overrides`: changes that an operator made at run time
//! 5. `system_configuration`, whose values may be encrypted
//! 6. the configuration file: the first of the given file, the file that `VIRALDB_CONFIG` names, `viraldb.toml` in the current
//!    folder, and `viraldb/viraldb.toml` in the user's configuration folder
//! 7. the default of the channel's kind
//! 8. the default
//!
//! If the winning value is invalid, reading the setting fails with an error that names the layer. viraldb never falls back
//! to a weaker layer. Layers 1, 2 and 6 are read once, when the [`Config`] is opened.
//!
//! Rust programs add their own settings to the [`Registry`]. Programs that use the command line declare them in the
//! configuration file:
//!
//! ```toml
//! max_concurrent_jobs = 8
//!
//! [uploader]
//! timeout = 60
//!
//! [registry."uploader.timeout"]
//! type = "integer" # or bool, number, text, word (with words = ["…"]), json
//! min = 1
//! max = 600
//! default = 30
//! per_channel = true
//! help = "Seconds to wait for an upload"
//! ```

mod change;
mod channel_kind;
mod channels;
mod config_override;
mod current;
mod document;
mod explain;
mod file;
mod import_export;
mod kind;
mod layer;
mod layers;
mod registry;
mod sealed_value;
mod secret;
mod typed;
mod validate;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::db::wake::{Topic, Waker};
use crate::quote::{cut_quotes, quoted_json};
use crate::republishing::{Channel, ChannelId};
use crate::secrets::Keyring;
use crate::{Database, DbConnection, Error, Result};

pub use change::{Change, ChangedLayer, Scope, complete_default_configs, set_default_configs};
pub use channel_kind::ChannelKind;
pub use channels::ChannelDefaults;
pub use config_override::{ConfigOverride, ConfigOverrideChanges, ConfigOverrideFilter, NewConfigOverride};
pub(crate) use current::Current;
pub use current::use_file;
pub use explain::{Explained, LayerValue};
pub use kind::Kind;
pub use layer::Layer;
pub use registry::{Key, Registry};
pub use secret::{SealedSetting, clear_sealed, set_sealed};
pub use validate::{Problem, Severity};

use layers::{Fixed, Layers, OfChannel, Resolved, Stored};
use typed::Node;

/// Interval of the checks for changes made by other programs.
const LOOK: Duration = Duration::from_millis(250);

/// Options for opening a [`Config`]. [`Config::open`] uses `Options::default()`.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The known settings. The default is those of viraldb.
    pub registry: Registry,
    /// The configuration file, which must exist. With `None`, viraldb looks for one.
    pub file: Option<PathBuf>,
    /// The keys that decrypt secrets. With `None`, viraldb reads the keys of the environment when a secret is requested.
    pub keyring: Option<Arc<Keyring>>,
}

/// The settings of one database. Clones are cheap and share one cache.
///
/// Lookups use cached values and do not query the database. The cache is reloaded immediately after a change through this
/// `Config`, and within a second after a change by another program. While the database does not answer, lookups return the
/// cached values.
///
/// ```
/// use viraldb::config::{Config, Scope};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// let config = Config::open(&db)?;
/// assert_eq!(config.get::<u32>("max_concurrent_jobs")?, 5);
/// config.set(Scope::Override, "max_concurrent_jobs", &8.into(), "alice")?;
/// assert_eq!(config.get::<u32>("max_concurrent_jobs")?, 8);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Config(Arc<Inner>);

struct Inner {
    db: Database,
    registry: Registry,
    keyring: Option<Arc<Keyring>>,
    fixed: Fixed,
    started: Instant,
    /// Time of the next check for changes, in milliseconds since `started`.
    look_at: AtomicU64,
    /// `None` after an error, until the next check creates a new one.
    waker: Mutex<Option<Waker>>,
    kept: RwLock<Kept>,
}

/// The cache, valid until a setting changes.
#[derive(Default)]
struct Kept {
    /// Incremented by each reload.
    reading: u64,
    stored: Stored,
    of_all: HashMap<String, Resolved>,
    /// The settings that differ from `of_all`, for each channel requested so far.
    of_channels: HashMap<ChannelId, HashMap<String, Resolved>>,
}

/// The settings for all channels, or for one channel.
struct Settings<'a> {
    of_all: &'a HashMap<String, Resolved>,
    own: Option<&'a HashMap<String, Resolved>>,
}

impl<'a> Settings<'a> {
    fn get(&self, key: &str) -> Option<&'a Resolved> {
        self.own.and_then(|own| own.get(key)).or_else(|| self.of_all.get(key))
    }
}

impl Config {
    /// Opens the settings of a database, and reads the environment, `.env` and the configuration file.
    ///
    /// # Errors
    /// - `Io` if the configuration file cannot be read.
    /// - `Invalid` if the configuration file is not valid TOML or declares an invalid setting, or if a file that viraldb found
    ///   belongs to another user.
    /// - The errors of [`Database::read_newest`].
    pub fn open(db: &Database) -> Result<Self> {
        Self::open_with(db, Options::default())
    }

    /// Opens the settings of a database with options; see [`Config::open`].
    ///
    /// # Errors
    /// The errors of [`Config::open`], and `Io` if [`Options::file`] does not exist.
    pub fn open_with(db: &Database, options: Options) -> Result<Self> {
        let Options { registry, file, keyring } = options;
        let mut fixed = Fixed::read(file.as_deref())?;
        // Skip declarations of settings that the program added itself. Declarations of viraldb's settings stay, so that
        // adding them fails.
        let (mut declared, of_viraldb) = (std::mem::take(&mut fixed.file.keys), Registry::default());
        declared.retain(|key| !registry.contains(&key.name) || of_viraldb.contains(&key.name));
        let registry = registry.with(declared)?;
        // Listen before loading, so that a change made in between is not missed.
        let waker = Waker::new(db, Topic::Config, LOOK)?;
        let config = Self(Arc::new(Inner {
            db: db.clone(),
            registry,
            keyring,
            fixed,
            started: Instant::now(),
            look_at: AtomicU64::new(LOOK.as_millis() as u64),
            waker: Mutex::new(Some(waker)),
            kept: RwLock::default(),
        }));
        config.reload()?;
        Ok(config)
    }

    /// Returns the known settings.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Returns a setting for all channels.
    ///
    /// # Errors
    /// `Invalid` in these cases:
    ///
    /// - the setting is unknown; the message suggests similar names
    /// - the value is invalid; the message says where it is stored
    /// - the value cannot be converted to `T`, for example 300 to `u8`
    /// - the setting is a secret
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        self.look();
        let kept = self.kept();
        match kept.of_all.get(key) {
            Some(resolved) => read(key, resolved),
            None => Err(self.unknown(key)),
        }
    }

    /// Returns a setting for one channel.
    ///
    /// # Errors
    /// The errors of [`Config::get`], and `NotFound` if the channel does not exist.
    pub fn get_for<T: DeserializeOwned>(&self, channel: ChannelId, key: &str) -> Result<T> {
        self.of_channel(channel, |settings| match settings.get(key) {
            Some(resolved) => read(key, resolved),
            None => Err(self.unknown(key)),
        })
    }

    /// Returns the settings that the struct `T` has fields for; dots in names become nested structs.
    ///
    /// Secrets and settings without a value are left out. All other settings are offered to serde, so `T` must not use
    /// `deny_unknown_fields`. Invalid values of settings without a field in `T` are ignored.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Clips {
    ///     min_clips: u32,
    ///     max_clips: u32,
    ///     min_viral_score: f64,
    /// }
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let config = viraldb::config::Config::open(&db)?;
    /// let clips: Clips = config.all(None)?;
    /// assert_eq!((clips.min_clips, clips.max_clips, clips.min_viral_score), (8, 10, 0.6));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`Config::get_for`].
    pub fn all<T: DeserializeOwned>(&self, channel: Option<ChannelId>) -> Result<T> {
        match channel {
            Some(channel) => self.of_channel(channel, |settings| self.document(settings)),
            None => {
                self.look();
                self.document(&Settings { of_all: &self.kept().of_all, own: None })
            }
        }
    }

    fn document<T: DeserializeOwned>(&self, settings: &Settings<'_>) -> Result<T> {
        let mut all = Node::Group(BTreeMap::new());
        for key in self.0.registry.iter().filter(|key| !key.secret) {
            match settings.get(key.name.as_ref()) {
                Some(Resolved::Value(Value::Null, _)) | Some(Resolved::Sealed) | None => {}
                Some(Resolved::Value(value, _)) => all.put(&key.name, Node::Value(value)),
                Some(Resolved::Bad { what, reason }) => all.put(&key.name, Node::Bad(what, reason)),
            }
        }
        serde_path_to_error::deserialize(all).map_err(|error| {
            let key = error.path().to_string();
            match settings.get(&key) {
                Some(Resolved::Bad { what, reason }) => Error::invalid(what, reason),
                Some(Resolved::Value(_, place)) => Error::invalid(
                    format!("{key} in {place}"),
                    format!("cannot be converted: {}", cut_quotes(&error.into_inner().to_string())),
                ),
                _ => Error::invalid(
                    key,
                    format!("cannot be converted: {}", cut_quotes(&error.into_inner().to_string())),
                ),
            }
        })
    }

    /// Passes the settings of a channel to `ask`. They are read from the database unless they are cached.
    fn of_channel<T>(&self, channel: ChannelId, ask: impl Fn(&Settings<'_>) -> Result<T>) -> Result<T> {
        self.look();
        let kept = self.kept();
        if let own @ Some(_) = kept.of_channels.get(&channel) {
            return ask(&Settings { of_all: &kept.of_all, own });
        }
        let reading = kept.reading;
        drop(kept);
        let settings = self.0.db.read_newest(|c| Channel::settings(c, channel))?;
        let mut kept = self.0.kept.write().unwrap_or_else(PoisonError::into_inner);
        let layers = Layers {
            fixed: &self.0.fixed,
            stored: &kept.stored,
            channel: Some(OfChannel { id: channel, settings: &settings.0 }),
        };
        let mut own = self.resolved(
            self.0.registry.iter().filter(|key| {
                key.per_channel
                    && layers
                        .winner(key)
                        .is_some_and(|(layer, _)| matches!(layer, Layer::Channel | Layer::KindDefault))
            }),
            &layers,
        );
        own.shrink_to_fit();
        let answer = ask(&Settings { of_all: &kept.of_all, own: Some(&own) });
        // A reload in the meantime may have made the settings just read outdated, so do not cache them then.
        if kept.reading == reading {
            kept.of_channels.insert(channel, own);
        }
        answer
    }

    /// Returns the cache. A poisoned lock is harmless, because the cache is always replaced as a whole.
    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.0.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self, key: &str) -> Error {
        match self.0.registry.get(key) {
            Err(error) => error,
            Ok(key) => Error::invalid(
                key.name.as_ref(),
                "is a secret; read it with `Config::secret` or `viraldb config get KEY --reveal`",
            ),
        }
    }

    /// Returns the effective values of settings, except secrets.
    fn resolved<'a>(
        &self,
        keys: impl Iterator<Item = &'a Key>,
        layers: &Layers<'_>,
    ) -> HashMap<String, Resolved> {
        keys.filter(|key| !key.secret)
            .map(|key| (key.name.clone().into_owned(), Resolved::of(key, layers)))
            .collect()
    }

    /// Reloads the settings if another program changed one. Does nothing if the last check was less than [`LOOK`] ago or
    /// another thread is checking.
    fn look(&self) {
        let inner = &*self.0;
        let now = inner.started.elapsed().as_millis() as u64;
        if now < inner.look_at.load(Ordering::Relaxed) {
            return;
        }
        let mut waker = match inner.waker.try_lock() {
            Ok(waker) => waker,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        inner.look_at.store(now + LOOK.as_millis() as u64, Ordering::Relaxed);
        let looked = match &mut *waker {
            Some(waker) => waker.wait(Duration::ZERO),
            none => Waker::new(&inner.db, Topic::Config, LOOK).map(|waker| none.insert(waker)).map(|_| true),
        };
        if let Err(error) = looked.and_then(|changed| if changed { self.reload() } else { Ok(()) }) {
            tracing::warn!("cannot check for changed settings; using the values read last: {error}");
            *waker = None;
        }
    }

    /// Reads the settings from the database and resolves all of them again. The caller must hold the waker, so that an
    /// older state never replaces a newer one.
    fn reload(&self) -> Result<()> {
        let stored = self.0.db.read_newest(|conn| self.stored(conn))?;
        let layers = Layers { fixed: &self.0.fixed, stored: &stored, channel: None };
        let of_all = self.resolved(self.0.registry.iter(), &layers);
        let mut kept = self.0.kept.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Kept { reading: kept.reading + 1, stored, of_all, of_channels: HashMap::new() };
        Ok(())
    }

    /// Reads the known settings for all channels from one snapshot of the database.
    fn stored(&self, conn: &mut DbConnection) -> Result<Stored> {
        let keys: Vec<&str> = self.0.registry.iter().map(|key| key.name.as_ref()).collect();
        conn.snapshot(|conn| Stored::read(conn, &keys))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Config").field(self.0.db.url()).finish()
    }
}

/// Converts an effective value to the requested type.
fn read<T: DeserializeOwned>(key: &str, resolved: &Resolved) -> Result<T> {
    match resolved {
        Resolved::Value(value, place) => T::deserialize(value).map_err(|error| match value {
            Value::Null => Error::invalid(key, "has no value in any layer"),
            value => Error::invalid(
                format!("{key} {} in {place}", quoted_json(value)),
                format!("cannot be converted: {}", cut_quotes(&error.to_string())),
            ),
        }),
        Resolved::Sealed => Err(Error::invalid(
            key,
            "is encrypted; read it with `Config::secret` or `viraldb config get KEY --reveal`",
        )),
        Resolved::Bad { what, reason } => Err(Error::invalid(what, reason)),
    }
}
