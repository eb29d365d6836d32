//! Tests settings and secrets, including key rotation.

use std::collections::BTreeMap;

use crate::lane::{Lane, Work};
use crate::tally::Left;

/// Settings that do not affect the other lanes.
const KEYS: [&str; 4] =
    ["analytics_poll_hours", "max_concurrent_downloads", "target_duration_max", "clip_duration_max"];

#[derive(Default)]
pub struct Settings {
    /// The value of each setting in each table.
    values: BTreeMap<(&'static str, &'static str), Option<String>>,
    serial: u64,
}

fn stored(lane: &Lane<'_>, place: &str, key: &str) -> Option<String> {
    lane.texts(&format!("SELECT CAST(value AS text) AS v FROM {place} WHERE key = '{key}'")).pop()
}

impl Work for Settings {
    fn set_up(&mut self, lane: &mut Lane<'_>) {
        for key in KEYS {
            for place in ["system_configuration", "config_overrides"] {
                self.values.insert((place, key), stored(lane, place, key));
            }
        }
    }

    fn step(&mut self, lane: &mut Lane<'_>) {
        self.serial += 1;
        let key = KEYS[lane.rng.usize(..KEYS.len())];
        let place = if lane.rng.bool() { "system_configuration" } else { "config_overrides" };
        let value = (600 + self.serial % 100).to_string();
        let value = if key == KEYS[1] { (1 + self.serial % 100).to_string() } else { value };
        let is_unset = lane.rng.u8(..4) == 0;
        let mut args =
            if is_unset { vec!["config", "unset", key] } else { vec!["config", "set", key, &value] };
        args.extend((place == "config_overrides").then_some("--override"));
        let before = self.values[&(place, key)].clone();
        let after = (!is_unset).then(|| value.clone());
        let ran = lane.run(if is_unset { "config unset" } else { "config set" }, &args);
        if ran.is_done {
            self.values.insert((place, key), after);
            return lane.acknowledged(1);
        }
        let there = stored(lane, place, key);
        lane.expect(there == before || there == after, || {
            format!("{key} in {place} was {before:?} and is {there:?}, expected {after:?}")
        });
        self.check_history(lane, place, key, there.as_deref());
        let left = if there == after && after != before { Left::Whole } else { Left::Nothing };
        self.values.insert((place, key), there);
        lane.after(&ran, left);
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        for ((place, key), value) in &self.values {
            let there = stored(lane, place, key);
            lane.expect(there == *value, || format!("{key} in {place} is {there:?}, expected {value:?}"));
            self.check_history(lane, place, key, there.as_deref());
        }
    }
}

impl Settings {
    /// Checks that a change and its row in the history were written in one transaction.
    fn check_history(&self, lane: &Lane<'_>, place: &str, key: &str, value: Option<&str>) {
        let layer = if place == "config_overrides" { "override" } else { "system" };
        let sql = format!(
            "SELECT COALESCE(new_value, '') AS v FROM viraldb_config_changes WHERE key = '{key}' AND layer = '{layer}' \
             ORDER BY id DESC LIMIT 1"
        );
        if let Some(last) = lane.texts(&sql).pop() {
            lane.expect(last == value.unwrap_or_default(), || {
                format!("{key} in {place} is {value:?}, but its last recorded change is {last:?}")
            });
        }
    }
}

#[derive(Default)]
pub struct Secrets {
    /// The secret of each channel and field.
    secrets: BTreeMap<(String, &'static str), Option<String>>,
    serial: u64,
}

impl Work for Secrets {
    fn set_up(&mut self, lane: &mut Lane<'_>) {
        lane.keys = Some(key(lane));
        for n in 0..5 {
            let id = format!("UCtorturesecret{n}");
            lane.sure("channels add", &["channels", "add", "Secret", &id]);
            for field in ["--credentials", "--github-key"] {
                self.secrets.insert((id.clone(), field), None);
            }
        }
    }

    fn step(&mut self, lane: &mut Lane<'_>) {
        if lane.rng.u8(..5) == 0 {
            return self.rotate(lane);
        }
        self.serial += 1;
        let pick = lane.rng.usize(..self.secrets.len());
        let ((channel, field), before) =
            self.secrets.iter().nth(pick).map(|(of, value)| (of.clone(), value.clone())).unwrap();
        let secret = format!("secret {} of {}", self.serial, lane.rng.u64(..));
        let url = lane.round.url.clone();
        let is_clear = lane.rng.u8(..6) == 0;
        let (kind, verb) = if is_clear { ("secrets clear", "clear") } else { ("secrets set", "set") };
        let after = (!is_clear).then(|| secret.clone());
        let ran = lane.run_on(&url, kind, &["secrets", verb, "--channel", &channel, field], Some(&secret));
        if ran.is_done {
            self.secrets.insert((channel, field), after);
            return lane.acknowledged(1);
        }
        lane.expect(!ran.err.contains(&secret), || "an error shows the secret".to_owned());
        let there = revealed(lane, &channel, field);
        lane.expect(there == before || there == after, || {
            format!("the secret {field} of {channel} was {before:?} and is {there:?}, expected {after:?}")
        });
        let left = if there == after && after != before { Left::Whole } else { Left::Nothing };
        self.secrets.insert((channel, field), there);
        lane.after(&ran, left);
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        lane.sure("secrets verify", &["secrets", "verify"]);
        for ((channel, field), secret) in &self.secrets {
            let there = revealed(lane, channel, field);
            lane.expect(there == *secret, || {
                format!("the secret {field} of {channel} is {there:?}, expected {secret:?}")
            });
        }
    }
}

impl Secrets {
    /// Rotates to a new key until that is acknowledged, and then discards the old key.
    fn rotate(&mut self, lane: &mut Lane<'_>) {
        let (new, old) = (key(lane), lane.keys.clone().unwrap_or_default());
        lane.keys = Some(format!("{new},{old}"));
        let ran = lane.run("secrets rotate", &["secrets", "rotate", "--batch", "3"]);
        if !ran.is_done {
            lane.sure("secrets verify", &["secrets", "verify"]);
            let begins = |key: &str| {
                lane.number(&format!(
                    "SELECT count(*) FROM channels WHERE api_credentials_encrypted LIKE 'viraldb:1:{key}:%'"
                ))
            };
            let keys = lane.texts("SELECT id AS v FROM viraldb_keys WHERE retired_at IS NULL");
            let counts: Vec<u64> = keys.iter().map(|key| begins(key)).filter(|count| *count > 0).collect();
            lane.after(&ran, if counts.len() > 1 { Left::Part } else { Left::Nothing });
            lane.sure("secrets rotate", &["secrets", "rotate"]);
        }
        lane.keys = Some(new);
        lane.sure("secrets verify", &["secrets", "verify"]);
    }
}

fn key(lane: &mut Lane<'_>) -> String {
    lane.sure("secrets keygen", &["secrets", "keygen"]).out.trim().to_owned()
}

/// Returns the stored secret, if there is one.
fn revealed(lane: &mut Lane<'_>, channel: &str, field: &str) -> Option<String> {
    let column =
        if field == "--credentials" { "api_credentials_encrypted" } else { "github_secret_key_encrypted" };
    let sql =
        format!("SELECT COALESCE({column}, '') AS v FROM channels WHERE youtube_channel_id = '{channel}'");
    if lane.texts(&sql) == [""] {
        return None;
    }
    let ran = lane.sure("secrets get", &["secrets", "get", "--channel", channel, field, "--reveal"]);
    Some(ran.out.trim_end_matches('\n').to_owned())
}
