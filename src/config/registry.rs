//! The registry of known settings: their names, types, defaults and layers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::channel_kind::ChannelKind;
use super::kind::Kind;
use super::layer::{Layer, OTHERS, variable_of};
use crate::quote::{quoted, short};
use crate::{Error, Result};

/// The declaration of a known setting.
///
/// ```
/// use viraldb::config::{Key, Kind};
///
/// let key = Key::new("uploader.timeout", Kind::Integer { min: 1, max: 600 }, 30)
///     .per_channel()
///     .help("Seconds to wait for an upload");
/// assert_eq!(key.name, "uploader.timeout");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The setting's name. Dots separate its levels, as in `uploader.timeout`.
    pub name: Cow<'static, str>,
    /// The values that the setting accepts.
    #[serde(flatten)]
    pub kind: Kind,
    /// The value used if no layer sets one; null means no default.
    #[serde(default)]
    pub default: Value,
    /// Whether a channel may have its own value.
    #[serde(default)]
    pub per_channel: bool,
    /// Whether the setting is a secret: encrypted in the database and never shown.
    #[serde(default)]
    pub secret: bool,
    /// What the setting is for, in one line.
    #[serde(default)]
    pub help: Cow<'static, str>,
    /// The viraldb commands and functions that use the setting, such as `runs start`. Empty if only applications read it.
    #[serde(default)]
    pub read_by: Cow<'static, str>,
    /// The layers that apply. `None` means that all layers apply.
    #[serde(skip)]
    pub(super) only: Option<&'static [Layer]>,
}

impl Key {
    /// Returns a setting that applies to all channels and is not a secret.
    pub fn new(name: impl Into<Cow<'static, str>>, kind: Kind, default: impl Into<Value>) -> Self {
        Self {
            name: name.into(),
            kind,
            default: default.into(),
            per_channel: false,
            secret: false,
            help: Cow::Borrowed(""),
            read_by: Cow::Borrowed(""),
            only: None,
        }
    }

    /// Limits the setting to these layers and the default.
    const fn only(mut self, layers: &'static [Layer]) -> Self {
        self.only = Some(layers);
        self
    }

    /// Returns true if a layer applies to this setting.
    pub(super) fn counts_in(&self, layer: Layer) -> bool {
        self.only.is_none_or(|only| only.contains(&layer) || layer == Layer::Default)
    }

    /// Returns a secret setting: a text setting without a default. viraldb encrypts its value in the database and never shows
    /// it.
    pub fn secret(name: impl Into<Cow<'static, str>>) -> Self {
        Self { secret: true, ..Self::new(name, Kind::Text, Value::Null) }
    }

    /// Allows each channel to have its own value.
    #[must_use]
    pub const fn per_channel(mut self) -> Self {
        self.per_channel = true;
        self
    }

    /// Sets the help text.
    #[must_use]
    pub fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = help.into();
        self
    }

    /// Sets the names of the commands and functions that use the setting.
    #[must_use]
    pub fn read_by(mut self, read_by: impl Into<Cow<'static, str>>) -> Self {
        self.read_by = read_by.into();
        self
    }

    /// Returns true if viraldb only stores the setting for applications and does not read it.
    pub fn is_for_applications(&self) -> bool {
        self.read_by.is_empty()
    }

    /// Returns the readers for display: the commands and functions, or `applications only`.
    pub fn readers(&self) -> &str {
        if self.is_for_applications() { "applications only" } else { &self.read_by }
    }

    /// Adds a note to the help if only applications read the setting.
    fn said_for_applications(mut self) -> Self {
        if self.is_for_applications() {
            self.help = format!("{}; read by {}", self.help, self.readers()).into();
        }
        self
    }

    /// Converts text to a value. For a JSON setting, parses the text as JSON if possible. In all other cases, the value is the
    /// text itself.
    pub fn of_text(&self, text: &str) -> Value {
        match self.kind {
            Kind::Json => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            _ => text.into(),
        }
    }

    /// Returns the value in its canonical form. For example, text becomes a number if the setting is a number, and a boolean if
    /// the setting is a boolean.
    ///
    /// # Errors
    /// `Invalid` if the setting does not accept the value. The message contains the expected values, the value (unless the
    /// setting is a secret) and `place` (unless `place` is empty).
    pub fn read(&self, value: &Value, place: &str) -> Result<Value> {
        self.kind.read(value).map_err(|reason| {
            let shown =
                if self.secret { String::new() } else { format!(", got {}", short(&value.to_string())) };
            let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
            Error::invalid(format!("{}{place}", self.name), format!("{reason}{shown}"))
        })
    }
}

