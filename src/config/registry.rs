//! The settings there are: their names, defaults, and who may see and change them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::channel_kind::ChannelKind;
use super::kind::Kind;
use super::layer::{Layer, OTHERS, variable_of};
use crate::quote::{quoted, short};
use crate::{Error, Result};

/// A setting that is known.
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
    /// Its name; dots nest.
    pub name: Cow<'static, str>,
    /// What it may be.
    #[serde(flatten)]
    pub kind: Kind,
    /// Its value where nothing else is said; null is none.
    #[serde(default)]
    pub default: Value,
    /// Whether a channel may have a value of its own.
    #[serde(default)]
    pub per_channel: bool,
    /// Whether it is sealed in the database and never shown.
    #[serde(default)]
    pub secret: bool,
    /// What it is for, in a line.
    #[serde(default)]
    pub help: Cow<'static, str>,
    /// The commands and functions of viraldb that obey it, such as `runs start`. Empty if only applications read it.
    #[serde(default)]
    pub read_by: Cow<'static, str>,
    /// The layers that count, if not all do.
    #[serde(skip)]
    pub(super) only: Option<&'static [Layer]>,
}

impl Key {
    /// A setting of the whole system that anybody may see.
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

    /// Lets only these layers count, and the default.
    const fn only(mut self, layers: &'static [Layer]) -> Self {
        self.only = Some(layers);
        self
    }

    /// Whether a layer counts.
    pub(super) fn counts_in(&self, layer: Layer) -> bool {
        self.only.is_none_or(|only| only.contains(&layer) || layer == Layer::Default)
    }

    /// A secret: text that is sealed in the database and never shown, with no default.
    pub fn secret(name: impl Into<Cow<'static, str>>) -> Self {
        Self { secret: true, ..Self::new(name, Kind::Text, Value::Null) }
    }

    /// Lets channels have values of their own.
    #[must_use]
    pub const fn per_channel(mut self) -> Self {
        self.per_channel = true;
        self
    }

    /// Says what it is for.
    #[must_use]
    pub fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = help.into();
        self
    }

    /// Names the commands and functions that obey it.
    #[must_use]
    pub fn read_by(mut self, read_by: impl Into<Cow<'static, str>>) -> Self {
        self.read_by = read_by.into();
        self
    }

    /// Returns true if viraldb itself does not read the setting: it keeps the value for applications.
    pub fn is_for_applications(&self) -> bool {
        self.read_by.is_empty()
    }

    /// Returns who reads it, for people: `applications only`, or the commands and functions.
    pub fn readers(&self) -> &str {
        if self.is_for_applications() { "applications only" } else { &self.read_by }
    }

    /// Adds to the help that only applications read it, if so.
    fn said_for_applications(mut self) -> Self {
        if self.is_for_applications() {
            self.help = format!("{}; read by {}", self.help, self.readers()).into();
        }
        self
    }

    /// A value as people and layers of text write it: as it is, or as JSON for a setting that is a document.
    pub fn of_text(&self, text: &str) -> Value {
        match self.kind {
            Kind::Json => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            _ => text.into(),
        }
    }

    /// The value in its one form: what is text elsewhere becomes a number or a truth.
    ///
    /// # Errors
    /// `Invalid`: the value, which a secret's does not show, its place unless that is empty, and what it should be.
    pub fn read(&self, value: &Value, place: &str) -> Result<Value> {
        self.kind.read(value).map_err(|reason| {
            let shown = if self.secret { "a value".to_owned() } else { short(&value.to_string()) };
            let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
            Error::invalid(format!("{} {shown}{place}", self.name), reason)
        })
    }
}

