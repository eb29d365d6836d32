//! Validation of the settings in all layers and of all channels.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::layer::{Layer, key_of, variable_of};
use super::layers::{Found, Layers, OfChannel};
use super::registry::{Key, ORDERED};
use super::{Config, document};
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::ChannelId;
use crate::schema::{channels, config_overrides, system_configuration};
use crate::types::Json;

/// Channels read per query.
const CHANNELS: i64 = 100;

/// Number of problems after which validation stops.
const MOST: usize = 10_000;

/// Maximum number of unknown names reported per table.
const TOLD: usize = 1_000;

/// The severity of a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A setting has no effect, or might not have the intended effect.
    Warning,
    /// A setting cannot be read.
    Error,
}

/// A problem with the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The severity.
    pub severity: Severity,
    /// Where the problem is, such as a file with a line, a variable or a table.
    pub place: String,
    /// A description of the problem and how to correct it.
    pub problem: String,
}

impl Config {
    /// Returns all problems in all layers, including the settings of every channel.
    ///
    /// Errors are:
    /// - invalid values
    /// - values that are marked as encrypted but are not, or that are encrypted but not text
    /// - settings of a channel that are not a JSON object
    ///
    /// Warnings are:
    /// - unknown names
    /// - secrets stored as plaintext
    /// - entries of the configuration file without effect, because a stronger layer wins or the layer does not apply
    /// - a `.env` file, or lines of it, that cannot be parsed
    /// - pairs whose minimum is greater than the maximum
    ///
    /// # Errors
    /// The errors of [`Database::read_newest`](crate::Database::read_newest). A problem with a setting is part of the result.
    pub fn validate(&self) -> Result<Vec<Problem>> {
        let (stored, unknown_rows) = self
            .0
            .db
            .read_newest(|conn| conn.snapshot(|conn| Ok((self.stored(conn)?, self.unknown_rows(conn)?))))?;
        let fixed = &self.0.fixed;
        let of_all = Layers { fixed, stored: &stored, channel: None };
        let mut problems = self.unknown_names();
        problems.extend(unknown_rows);
        for key in self.0.registry.iter() {
            problems
                .extend(Layer::ALL.iter().filter_map(|layer| wrong(key, *layer, of_all.look(*layer, key)?)));
            let entry = fixed.file.entries.get(key.name.as_ref());
            if let Some(entry) = entry.filter(|_| !key.counts_in(Layer::File)) {
                problems.push(warning(fixed.file.place(entry), format!("{} has no effect there", key.name)));
            } else if let (Some((winner, found)), Some(entry)) = (of_all.winner(key), entry)
                && winner != Layer::File
            {
                problems.push(warning(
                    fixed.file.place(entry),
                    format!("{} has no effect: {} overrides it", key.name, found.place),
                ));
            }
        }
        problems.extend(self.disordered(&of_all, "for all channels"));
        let mut after = None;
        loop {
            let page = self.0.db.read_newest(|conn| channel_settings(conn, after))?;
            let Some((last, _)) = page.last() else { return Ok(problems) };
            after = Some(*last);
            if problems.len() > MOST {
                problems.push(warning(
                    "the settings".to_owned(),
                    "have more problems than are listed here".to_owned(),
                ));
                return Ok(problems);
            }
            for (id, settings) in &page {
                let layers = Layers { channel: Some(OfChannel { id: *id, settings: &settings.0 }), ..of_all };
                self.validate_channel(*id, settings, &layers, &mut problems);
            }
        }
    }

    fn validate_channel(
        &self,
        id: ChannelId,
        settings: &Json,
        layers: &Layers<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let place = format!("channels.settings of {id}");
        let Some(members) = settings.0.as_object() else {
            let problem = "is not a JSON object".to_owned();
            return problems.push(Problem { severity: Severity::Error, place, problem });
        };
        let registry = &self.0.registry;
        let keys = || registry.iter().filter(|key| key.per_channel);
        problems
            .extend(keys().filter_map(|key| wrong(key, Layer::Channel, layers.look(Layer::Channel, key)?)));
        let is_known = |name: &str| keys().any(|key| key.name == name);
        let names = document::names(members, &is_known);
        let unknown = names.iter().filter(|name| !is_known(name));
        problems.extend(unknown.map(|name| self.unknown_name(name, place.clone())));
        problems.extend(self.disordered(layers, &format!("for channel {id}")));
    }