/// The known settings: viraldb's own settings, and the settings that a program adds.
#[derive(Debug, Clone)]
pub struct Registry(BTreeMap<Cow<'static, str>, Key>);

impl Default for Registry {
    /// Returns viraldb's own settings.
    fn default() -> Self {
        Self(built_in().into_iter().map(|key| (key.name.clone(), key)).collect())
    }
}

impl Registry {
    /// Adds your program's settings.
    ///
    /// # Errors
    /// `Invalid` if for one of the settings:
    ///
    /// - the name is already known, or is nested with another name, such as `a.b` with `a`
    /// - the name is invalid (parts of lowercase letters, digits and `_`, joined by dots), or its environment variable has
    ///   another meaning
    /// - the range or the list of words is empty, so that no value is valid, or the default is not a valid value
    /// - the setting is a secret and has a default, is not text, or is per channel
    pub fn with(mut self, keys: impl IntoIterator<Item = Key>) -> Result<Self> {
        for key in keys {
            let invalid =
                |reason: String| Err(Error::invalid(format!("setting {}", quoted(&key.name)), reason));
            let is_part = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_lowercase())
                    && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                    && !part.contains("__")
                    && !part.ends_with('_')
            };
            if !key.name.split('.').all(is_part) {
                return invalid(
                    "is not a valid name; use lowercase letters, digits, single underscores and dots"
                        .to_owned(),
                );
            }
            let variable = variable_of(&key.name);
            if OTHERS.contains(&variable.as_str()) {
                return invalid(format!("is not allowed: viraldb uses {variable} for another purpose"));
            }
            if self.0.contains_key(&key.name) {
                return invalid("already exists".to_owned());
            }
            let is_inside = |inner: &str, outer: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
            };
            if let Some(other) =
                self.0.keys().find(|other| is_inside(other, &key.name) || is_inside(&key.name, other))
            {
                return invalid(format!("conflicts with {other:?}: one name contains the other"));
            }
            if key.secret && (key.kind != Kind::Text || key.per_channel) {
                return invalid("is a secret, so it must be text and cannot be per channel".to_owned());
            }
            if key.secret && !key.default.is_null() {
                return invalid("is a secret, so it cannot have a default".to_owned());
            }
            if key.kind.is_empty() {
                return invalid(format!("rejects every value, because no value is {}", key.kind));
            }
            if !key.default.is_null() {
                key.read(&key.default, "the default")?;
            }
            self.0.insert(key.name.clone(), key);
        }
        Ok(self)
    }

    /// Returns the setting with this name.
    ///
    /// # Errors
    /// `Invalid` for an unknown name, with the most similar known names.
    pub fn get(&self, name: &str) -> Result<&Key> {
        self.0.get(name).ok_or_else(|| {
            let nearest = self.nearest(name);
            let hint = if nearest.is_empty() {
                "run `viraldb config list` to see all settings".to_owned()
            } else {
                format!("did you mean {}?", nearest.join(" or "))
            };
            Error::invalid("", format!("unknown setting {}; {hint}", quoted(name)))
        })
    }

    /// Returns true if a setting with this name is known.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns all settings, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.values()
    }

    /// Returns up to three similar names, the most similar first.
    fn nearest(&self, name: &str) -> Vec<&str> {
        let name = name.to_lowercase();
        let mut near: Vec<(f64, &str)> = self
            .0
            .keys()
            .map(|known| (strsim::jaro_winkler(known, &name), known.as_ref()))
            .filter(|(likeness, _)| *likeness > 0.8)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        near.into_iter().take(3).map(|(_, known)| known).collect()
    }
}

const RESOLUTIONS: &[Cow<'static, str>] = &[
    Cow::Borrowed("360p"),
    Cow::Borrowed("480p"),
    Cow::Borrowed("720p"),
    Cow::Borrowed("1080p"),
    Cow::Borrowed("1440p"),
    Cow::Borrowed("2160p"),
];

const FREQUENCIES: &[Cow<'static, str>] = &[
    Cow::Borrowed("hourly"),
    Cow::Borrowed("twice_daily"),
    Cow::Borrowed("daily"),
    Cow::Borrowed("weekly"),
    Cow::Borrowed("monthly"),
];

const CHANNEL_KINDS: &[Cow<'static, str>] = &[
    Cow::Borrowed(ChannelKind::Compilation.as_str()),
    Cow::Borrowed(ChannelKind::Republishing.as_str()),
    Cow::Borrowed(ChannelKind::Generation.as_str()),
];

