//! Import and export of settings as TOML.

use serde_json::{Map, Value};

use super::change::Scope;
use super::{Config, document, file};
use crate::quote::cut_quotes;
use crate::{Error, Result};

impl Config {
    /// Returns the known settings of one layer as TOML.
    ///
    /// Secrets and values that contain null, which TOML cannot represent, are left out. A comment names them.
    ///
    /// # Errors
    /// `NotFound` if the channel does not exist.
    pub fn export(&self, scope: Scope) -> Result<String> {
        let (mut exported, mut secret, mut with_null) = (Map::new(), Vec::new(), Vec::new());
        self.layered(scope.channel(), |layers| {
            for key in self.0.registry.iter() {
                match layers.look(scope.layer(), key) {
                    None => {}
                    Some(found) if found.sealed.is_some() || key.secret => secret.push(key.name.as_ref()),
                    Some(found) if has_null(&found.value) => with_null.push(key.name.as_ref()),
                    // Export invalid values unchanged, so that somebody can correct them.
                    Some(found) => {
                        let value = key.read(&found.value, &found.place).unwrap_or(found.value);
                        document::put(&mut exported, &key.name, value);
                    }
                }
            }
        })?;
        let mut text = String::new();
        for (names, why) in [(secret, "secret"), (with_null, "contains null, which TOML does not support")] {
            if !names.is_empty() {
                text += &format!("# not exported ({why}): {}\n", names.join(", "));
            }
        }
        let settings = toml::to_string(&exported)
            .map_err(|error| Error::invalid("the settings", format!("cannot be written as TOML: {error}")))?;
        Ok(text + &settings)
    }

    /// Sets all settings of a TOML text, or none of them if one is invalid. Returns the number of settings.
    ///
    /// Errors name the source of the text, which is `name`.
    ///
    /// # Errors
    /// The errors of [`Config::set`], and `Invalid` with the line number if the text is not valid TOML.
    pub fn import(&self, scope: Scope, name: &str, text: &str, by: &str) -> Result<usize> {
        let entries = file::parse(text).map_err(|(line, reason)| {
            Error::invalid(format!("{name}:{line}"), format!("is not valid TOML: {}", cut_quotes(&reason)))
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