    /// Returns problems with the environment and the files: names of unknown settings, and lines that cannot be parsed.
    fn unknown_names(&self) -> Vec<Problem> {
        let registry = &self.0.registry;
        let fixed = &self.0.fixed;
        let variables = fixed.variables().filter_map(|(variable, place)| {
            let (key, place) = (key_of(&variable), format!("{variable} in {place}"));
            match registry.get(&key) {
                Err(_) => Some(self.unknown_name(&key, place)),
                Ok(key) if !key.counts_in(Layer::Environment) => {
                    Some(warning(place, format!("{} has no effect there", key.name)))
                }
                Ok(key) => {
                    let right = variable_of(&key.name);
                    (right != variable)
                        .then(|| warning(place, format!("has no effect; use {right} to set {}", key.name)))
                }
            }
        });
        let is_known = |name: &str| {
            // A member of a JSON setting belongs to that setting.
            let is_part =
                |key: &Key| name.strip_prefix(key.name.as_ref()).is_some_and(|rest| rest.starts_with('.'));
            registry.contains(name) || registry.iter().any(is_part)
        };
        let file = fixed.file.entries.iter().filter(|(name, entry)| entry.is_leaf && !is_known(name));
        let file = file.map(|(name, entry)| self.unknown_name(name, fixed.file.place(entry)));
        let bad_line = fixed.dotenv.has_bad_line.then(|| {
            let problem = "has a line that cannot be parsed; put values with spaces in quotes";
            warning(fixed.dotenv.file.display().to_string(), problem.to_owned())
        });
        let unread = fixed.dotenv.unread.as_ref();
        let unread = unread
            .map(|why| warning(".env".to_owned(), format!("cannot be read, so all of it is ignored: {why}")));
        variables.chain(file).chain(bad_line).chain(unread).collect()
    }

    /// Returns a problem for each row of the two tables whose setting is unknown. Encrypted rows are skipped: they are
    /// secrets that programs read by name.
    fn unknown_rows(&self, conn: &mut DbConnection) -> Result<Vec<Problem>> {
        let known: Vec<&str> = self.0.registry.iter().map(|key| key.name.as_ref()).collect();
        let most = TOLD as i64 + 1;
        let overrides: Vec<String> = on_backend!(&mut *conn, |c| config_overrides::table
            .filter(config_overrides::key.ne_all(&known))
            .order(config_overrides::key)
            .select(config_overrides::key)
            .limit(most)
            .load(c))
        .of("config_overrides", "")?;
        let system: Vec<String> = on_backend!(conn, |c| system_configuration::table
            .filter(
                system_configuration::key
                    .ne_all(&known)
                    .and(diesel::dsl::not(system_configuration::encrypted))
            )
            .order(system_configuration::key)
            .select(system_configuration::key)
            .limit(most)
            .load(c))
        .of("system_configuration", "")?;
        let mut problems = Vec::new();
        for (table, keys) in [("config_overrides", overrides), ("system_configuration", system)] {
            let told = keys.iter().take(TOLD);
            problems.extend(told.map(|key| self.unknown_name(key, format!("{table} {key}"))));
            if keys.len() > TOLD {
                problems.push(warning(
                    table.to_owned(),
                    "has more unknown settings than are listed here".to_owned(),
                ));
            }
        }
        Ok(problems)
    }

    fn unknown_name(&self, name: &str, place: String) -> Problem {
        let problem = self.0.registry.get(name).map_or_else(
            |error| error.to_string(),
            |key| format!("setting {:?} applies to all channels; it cannot be set for one channel", key.name),
        );
        warning(place, problem)
    }

    /// Returns a problem for each pair whose first value is greater than the second.
    fn disordered(&self, layers: &Layers<'_>, whom: &str) -> Vec<Problem> {
        let number = |name: &str| {
            let key = self.0.registry.get(name).ok()?;
            let (_, found) = layers.winner(key)?;
            key.read(&found.value, &found.place).ok()?.as_f64()
        };
        ORDERED
            .iter()
            .filter_map(|(least, most)| Some((least, most, number(least)?, number(most)?)))
            .filter(|(_, _, low, high)| low > high)
            .map(|(least, most, low, high)| {
                warning(whom.to_owned(), format!("{least} is {low}, which is greater than {most} ({high})"))
            })
            .collect()
    }
}

fn warning(place: String, problem: String) -> Problem {
    Problem { severity: Severity::Warning, place, problem }
}

/// Returns the problem with a value, if there is one.
fn wrong(key: &Key, layer: Layer, found: Found<'_>) -> Option<Problem> {
    let Found { value, place, sealed } = found;
    let error = |problem: String| Some(Problem { severity: Severity::Error, place: place.clone(), problem });
    match sealed {
        Some(_) if key.kind != super::Kind::Text => {
            error(format!("{} is encrypted, but only text settings can be; unset it", key.name))
        }
        Some(row) if crate::secrets::key_id(row.value.clone().into_sealed().as_text()).is_none() => {
            error(format!("{} is marked as encrypted but is not; set it with --secret", key.name))
        }
        Some(_) => None,
        None => match key.read(&value, &place) {
            Err(problem) => error(problem.to_string()),
            // Plaintext secrets in the environment are fine: that is where secrets outside the database come from.
            Ok(_) if key.secret && !matches!(layer, Layer::Environment | Layer::DotEnv) => {
                Some(warning(place, format!("{} is a secret but is stored as plaintext", key.name)))
            }
            Ok(_) => None,
        },
    }
}

/// Returns a page of channels with their settings, ordered by id (keyset pagination).
fn channel_settings(conn: &mut DbConnection, after: Option<ChannelId>) -> Result<Vec<(ChannelId, Json)>> {
    on_backend!(conn, |c| {
        let mut query = channels::table.select((channels::id, channels::settings)).into_boxed::<Backend>();
        if let Some(after) = after {
            query = query.filter(channels::id.gt(after));
        }
        query.order(channels::id).limit(CHANNELS).load(c)
    })
    .of("channels", "")
}