/// Returns viraldb's own settings. The defaults are values that pipelines of this kind have used. The ranges reject only
/// obvious typos.
fn built_in() -> Vec<Key> {
    let flag = |name: &'static str| Key::new(name, Kind::Bool, false);
    let count = |name: &'static str, default: i64, min: i64, max: i64| {
        Key::new(name, Kind::Integer { min, max }, default)
    };
    let limit = |name: &'static str, max: i64| {
        Key::new(name, Kind::Integer { min: 1, max }, Value::Null).read_by("queue::Worker")
    };
    let keys = vec![
        Key::new("default_posting_frequency", Kind::words(FREQUENCIES), "daily")
            .per_channel()
            .help("How often a channel publishes; new channels start with this value")
            .read_by("channels add"),
        Key::new("default_min_resolution", Kind::words(RESOLUTIONS), "720p")
            .per_channel()
            .help("Minimum resolution of source videos; new channels start with this value")
            .read_by("channels add"),
        count("max_concurrent_jobs", 5, 1, 1_000)
            .help("Maximum number of jobs that a worker runs concurrently")
            .read_by("queue::Worker"),
        count("default_retry_attempts", 3, 1, 100)
            .per_channel()
            .help("Maximum number of attempts before a job fails")
            .read_by("jobs enqueue, queue::enqueue"),
        flag("orchestration_running").help("Whether the orchestrator is running"),
        flag("orchestration_paused")
            .help("Pause the orchestrator: viraldb creates no runs and starts no pending runs")
            .read_by("runs start, runs move"),
        flag("queue_paused")
            .only(&[Layer::Override, Layer::System])
            .help("Pause the queue: workers claim no new jobs. Takes effect only when set in the database")
            .read_by("jobs claim, queue::claim"),
        count("max_concurrent_runs", 2, 1, 100)
            .help("Maximum number of runs that run concurrently")
            .read_by("runs move"),
        count("max_concurrent_downloads", 3, 1, 100)
            .help("Maximum number of download jobs that all workers run concurrently")
            .read_by("queue::Worker"),
        count("max_concurrent_renders", 1, 1, 100)
            .help("Maximum number of transform and music_replace jobs that all workers run concurrently")
            .read_by("queue::Worker"),
        limit("max_concurrent_scrapes", 10_000)
            .help("Maximum number of scrape jobs that all workers run concurrently"),
        limit("max_concurrent_publishes", 10_000)
            .help("Maximum number of publish jobs that all workers run concurrently"),
        limit("max_concurrent_jobs_per_channel", 10_000)
            .per_channel()
            .help("Maximum number of jobs of one channel that all workers run concurrently"),
        limit("max_scrapes_per_minute", 100_000)
            .help("Maximum number of scrape jobs that all workers start within a minute"),
        limit("max_downloads_per_minute", 100_000)
            .help("Maximum number of download jobs that all workers start within a minute"),
        limit("max_publishes_per_day", 100_000)
            .help("Maximum number of publish jobs that all workers start within 24 hours"),
        count("cycle_hours", 6, 1, 744)
            .per_channel()
            .help("Hours between two runs of a niche")
            .read_by("runs start, doctor"),
        count("min_clips", 8, 1, 100)
            .per_channel()
            .help("Minimum number of clips in a compilation")
            .read_by("runs choose"),
        count("max_clips", 10, 1, 100)
            .per_channel()
            .help("Maximum number of clips in a compilation")
            .read_by("runs choose"),
        count("clip_duration_min", 12, 1, 3_600).per_channel().help("Minimum duration of a clip in seconds"),
        count("clip_duration_max", 25, 1, 3_600).per_channel().help("Maximum duration of a clip in seconds"),
        Key::new("min_viral_score", Kind::Number { min: 0.0, max: 1.0 }, 0.6)
            .per_channel()
            .help("Minimum viral score of a clip, from 0 to 1; videos without a score pass")
            .read_by("runs choose"),
        count("target_duration_min", 480, 1, 43_200)
            .per_channel()
            .help("Minimum duration of a compilation in seconds"),
        count("target_duration_max", 600, 1, 43_200)
            .per_channel()
            .help("Maximum duration of a compilation in seconds"),
        count("review_timeout_hours", 4, 1, 744)
            .per_channel()
            .help("Hours until a review without an answer is put on hold")
            .read_by("reviews hold"),
        count("archive_retention_days", 30, 1, 36_500)
            .help("Days to keep finished runs and jobs")
            .read_by("prune"),
        count("error_retention_days", 90, 1, 36_500).help("Days to keep resolved errors").read_by("prune"),
        count("analytics_poll_hours", 6, 1, 744).help("Hours between two samples of the analytics"),
        count("backup_keep", 7, 1, 10_000).help("Number of backups to keep").read_by("backup prune"),
        Key::new("kind", Kind::words(CHANNEL_KINDS), Value::Null)
            .per_channel()
            .only(&[Layer::Channel])
            .help("Kind of a channel; selects its defaults")
            .read_by("every setting of the channel"),
    ];
    keys.into_iter().map(Key::said_for_applications).collect()
}