/// The settings that are known: those of viraldb, and those that a program adds.
#[derive(Debug, Clone)]
pub struct Registry(BTreeMap<Cow<'static, str>, Key>);

impl Default for Registry {
    /// The settings of viraldb.
    fn default() -> Self {
        Self(built_in().into_iter().map(|key| (key.name.clone(), key)).collect())
    }
}

impl Registry {
    /// Adds settings of one's own.
    ///
    /// # Errors
    /// `Invalid` if one is known already or is a part of another, as `a.b` is of `a`; if its name is none
    /// (lower-case letters, digits and `_`, in parts joined by dots) or its variable has another meaning; if its range
    /// or its words leave no value, or its default is none of them; if a secret is not text or has a default.
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
                    "is no name: lower-case letters, digits and single _ in parts joined by dots".to_owned(),
                );
            }
            let variable = variable_of(&key.name);
            if OTHERS.contains(&variable.as_str()) {
                return invalid(format!("cannot be: {variable} has another meaning"));
            }
            if self.0.contains_key(&key.name) {
                return invalid("is known already".to_owned());
            }
            let is_inside = |inner: &str, outer: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
            };
            if let Some(other) =
                self.0.keys().find(|other| is_inside(other, &key.name) || is_inside(&key.name, other))
            {
                return invalid(format!("and {other:?} cannot both be: one is a part of the other"));
            }
            if key.secret && (key.kind != Kind::Text || key.per_channel) {
                return invalid("is a secret, which is text and for all channels".to_owned());
            }
            if key.secret && !key.default.is_null() {
                return invalid("is a secret, which has no default".to_owned());
            }
            if key.kind.is_empty() {
                return invalid(format!("can have no value: none is {}", key.kind));
            }
            if !key.default.is_null() {
                key.read(&key.default, "its default")?;
            }
            self.0.insert(key.name.clone(), key);
        }
        Ok(self)
    }

    /// The setting of this name.
    ///
    /// # Errors
    /// `Invalid` with the nearest known names if there is none.
    pub fn get(&self, name: &str) -> Result<&Key> {
        self.0.get(name).ok_or_else(|| {
            let nearest = self.nearest(name);
            let hint = if nearest.is_empty() {
                "is not known; `viraldb config list` shows those that are".to_owned()
            } else {
                format!("is not known; the nearest: {}", nearest.join(", "))
            };
            Error::invalid(format!("setting {}", quoted(name)), hint)
        })
    }

    /// Whether there is a setting of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All settings, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.values()
    }

    /// At most three names that may have been meant, the likeliest first.
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

