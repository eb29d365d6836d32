//! Tests rows that people edit by hand, and small commands that change several rows. Each command must apply completely or
//! not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::lane::{Lane, Work};
use crate::tally::Left;

/// A kind of row that has `add`, `edit` and `remove`.
struct Kept {
    add: [&'static str; 3],
    /// The kinds of the commands, for the tally.
    kinds: [&'static str; 3],
    /// The option for the text of the row.
    option: &'static str,
    /// A query for the name and text of each row.
    query: &'static str,
    /// A query for the id of a row. The name of the row is appended.
    id: &'static str,
}

const KEPT: [Kept; 3] = [
    Kept {
        add: ["presets", "add", ""],
        kinds: ["presets add", "presets edit", "presets remove"],
        option: "--description",
        query: "SELECT name || ' ' || COALESCE(description, '') AS v FROM transformation_presets WHERE name LIKE 'edit%'",
        id: "SELECT CAST(id AS text) AS v FROM transformation_presets WHERE name = ",
    },
    Kept {
        add: ["trends", "add", "tiktok"],
        kinds: ["trends add", "trends edit", "trends remove"],
        option: "--title",
        query: "SELECT external_id || ' ' || COALESCE(title, '') AS v FROM trends WHERE external_id LIKE 'edit%'",
        id: "SELECT CAST(id AS text) AS v FROM trends WHERE external_id = ",
    },
    Kept {
        add: ["channels", "add", "torture"],
        kinds: ["channels add", "channels edit", "channels remove"],
        option: "--github-repo",
        query: "SELECT youtube_channel_id || ' ' || COALESCE(github_repo_url, '') AS v FROM channels WHERE youtube_channel_id LIKE 'edit%'",
        id: "SELECT CAST(id AS text) AS v FROM channels WHERE youtube_channel_id = ",
    },
];

const JOBS: &str = "SELECT CAST(id AS text) || ' ' || status AS v FROM video_processing_jobs";
const REVIEWS: &str =
    "SELECT CAST(pipeline_run_id AS text) || ' ' || COALESCE(action, '') AS v FROM review_log";
const SETTINGS: &str = "SELECT key || ' ' || CAST(value AS text) AS v FROM config_overrides \
    WHERE key IN ('analytics_poll_hours', 'clip_duration_max', 'target_duration_max')";

/// A command and the result of a query after it.
struct Change<'a> {
    url: &'a str,
    kind: &'static str,
    args: &'a [&'a str],
    input: Option<&'a str>,
    query: &'static str,
    after: Vec<String>,
}

#[derive(Default)]
pub struct Edits {
    /// A separate database, whose jobs no worker claims.
    url: String,
    video: String,
    /// The last result of each query.
    known: BTreeMap<&'static str, Vec<String>>,
    secret: Option<String>,
    /// Tokens that a Python application created, with their key.
    fernet: Value,
    made: u64,
}

impl Work for Edits {
    fn set_up(&mut self, lane: &mut Lane<'_>) {
        let prefix = format!("torture{}_{}_e", std::process::id(), lane.round.plan.number);
        self.url = match lane.round.plan.server.filter(|_| lane.round.plan.is_postgres) {
            Some(server) => server.create(&prefix),
            None => format!("sqlite://{}", lane.path("edits.db").display()),
        };
        let url = self.url.clone();
        lane.keys_of = Some(url.clone());
        lane.keys = Some(lane.sure("secrets keygen", &["secrets", "keygen"]).out.trim().to_owned());
        lane.sure_on(&url, "init", &["init"], None);
        let secret = "[registry.youtube_api_key]\ntype = \"text\"\nsecret = true\n";
        std::fs::write(lane.path("viraldb.toml"), secret).unwrap();
        let made: Value = serde_json::from_str(include_str!("../../tests/data/secrets.json")).unwrap();
        self.fernet = made["fernet"].clone();
        std::fs::write(lane.path("application.key"), text(&self.fernet["application_key"])).unwrap();
        let args = ["channels", "add", "Torture", "UCtortureedits", "--format", "json"];
        let added = lane.sure_on(&url, "channels add", &args, None);
        let channel = added.json()["id"].as_str().unwrap_or_default().to_owned();
        let row = format!(
            "{{\"channel_id\":\"{channel}\",\"source_url\":\"https://x/1\",\"source_title\":\"t\",\"source_platform\":\"youtube\"}}\n"
        );
        lane.sure_on(&url, "ingest", &["ingest", "-", "--as", "jsonl", "--table", "videos"], Some(&row));
        self.video = lane.texts_of(&url, "SELECT CAST(id AS text) AS v FROM videos").concat();
        for kept in &KEPT {
            self.known.insert(kept.query, Vec::new());
        }
        for query in [JOBS, REVIEWS, SETTINGS] {
            self.known.insert(query, Vec::new());
        }
    }

