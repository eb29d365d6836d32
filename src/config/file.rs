//! The configuration file `viraldb.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::registry::Key;
use crate::environment::{self, DotEnv};
use crate::quote::{cut_quotes, short};
use crate::types::any_of;
use crate::{Error, Result, bounded};

/// Name of the file, in the current folder and in the user's configuration folder.
const NAME: &str = "viraldb.toml";

/// Name of the table that declares settings of other programs.
const REGISTRY: &str = "registry";

/// A parsed configuration file, with the line of each setting.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// The entries by dotted name. Tables are entries too, because a JSON setting may be a table.
    pub(super) entries: BTreeMap<String, Entry>,
    /// The settings that the file declares in `[registry]`.
    pub(super) keys: Vec<Key>,
}

/// An entry of the file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) line: usize,
    /// True unless the entry is a table.
    pub(super) is_leaf: bool,
}

impl File {
    /// Reads the first of these files: `given`, the one that `VIRALDB_CONFIG` names, `viraldb.toml` in the current folder,
    /// and `viraldb/viraldb.toml` in the user's configuration folder. Without a file, the result is empty.
    pub(super) fn read(given: Option<&Path>, dotenv: &DotEnv) -> Result<Self> {
        let named = match given {
            Some(path) => Some(path.to_owned()),
            None => environment::variable("VIRALDB_CONFIG")?
                .map(PathBuf::from)
                .or_else(|| dotenv.values.get("VIRALDB_CONFIG").map(|path| dotenv.resolve(Path::new(path)))),
        };
        // A file that was named explicitly must exist.
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
                format!("is not valid TOML: {}", cut_quotes(&reason)),
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

    /// Returns the file and line of an entry, for messages.
    pub(super) fn place(&self, entry: &Entry) -> String {
        format!("{}:{}", self.path.display(), entry.line)
    }
}

/// Fields allowed in the declaration of a setting.
const FIELDS: [&str; 8] = ["type", "min", "max", "words", "default", "per_channel", "secret", "help"];

/// Parses the settings that `[registry]` declares, each a table with the fields of [`Key`].
fn keys(declared: Value) -> Result<Vec<Key>, String> {
    let Value::Object(declared) = declared else {
        return Err("is not a table of settings".to_owned());
    };
    declared
        .into_iter()
        .map(|(name, mut key)| {
            let fields = key.as_object_mut().ok_or(format!("{} is not a table; it needs at least a type", short(&name)))?;
            if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
                let (name, unknown) = (short(&name), short(unknown));
                return Err(format!(
                    "{name}: unknown field {unknown}; expected {}; quote a name that has dots: [registry.\"{name}.{unknown}\"]",
                    any_of(&FIELDS)
                ));
            }
            for truth in ["per_channel", "secret"] {
                // An error from serde would show the value, which may be a secret.
                if fields.get(truth).is_some_and(|value| !value.is_boolean()) {
                    return Err(format!("{}: {truth} must be true or false", short(&name)));
                }
            }
            fields.insert("name".to_owned(), name.clone().into());
            serde_json::from_value(key).map_err(|error| format!("{}: {}", short(&name), cut_quotes(&error.to_string())))
        })
        .collect()
}

/// Parses the settings of a TOML text. The error is the line and the reason.
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
                format!("{} is set twice, in quotes and nested", short(&key)),
            ));
        }
        entries.insert(key, entry);
    }
    Ok(())
}

/// Converts a value to JSON. Dates, and numbers that JSON cannot represent, become text.
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
    fn entries_have_their_lines() {
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
    fn invalid_toml_is_reported_with_its_line() {
        let (line, reason) = parse("a = 1\nb = = 2\n").unwrap_err();
        assert_eq!(line, 2, "{reason}");
        assert!(parse("a = 1\na = 2\n").is_err());
    }
}
