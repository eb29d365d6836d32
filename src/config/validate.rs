//! What is wrong with the settings, in any layer and of any channel.

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

/// Channels that are looked at at a time.
const CHANNELS: i64 = 100;

/// Problems after which no further channels are looked at.
const MOST: usize = 10_000;

/// Unknown names of a table that are told.
const TOLD: usize = 1_000;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something has no effect, which may not be what was meant.
    Warning,
    /// A setting cannot be read.
    Error,
}

/// Something that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub place: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Config {
    /// Everything that is wrong in any layer, of all channels too. Errors are values that cannot be, or should be sealed and
    /// are not, and settings of a channel that are no object. Warnings are names that are not known, secrets that stand somewhere in the
    /// clear, lines of the file that a stronger layer keeps from having any effect, lines of `.env` that cannot be read, and
    /// pairs of which the least is above the most.
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
                problems.push(warning(fixed.file.place(entry), format!("{} does not count there", key.name)));
            } else if let (Some((winner, found)), Some(entry)) = (of_all.winner(key), entry)
                && winner != Layer::File
            {
                problems.push(warning(
                    fixed.file.place(entry),
                    format!("{} has no effect: {} is stronger", key.name, found.place),
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
                problems.push(warning("the settings".to_owned(), "are wrong in more places".to_owned()));
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
            let problem = "is no object, so it holds no settings".to_owned();
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

    /// Names in the environment and the files that are of no setting, and lines that are none.
    fn unknown_names(&self) -> Vec<Problem> {
        let registry = &self.0.registry;
        let fixed = &self.0.fixed;
        let variables = fixed.variables().filter_map(|(variable, place)| {
            let (key, place) = (key_of(&variable), format!("{variable} of {place}"));
            match registry.get(&key) {
                Err(_) => Some(self.unknown_name(&key, place)),
                Ok(key) if !key.counts_in(Layer::Environment) => {
                    Some(warning(place, format!("{} does not count there", key.name)))
                }
                Ok(key) => {
                    let right = variable_of(&key.name);
                    (right != variable)
                        .then(|| warning(place, format!("has no effect: {} is set by {right}", key.name)))
                }
            }
        });
        let is_known = |name: &str| {
            // A part of a document is its setting's.
            let is_part =
                |key: &Key| name.strip_prefix(key.name.as_ref()).is_some_and(|rest| rest.starts_with('.'));
            registry.contains(name) || registry.iter().any(is_part)
        };
        let file = fixed.file.entries.iter().filter(|(name, entry)| entry.is_leaf && !is_known(name));
        let file = file.map(|(name, entry)| self.unknown_name(name, fixed.file.place(entry)));
        let bad_line = fixed.dotenv.has_bad_line.then(|| {
            let problem = "has a line that cannot be read; put values with spaces in quotes";
            warning(fixed.dotenv.file.display().to_string(), problem.to_owned())
        });
        let unread = fixed.dotenv.unread.as_ref();
        let unread = unread.map(|why| {
            warning(".env".to_owned(), format!("cannot be read, and nothing of it counts: {why}"))
        });
        variables.chain(file).chain(bad_line).chain(unread).collect()
    }

    /// Rows of the two tables that are of no setting. A sealed one is a secret that its program reads by name.
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
                problems.push(warning(table.to_owned(), "has more settings that are not known".to_owned()));
            }
        }
        Ok(problems)
    }

    fn unknown_name(&self, name: &str, place: String) -> Problem {
        let problem = self.0.registry.get(name).map_or_else(
            |error| error.to_string(),
            |key| format!("setting {:?} is for all channels; no channel has one of its own", key.name),
        );
        warning(place, problem)
    }

    /// Pairs whose first is above the second.
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
                warning(whom.to_owned(), format!("{least} is {low}, which is above {most}, {high}"))
            })
            .collect()
    }
}

fn warning(place: String, problem: String) -> Problem {
    Problem { severity: Severity::Warning, place, problem }
}

/// What is wrong with a value.
fn wrong(key: &Key, layer: Layer, found: Found<'_>) -> Option<Problem> {
    let Found { value, place, sealed } = found;
    let error = |problem: String| Some(Problem { severity: Severity::Error, place: place.clone(), problem });
    match sealed {
        Some(_) if key.kind != super::Kind::Text => {
            error(format!("{} is sealed, and no text, so that nobody can read it: unset it", key.name))
        }
        Some(row) if crate::secrets::key_id(row.value.clone().into_sealed().as_text()).is_none() => {
            error(format!("{} is marked as encrypted and is not sealed: set it with --secret", key.name))
        }
        Some(_) => None,
        None => match key.read(&value, &place) {
            Err(problem) => error(problem.to_string()),
            // The environment is where secrets come from that are not in the database.
            Ok(_) if key.secret && !matches!(layer, Layer::Environment | Layer::DotEnv) => {
                Some(warning(place, format!("{} is a secret and stands there in the clear", key.name)))
            }
            Ok(_) => None,
        },
    }
}

/// Channels in the order of their ids, with their settings.
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