    fn step(&mut self, lane: &mut Lane<'_>) {
        match lane.rng.u8(..8) {
            0..=2 => self.edit(lane),
            3 | 4 => self.jobs(lane),
            5 => self.hold(lane),
            6 => self.import(lane),
            _ if lane.rng.u8(..4) == 0 => self.fernet(lane),
            _ => self.seal(lane),
        }
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        for (query, known) in &self.known {
            let there = sorted(lane.texts_of(self.url_of(lane, query), query));
            lane.expect(there == *known, || format!("found {there:?}, expected {known:?}: {query}"));
        }
        let there = self.revealed(lane);
        lane.expect(there == self.secret, || format!("the secret is {there:?}, expected {:?}", self.secret));
        let url = self.url.clone();
        lane.doctor(&url, true);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

impl Edits {
    /// Returns the URL of the database for a query.
    fn url_of<'a>(&'a self, lane: &'a Lane<'_>, query: &str) -> &'a str {
        if KEPT.iter().any(|kept| kept.query == query) { &lane.round.url } else { &self.url }
    }

    /// Runs a command, which may be killed, and checks that it was applied completely or not at all.
    fn change(&mut self, lane: &mut Lane<'_>, change: Change<'_>) {
        let Change { url, kind, args, input, query, after } = change;
        let (before, after) = (self.known[query].clone(), sorted(after));
        let ran = lane.run_on(url, kind, args, input);
        let there = sorted(lane.texts_of(url, query));
        let is_whole = there == after;
        lane.expect(is_whole || (!ran.is_done && there == before), || {
            format!(
                "{args:?} ended with {:?}: {there:?}, before {before:?}, expected {after:?}: {}",
                ran.code,
                ran.err.trim()
            )
        });
        self.known.insert(query, there);
        if ran.is_done {
            return lane.acknowledged(1);
        }
        lane.doctor(url, false);
        lane.after(&ran, if is_whole { Left::Whole } else { Left::Nothing });
    }

    fn edit(&mut self, lane: &mut Lane<'_>) {
        let url = lane.round.url.clone();
        let kept = &KEPT[lane.rng.usize(..KEPT.len())];
        self.made += 1;
        let text = format!("text{}", self.made);
        let mut after = self.known[kept.query].clone();
        if after.len() < 3 {
            let name = format!("edit{}", self.made);
            after.push(format!("{name} {text}"));
            let mut args: Vec<&str> = kept.add.into_iter().filter(|arg| !arg.is_empty()).collect();
            args.extend([name.as_str(), kept.option, &text]);
            let change =
                Change { url: &url, kind: kept.kinds[0], args: &args, input: None, query: kept.query, after };
            return self.change(lane, change);
        }
        let pick = lane.rng.usize(..after.len());
        let name = after.swap_remove(pick).split(' ').next().unwrap_or_default().to_owned();
        let id = lane.texts(&format!("{} '{name}'", kept.id)).concat();
        if lane.rng.bool() {
            let args = [kept.add[0], "remove", &id];
            let change =
                Change { url: &url, kind: kept.kinds[2], args: &args, input: None, query: kept.query, after };
            return self.change(lane, change);
        }
        after.push(format!("{name} {text}"));
        let args = [kept.add[0], "edit", &id, kept.option, &text];
        let change =
            Change { url: &url, kind: kept.kinds[1], args: &args, input: None, query: kept.query, after };
        self.change(lane, change);
    }

    fn jobs(&mut self, lane: &mut Lane<'_>) {
        let url = self.url.clone();
        while self.known[JOBS].len() < 6 {
            let args = ["jobs", "enqueue", "scrape", "--video", &self.video];
            lane.sure_on(&url, "jobs enqueue", &args, None);
            self.known.insert(JOBS, sorted(lane.texts_of(&url, JOBS)));
        }
        let known = self.known[JOBS].clone();
        let of = |status: &str| -> Vec<String> {
            known
                .iter()
                .filter_map(|job| job.strip_suffix(status))
                .take(3)
                .map(|id| id.trim_end().to_owned())
                .collect()
        };
        let (queued, failed) = (of("queued"), of("failed"));
        let moved = |ids: &[String], to: &str| -> Vec<String> {
            let is_meant = |job: &&String| ids.iter().any(|id| job.starts_with(id.as_str()));
            let others = known.iter().filter(|job| !is_meant(job)).cloned();
            others.chain(ids.iter().map(|id| format!("{id} {to}"))).collect()
        };
        let (kind, command, ids, after) = match lane.rng.u8(..3) {
            0 if failed.len() > 1 => ("jobs retry", "retry", &failed, moved(&failed, "queued")),
            1 if !failed.is_empty() => {
                // Wait until the jobs are older than one second.
                std::thread::sleep(Duration::from_millis(1_100));
                let after = known.iter().filter(|job| !job.ends_with("failed")).cloned().collect();
                let args = ["jobs", "prune", "--older-than", "1s"];
                let change =
                    Change { url: &url, kind: "jobs prune", args: &args, input: None, query: JOBS, after };
                return self.change(lane, change);
            }
            _ if !queued.is_empty() => ("jobs cancel", "cancel", &queued, moved(&queued, "failed")),
            _ => return,
        };
        let args: Vec<&str> = ["jobs", command].into_iter().chain(ids.iter().map(String::as_str)).collect();
        self.change(lane, Change { url: &url, kind, args: &args, input: None, query: JOBS, after });
    }