/// The settings of viraldb. The defaults are those that pipelines of this kind have been run with; the ranges
/// keep out what can only be a slip of the hand.
fn built_in() -> Vec<Key> {
    let flag = |name: &'static str| Key::new(name, Kind::Bool, false);
    let count = |name: &'static str, default: i64, min: i64, max: i64| {
        Key::new(name, Kind::Integer { min, max }, default)
    };
    let keys = vec![
        Key::new("default_posting_frequency", Kind::words(FREQUENCIES), "daily")
            .per_channel()
            .help("How often a channel publishes; channels added later start with it")
            .read_by("channels add"),
        Key::new("default_min_resolution", Kind::words(RESOLUTIONS), "720p")
            .per_channel()
            .help("Minimum resolution of source videos; channels added later start with it")
            .read_by("channels add"),
        count("max_concurrent_jobs", 5, 1, 1_000)
            .help("Maximum number of jobs that a worker runs at the same time")
            .read_by("queue::Worker"),
        count("default_retry_attempts", 3, 1, 100)
            .per_channel()
            .help("Number of attempts of a job before it fails")
            .read_by("jobs enqueue, queue::enqueue"),
        flag("orchestration_running").help("Whether the orchestrator is running"),
        flag("orchestration_paused")
            .help("Start no runs: viraldb creates no run and moves no pending run to running")
            .read_by("runs start, runs move"),
        flag("queue_paused")
            .only(&[Layer::Override, Layer::System])
            .help("Whether workers take no jobs; counts in the database only, where claims look")
            .read_by("jobs claim, queue::claim"),
        count("max_concurrent_runs", 2, 1, 100)
            .help("Maximum number of runs that are running at the same time")
            .read_by("runs move"),
        count("max_concurrent_downloads", 3, 1, 100).help("Maximum number of downloads at the same time"),
        count("max_concurrent_renders", 1, 1, 100).help("Maximum number of renders at the same time"),
        count("cycle_hours", 6, 1, 744)
            .per_channel()
            .help("Hours from one run of a niche to the next")
            .read_by("runs start, doctor"),
        count("min_clips", 8, 1, 100)
            .per_channel()
            .help("Fewest clips of a compilation")
            .read_by("runs choose"),
        count("max_clips", 10, 1, 100)
            .per_channel()
            .help("Most clips of a compilation")
            .read_by("runs choose"),
        count("clip_duration_min", 12, 1, 3_600).per_channel().help("Seconds of the shortest clip"),
        count("clip_duration_max", 25, 1, 3_600).per_channel().help("Seconds of the longest clip"),
        Key::new("min_viral_score", Kind::Number { min: 0.0, max: 1.0 }, 0.6)
            .per_channel()
            .help("Minimum viral score of a clip, from 0 to 1; videos without a score pass")
            .read_by("runs choose"),
        count("target_duration_min", 480, 1, 43_200)
            .per_channel()
            .help("Seconds of the shortest compilation"),
        count("target_duration_max", 600, 1, 43_200).per_channel().help("Seconds of the longest compilation"),
        count("review_timeout_hours", 4, 1, 744)
            .per_channel()
            .help("Hours after which a review without an answer is held")
            .read_by("reviews hold"),
        count("archive_retention_days", 30, 1, 36_500)
            .help("Days that finished runs and jobs are kept")
            .read_by("prune"),
        count("error_retention_days", 90, 1, 36_500)
            .help("Days that resolved errors are kept")
            .read_by("prune"),
        count("analytics_poll_hours", 6, 1, 744).help("Hours from one sample of the numbers to the next"),
        count("backup_keep", 7, 1, 10_000).help("Backups that are kept").read_by("backup prune"),
        Key::new("kind", Kind::words(CHANNEL_KINDS), Value::Null)
            .per_channel()
            .only(&[Layer::Channel])
            .help("What a channel is for; gives it defaults of its own")
            .read_by("every setting of the channel"),
    ];
    keys.into_iter().map(Key::said_for_applications).collect()
}

/// Pairs of which the first may not be above the second.
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
    fn text_reads_as_what_the_setting_is() {
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
            "max_concurrent_jobs \"many\" in x is not a whole number from 1 to 1000"
        );
    }

    #[test]
    fn defaults_are_values() {
        for key in Registry::default().iter().filter(|key| !key.default.is_null()) {
            assert_eq!(key.read(&key.default, "x").unwrap(), key.default);
            assert!(!key.help.is_empty());
        }
    }

    #[test]
    fn an_unknown_name_is_told_its_neighbours() {
        let said = |name| Registry::default().get(name).unwrap_err().to_string();
        assert!(
            said("max_concurent_jobs").contains("the nearest: max_concurrent_jobs"),
            "{}",
            said("max_concurent_jobs")
        );
        assert!(said("zzz").contains("viraldb config list"), "{}", said("zzz"));
    }

    #[test]
    fn names_and_defaults_of_ones_own_are_checked() {
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
        assert!(error.contains("one is a part of the other"), "{error}");
        assert!(with(Key::new("a", Kind::Integer { min: 1, max: 2 }, 3)).is_err());
        assert!(with(Key::new("a", Kind::Integer { min: 2, max: 1 }, Value::Null)).is_err());
        assert!(with(Key::new("a", Kind::Number { min: 0.2, max: 0.1 }, Value::Null)).is_err());
        assert!(with(Key::new("a", Kind::words(&[]), Value::Null)).is_err());
        assert!(with(Key::secret("a").per_channel()).is_err());
        assert!(with(Key { default: "x".into(), ..Key::secret("a") }).is_err());
    }
}
