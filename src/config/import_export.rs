//! Settings as a TOML text, to take elsewhere.

use serde_json::{Map, Value};

use super::change::Scope;
use super::{Config, document, file};
use crate::quote::cut_quotes;
use crate::{Error, Result};

impl Config {
    /// The settings of one layer as TOML, those only that are known. Secrets, and documents with null in them, which TOML
    /// has not, are left out and named in a comment.
    ///
    /// # Errors
    /// `NotFound` if there is no such channel.
    pub fn export(&self, scope: Scope) -> Result<String> {
        let (mut exported, mut secret, mut with_null) = (Map::new(), Vec::new(), Vec::new());
        self.layered(scope.channel(), |layers| {
            for key in self.0.registry.iter() {
                match layers.look(scope.layer(), key) {
                    None => {}
                    Some(found) if found.sealed.is_some() || key.secret => secret.push(key.name.as_ref()),
                    Some(found) if has_null(&found.value) => with_null.push(key.name.as_ref()),
                    // What cannot be is exported as it stands, for somebody to mend.
                    Some(found) => {
                        let value = key.read(&found.value, &found.place).unwrap_or(found.value);
                        document::put(&mut exported, &key.name, value);
                    }
                }
            }
        })?;
        let mut text = String::new();
        for (names, why) in [(secret, "secret"), (with_null, "with null, which TOML has not")] {
            if !names.is_empty() {
                text += &format!("# {why}, and left out: {}\n", names.join(", "));
            }
        }
        let settings = toml::to_string(&exported)
            .map_err(|error| Error::invalid("the settings", format!("do not go into TOML: {error}")))?;
        Ok(text + &settings)
    }

    /// Sets what a TOML text says, all of it or nothing, and returns how many settings it has. `name` says in errors
    /// where the text comes from.
    ///
    /// # Errors
    /// As [`Config::set`], and `Invalid` for a text that is not TOML, with the line.
    pub fn import(&self, scope: Scope, name: &str, text: &str, by: &str) -> Result<usize> {
        let entries = file::parse(text).map_err(|(line, reason)| {
            Error::invalid(format!("{name}:{line}"), format!("is not TOML: {}", cut_quotes(&reason)))
        })?;
        let is_part = |entry: &str| {
            self.0
                .registry
                .iter()
                .any(|key| entry.strip_prefix(key.name.as_ref()).is_some_and(|rest| rest.starts_with('.')))
        };
        let mut settings = Vec::new();
        for (key, entry) in &entries {
            let place = format!("{name}:{}", entry.line);
            match self.0.registry.get(key) {
                Ok(known) => settings.push((key.as_str(), known.read(&entry.value, &place)?)),
                Err(error) if entry.is_leaf && !is_part(key) => return Err(error.with(&place)),
                Err(_) => {}
            }
        }
        self.set_many(scope, settings.iter().map(|(key, value)| (*key, value)), by)?;
        Ok(settings.len())
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}