/// Pairs of settings whose first value must not be greater than the second.
pub(super) const ORDERED: [(&str, &str); 3] = [
    ("min_clips", "max_clips"),
    ("clip_duration_min", "clip_duration_max"),
    ("target_duration_min", "target_duration_max"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_converted_to_the_type_of_the_setting() {
        let registry = Registry::default();
        let read = |name: &str, value: Value| {
            registry.get(name).unwrap().read(&value, "x").map_err(|e| e.to_string())
        };
        assert_eq!(read("queue_paused", json!("Yes")).unwrap(), json!(true));
        assert_eq!(read("queue_paused", json!(" off ")).unwrap(), json!(false));
        assert_eq!(read("queue_paused", json!(1)).unwrap(), json!(true));
        let text = Key::new("a", Kind::Text, "x");
        assert_eq!(text.read(&json!(123), "x").unwrap(), json!("123"));
        assert!(text.read(&json!([1]), "x").is_err());
        assert_eq!(read("max_concurrent_jobs", json!("7")).unwrap(), json!(7));
        assert_eq!(read("max_concurrent_jobs", json!("\"7\"")).unwrap(), json!(7));
        assert_eq!(
            Key::new("a", Kind::words(&[Cow::Borrowed("5")]), "5").read(&json!(5), "x").unwrap(),
            json!("5")
        );
        assert_eq!(read("min_viral_score", json!("0.25")).unwrap(), json!(0.25));
        assert_eq!(read("min_viral_score", json!(1)).unwrap(), json!(1));
        for (name, value) in [
            ("queue_paused", json!("perhaps")),
            ("queue_paused", json!(2)),
            ("max_concurrent_jobs", json!("")),
            ("max_concurrent_jobs", json!(0)),
            ("max_concurrent_jobs", json!(1.5)),
            ("max_concurrent_jobs", json!("1e3")),
            ("max_concurrent_jobs", json!([1])),
            ("max_concurrent_jobs", json!(null)),
            ("min_viral_score", json!(1.01)),
            ("min_viral_score", json!("NaN")),
            ("default_min_resolution", json!("721p")),
            ("default_min_resolution", json!(720)),
        ] {
            assert!(read(name, value.clone()).is_err(), "{name} {value}");
        }
        assert_eq!(
            read("max_concurrent_jobs", json!("many")).unwrap_err(),
            "max_concurrent_jobs in x must be a whole number from 1 to 1000, got \"many\""
        );
    }

    #[test]
    fn defaults_are_valid_values() {
        for key in Registry::default().iter().filter(|key| !key.default.is_null()) {
            assert_eq!(key.read(&key.default, "x").unwrap(), key.default);
            assert!(!key.help.is_empty());
        }
    }

    #[test]
    fn an_unknown_name_gets_suggestions() {
        let said = |name| Registry::default().get(name).unwrap_err().to_string();
        assert!(
            said("max_concurent_jobs").contains("did you mean max_concurrent_jobs"),
            "{}",
            said("max_concurent_jobs")
        );
        assert!(said("zzz").contains("viraldb config list"), "{}", said("zzz"));
    }

    #[test]
    fn names_and_defaults_of_added_settings_are_checked() {
        let with = |key| Registry::default().with([key]).map(drop).map_err(|error| error.to_string());
        assert!(with(Key::new("uploader.retry_2", Kind::Text, "x")).is_ok());
        for name in [
            "",
            "A",
            "a..b",
            "a-b",
            "a.",
            "1a",
            "a__b",
            "a_.b",
            "key",
            "read_url",
            "max_clips",
            "max_clips.x",
        ] {
            assert!(with(Key::new(name, Kind::Text, "x")).is_err(), "{name}");
        }
        let two = [Key::new("a.b.c", Kind::Text, "x"), Key::new("a.b", Kind::Json, Value::Null)];
        let error = Registry::default().with(two).unwrap_err().to_string();
        assert!(error.contains("one name contains the other"), "{error}");
        assert!(with(Key::new("a", Kind::Integer { min: 1, max: 2 }, 3)).is_err());
        assert!(with(Key::new("a", Kind::Integer { min: 2, max: 1 }, Value::Null)).is_err());
        assert!(with(Key::new("a", Kind::Number { min: 0.2, max: 0.1 }, Value::Null)).is_err());
        assert!(with(Key::new("a", Kind::words(&[]), Value::Null)).is_err());
        assert!(with(Key::secret("a").per_channel()).is_err());
        assert!(with(Key { default: "x".into(), ..Key::secret("a") }).is_err());
    }
}
