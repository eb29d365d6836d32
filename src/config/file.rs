//! The configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::registry::Key;
use crate::environment::{self, DotEnv};
use crate::quote::{cut_quotes, short};
use crate::{Error, Result, bounded};

/// Name of the file, here and in the user's configuration folder.
const NAME: &str = "viraldb.toml";

/// The table that declares settings of other programs.
const REGISTRY: &str = "registry";

/// A configuration file, with the line of each setting.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// By dotted name; a table stands in it too, for a setting that is a document.
    pub(super) entries: BTreeMap<String, Entry>,
    /// The settings that it declares.
    pub(super) keys: Vec<Key>,
}

/// A setting of the file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) line: usize,
    /// Whether it is no table.
    pub(super) is_leaf: bool,
}

impl File {
    /// Reads the one that is to be used: `given`, else that of `VIRALDB_CONFIG`, else `viraldb.toml` here, else
    /// that in the user's configuration folder; an empty one if there is none.
    pub(super) fn read(given: Option<&Path>, dotenv: &DotEnv) -> Result<Self> {
        let named = match given {
            Some(path) => Some(path.to_owned()),
            None => environment::variable("VIRALDB_CONFIG")?
                .map(PathBuf::from)
                .or_else(|| dotenv.values.get("VIRALDB_CONFIG").map(|path| dotenv.resolve(Path::new(path)))),
        };
        // A file that was named must exist.
        if let Some(path) = named {
            let text = bounded::file(&path, bounded::BY_HAND)?;
            return Self::of(path, &text);
        }
        // A user without a home has no configuration folder.
        let folder =
            etcetera::choose_base_strategy().map(|home| home.config_dir().join("viraldb").join(NAME));
        let found =
            [Some(PathBuf::from(NAME)), folder.ok()].into_iter().flatten().find(|path| path.is_file());
        let Some(path) = found else { return Ok(Self::default()) };
        let text = environment::read_trusted(&path, "name it with --config or VIRALDB_CONFIG")?;
        Self::of(path, &text)
    }

    fn of(path: PathBuf, text: &str) -> Result<Self> {
        let mut entries = parse(text).map_err(|(line, reason)| {
            Error::invalid(
                format!("{}:{line}", path.display()),
                format!("is not TOML: {}", cut_quotes(&reason)),
            )
        })?;
        let declared = entries.get(REGISTRY).map(|entry| entry.value.clone());
        let is_declaration = |name: &str| name.split('.').next() == Some(REGISTRY);
        let keys = declared.map_or_else(
            || Ok(Vec::new()),
            |declared| {
                keys(declared)
                    .map_err(|reason| Error::invalid(format!("[{REGISTRY}] of {}", path.display()), reason))
            },
        )?;
        entries.retain(|name, _| !is_declaration(name));
        Ok(Self { path, entries, keys })
    }

    /// Where a setting stands.
    pub(super) fn place(&self, entry: &Entry) -> String {
        format!("{}:{}", self.path.display(), entry.line)
    }
}

/// What the declaration of a setting may say.
const FIELDS: [&str; 8] = ["type", "min", "max", "words", "default", "per_channel", "secret", "help"];

/// The settings that a `[registry]` declares, each as a table of what [`Key`] has.
fn keys(declared: Value) -> Result<Vec<Key>, String> {
    let Value::Object(declared) = declared else {
        return Err("is no table of settings".to_owned());
    };
    declared
        .into_iter()
        .map(|(name, mut key)| {
            let fields = key.as_object_mut().ok_or(format!("{} is not a table; say at least its type", short(&name)))?;
            if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
                let (name, unknown) = (short(&name), short(unknown));
                return Err(format!(
                    "{name}: {unknown} is none of {}; a name with dots stands in quotes, as [registry.\"{name}.{unknown}\"]",
                    FIELDS.join(", ")
                ));
            }
            for truth in ["per_channel", "secret"] {
                // The error of serde would show what stands there.
                if fields.get(truth).is_some_and(|value| !value.is_boolean()) {
                    return Err(format!("{}: {truth} is not true or false", short(&name)));
                }
            }
            fields.insert("name".to_owned(), name.clone().into());
            serde_json::from_value(key).map_err(|error| format!("{}: {}", short(&name), cut_quotes(&error.to_string())))
        })
        .collect()
}

/// The settings of a TOML text, or the line and the reason why it is none.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Entry>, (usize, String)> {
    let ends: Vec<usize> =
        text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    let line = |at: usize| ends.partition_point(|end| *end < at) + 1;
    let table = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(1, |span| line(span.start)), error.message().to_owned()))?;
    let mut entries = BTreeMap::new();
    flatten(table.get_ref(), "", &line, &mut entries)?;
    Ok(entries)
}

fn flatten(
    table: &DeTable<'_>,
    prefix: &str,
    line: &impl Fn(usize) -> usize,
    entries: &mut BTreeMap<String, Entry>,
) -> Result<(), (usize, String)> {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        let is_leaf = !value.get_ref().is_table();
        if let DeValue::Table(inner) = value.get_ref() {
            flatten(inner, &format!("{key}."), line, entries)?;
        }
        let entry = Entry { value: json(value.get_ref()), line: line(name.span().start), is_leaf };
        if let Some(other) = entries.get(&key) {
            return Err((
                entry.line.max(other.line),
                format!("{} is there twice, in quotes and nested", short(&key)),
            ));
        }
        entries.insert(key, entry);
    }
    Ok(())
}

/// The same value in JSON; dates, and numbers that JSON does not have, as text.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.as_str().into(), Value::from),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| number.as_str().into(), Value::Number),
        DeValue::Boolean(truth) => (*truth).into(),
        DeValue::Datetime(moment) => moment.to_string().into(),
        DeValue::Array(values) => values.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(
            table.iter().map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref()))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_know_their_lines() {
        let entries =
            parse("# ours\nmax_clips = 12\n\n[uploader]\nretry = { times = 3, wait = 1.5 }\non = true\n")
                .unwrap();
        let found: Vec<(&str, usize, bool)> =
            entries.iter().map(|(key, entry)| (key.as_str(), entry.line, entry.is_leaf)).collect();
        assert_eq!(
            found,
            [
                ("max_clips", 2, true),
                ("uploader", 4, false),
                ("uploader.on", 6, true),
                ("uploader.retry", 5, false),
                ("uploader.retry.times", 5, true),
                ("uploader.retry.wait", 5, true),
            ]
        );
        assert_eq!(entries["uploader"].value, json!({ "retry": { "times": 3, "wait": 1.5 }, "on": true }));
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let (line, reason) = parse("a = 1\nb = = 2\n").unwrap_err();
        assert_eq!(line, 2, "{reason}");
        assert!(parse("a = 1\na = 2\n").is_err());
    }
}
