//! Settings, and which of the places they can stand in wins.
//!
//! A setting is looked for in eight layers, the strongest first:
//!
//! 1. the environment: `VIRALDB_` and the key in upper case, `__` for a dot
//! 2. the nearest `.env` file, from the current folder up, by the same names
//! 3. `channels.settings` of the channel that is asked for
//! 4. `config_overrides`: what an operator changed at run time
//! 5. `system_configuration`, whose values may be sealed
//! 6. the configuration file: the one given, else that of `VIRALDB_CONFIG`, else `viraldb.toml` here, else
//!    `viraldb/viraldb.toml` in the user's configuration folder
//! 7. the default of the channel's kind
//! 8. the default
//!
//! The first that has a value wins, and if the setting cannot have it, reading is an error that names the place: no
//! weaker layer stands in. Layers 1, 2 and 6 are read once, when the [`Config`] is opened.
//!
//! Programs add settings of their own to the [`Registry`]. Those that come by the command line declare them in the
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
pub use secret::{clear_sealed, set_sealed};
pub use validate::{Problem, Severity};

use layers::{Fixed, Layers, OfChannel, Resolved, Stored};
use typed::Node;

/// How often it is looked whether somebody else has changed a setting.
const LOOK: Duration = Duration::from_millis(250);

/// How a [`Config`] is opened; `Options::default()` is what [`Config::open`] uses.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The settings that are known; those of viraldb unless told.
    pub registry: Registry,
    /// The configuration file, in place of the one that is looked for. It has to be there.
    pub file: Option<PathBuf>,
    /// The keys that open secrets; those of the environment unless told, read when a secret is asked for.
    pub keyring: Option<Arc<Keyring>>,
}

/// The settings of one database. Cloning it is cheap; all clones share what is kept in memory.
///
/// A lookup asks the database nothing while nobody changes a setting: values are kept, and read anew after a
/// change through this `Config` at once, after others' within a second. While the database does not answer, the
/// values stay as they were.
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
    /// When it is to be looked next, in milliseconds from `started`.
    look_at: AtomicU64,
    /// `None` until the next look makes one.
    waker: Mutex<Option<Waker>>,
    kept: RwLock<Kept>,
}

/// What is kept in memory until something changes.
#[derive(Default)]
struct Kept {
    /// Counts the readings.
    reading: u64,
    stored: Stored,
    of_all: HashMap<String, Resolved>,
    /// Of each channel that was asked for, what differs from `of_all`.
    of_channels: HashMap<ChannelId, HashMap<String, Resolved>>,
}

/// The settings as they hold for all channels, or for one.
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
    /// The settings of a database, by the environment and the configuration file as they are now.
    ///
    /// # Errors
    /// `Io` and `Invalid` for a file that cannot be read, and those of the database.
    pub fn open(db: &Database) -> Result<Self> {
        Self::open_with(db, Options::default())
    }

    /// [`Config::open`] with options.
    pub fn open_with(db: &Database, options: Options) -> Result<Self> {
        let Options { registry, file, keyring } = options;
        let mut fixed = Fixed::read(file.as_deref())?;
        // What a program knows itself, it need not be told. What viraldb knows, nobody declares.
        let (mut declared, of_viraldb) = (std::mem::take(&mut fixed.file.keys), Registry::default());
        declared.retain(|key| !registry.contains(&key.name) || of_viraldb.contains(&key.name));
        let registry = registry.with(declared)?;
        // Listening comes before looking, so that what comes between is not missed.
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

    /// The settings that are known.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// A setting for all channels.
    ///
    /// # Errors
    /// `Invalid` for a setting that is not known, with the nearest names; for a value that cannot be, with the
    /// place it stands in; for one that is no `T`, as 300 is no `u8`; for a secret.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        self.look();
        let kept = self.kept();
        match kept.of_all.get(key) {
            Some(resolved) => read(key, resolved),
            None => Err(self.unknown(key)),
        }
    }

    /// A setting for a channel.
    ///
    /// # Errors
    /// As [`Config::get`], and `NotFound` if there is no such channel.
    pub fn get_for<T: DeserializeOwned>(&self, channel: ChannelId, key: &str) -> Result<T> {
        self.of_channel(channel, |settings| match settings.get(key) {
            Some(resolved) => read(key, resolved),
            None => Err(self.unknown(key)),
        })
    }

    /// All settings at once that a struct has fields for; dots nest. Secrets are left out, and settings without a value.
    /// Of those that the struct has no field for, none can be in the way; so it may not deny unknown fields.
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
    /// As [`Config::get_for`].
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
                    format!("does not fit: {}", cut_quotes(&error.into_inner().to_string())),
                ),
                _ => Error::invalid(
                    key,
                    format!("does not fit: {}", cut_quotes(&error.into_inner().to_string())),
                ),
            }
        })
    }

    /// Asks for the settings of a channel, which are read if nobody has asked since the last change.
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
        // What was changed meanwhile may be what was just read.
        if kept.reading == reading {
            kept.of_channels.insert(channel, own);
        }
        answer
    }

    /// Nothing in it is half done after a panic: it is replaced whole.
    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.0.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn unknown(&self, key: &str) -> Error {
        match self.0.registry.get(key) {
            Err(error) => error,
            Ok(key) => Error::invalid(
                key.name.as_ref(),
                "is a secret: ask `Config::secret` for it, or `viraldb config get KEY --reveal`",
            ),
        }
    }

    /// What settings come to, without the secrets among them.
    fn resolved<'a>(
        &self,
        keys: impl Iterator<Item = &'a Key>,
        layers: &Layers<'_>,
    ) -> HashMap<String, Resolved> {
        keys.filter(|key| !key.secret)
            .map(|key| (key.name.clone().into_owned(), Resolved::of(key, layers)))
            .collect()
    }

    /// Looks whether somebody else has changed a setting, if the last look is long enough ago and no other thread is
    /// looking.
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
            tracing::warn!("settings stay as they were: {error}");
            *waker = None;
        }
    }

    /// Reads what the database says, and resolves all settings anew. Whoever calls it has the waker, so that an
    /// older reading never comes after a newer one.
    fn reload(&self) -> Result<()> {
        let stored = self.0.db.read_newest(|conn| self.stored(conn))?;
        let layers = Layers { fixed: &self.0.fixed, stored: &stored, channel: None };
        let of_all = self.resolved(self.0.registry.iter(), &layers);
        let mut kept = self.0.kept.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Kept { reading: kept.reading + 1, stored, of_all, of_channels: HashMap::new() };
        Ok(())
    }

    /// What the database says of the settings that are known, for all channels, at one moment.
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

/// A resolved value as what is wanted of it.
fn read<T: DeserializeOwned>(key: &str, resolved: &Resolved) -> Result<T> {
    match resolved {
        Resolved::Value(value, place) => T::deserialize(value).map_err(|error| match value {
            Value::Null => Error::invalid(key, "has no value in any layer"),
            value => Error::invalid(
                format!("{key} {} in {place}", quoted_json(value)),
                format!("does not fit: {}", cut_quotes(&error.to_string())),
            ),
        }),
        Resolved::Sealed => Err(Error::invalid(
            key,
            "is sealed: ask `Config::secret` for it, or `viraldb config get KEY --reveal`",
        )),
        Resolved::Bad { what, reason } => Err(Error::invalid(what, reason)),
    }
}