    /// Checks that `reviews hold` holds all unanswered reviews together.
    fn hold(&mut self, lane: &mut Lane<'_>) {
        let url = self.url.clone();
        let mut runs = Vec::new();
        for _ in 0..2 {
            self.made += 1;
            let niche = format!("edits{}", self.made);
            let args = ["runs", "start", &niche, "--format", "json"];
            let run = lane.sure_on(&url, "runs start", &args, None).json()["id"].to_string();
            lane.sure_on(&url, "runs move", &["runs", "move", &run, "running"], None);
            lane.sure_on(&url, "reviews send", &["reviews", "send", &run], None);
            runs.push(run);
        }
        let known = sorted(lane.texts_of(&url, REVIEWS));
        std::thread::sleep(Duration::from_millis(1_100));
        let held = |review: &String| format!("{} hold", review.split(' ').next().unwrap_or_default());
        let after = known.iter().map(held).collect();
        self.known.insert(REVIEWS, known);
        let args = ["reviews", "hold", "--after", "1s"];
        let change =
            Change { url: &url, kind: "reviews hold", args: &args, input: None, query: REVIEWS, after };
        self.change(lane, change);
        for run in runs {
            // End the runs again, because the number of concurrent runs is limited.
            lane.sure_on(&url, "runs move", &["runs", "move", &run, "failed", "--error", "torture"], None);
        }
    }

    fn import(&mut self, lane: &mut Lane<'_>) {
        let url = self.url.clone();
        self.made += 1;
        let keys = ["analytics_poll_hours", "clip_duration_max", "target_duration_max"];
        let value = 600 + self.made % 100;
        let toml: String = keys.iter().map(|key| format!("{key} = {value}\n")).collect();
        let after = keys.iter().map(|key| format!("{key} {value}")).collect();
        let args = ["config", "import", "-", "--override"];
        let change = Change {
            url: &url,
            kind: "config import",
            args: &args,
            input: Some(&toml),
            query: SETTINGS,
            after,
        };
        self.change(lane, change);
    }

    fn seal(&mut self, lane: &mut Lane<'_>) {
        let url = self.url.clone();
        self.made += 1;
        let secret = format!("secret{}of{}", self.made, lane.rng.u64(..));
        let ran = lane.run_on(
            &url,
            "config set --secret",
            &["config", "set", "youtube_api_key", "--secret"],
            Some(&secret),
        );
        lane.expect(!ran.err.contains(&secret), || "an error shows the secret".to_owned());
        let there = self.revealed(lane);
        let is_whole = there.as_ref() == Some(&secret);
        lane.expect(is_whole || (!ran.is_done && there == self.secret), || {
            format!("the secret was {:?} and is {there:?}, expected {secret}", self.secret)
        });
        self.secret = there;
        if ran.is_done {
            return lane.acknowledged(1);
        }
        lane.doctor(&url, false);
        lane.after(&ran, if is_whole { Left::Whole } else { Left::Nothing });
    }

    /// Checks that a value that a Python application encrypted is either unchanged or encrypted with viraldb's key.
    fn fernet(&mut self, lane: &mut Lane<'_>) {
        let url = self.url.clone();
        let made = &self.fernet["tokens"][0];
        let (token, secret) = (text(&made["token"]), text(&made["secret"]));
        lane.write_to(
            &url,
            &format!("UPDATE channels SET api_credentials_encrypted = '{token}' WHERE youtube_channel_id = 'UCtortureedits'"),
        );
        let args = [
            "secrets",
            "import-fernet",
            "--key-file",
            "application.key",
            "--salt",
            text(&self.fernet["salt"]),
        ];
        let ran = lane.run_on(&url, "secrets import-fernet", &args, None);
        let stored =
            "SELECT api_credentials_encrypted AS v FROM channels WHERE youtube_channel_id = 'UCtortureedits'";
        let there = lane.texts_of(&url, stored).concat();
        let is_whole = there.starts_with("viraldb:1:");
        lane.expect(is_whole || (!ran.is_done && there == token), || format!("the token became {there:?}"));
        if ran.is_done {
            lane.acknowledged(1);
        } else {
            lane.after(&ran, if is_whole { Left::Whole } else { Left::Nothing });
            lane.sure_on(&url, "secrets import-fernet", &args, None);
        }
        let get = ["secrets", "get", "--channel", "UCtortureedits", "--credentials", "--reveal"];
        let opened = lane.sure_on(&url, "secrets get", &get, None).out;
        lane.expect(opened.trim_end() == secret, || "a token was decrypted to another secret".to_owned());
    }

    fn revealed(&self, lane: &mut Lane<'_>) -> Option<String> {
        let url = self.url.clone();
        let stored = "SELECT count(*) FROM system_configuration WHERE key = 'youtube_api_key'";
        if lane.number_of(&url, stored) == 0 {
            return None;
        }
        let ran = lane.sure_on(&url, "config get", &["config", "get", "youtube_api_key", "--reveal"], None);
        Some(ran.out.trim_end().to_owned())
    }
}
