//! The page about exit codes and JSON. Its test runs every command and describes the JSON that the command prints.

use std::collections::BTreeMap;

use serde_json::Value;
use viraldb::compilation::NewDiscoveredVideo;

use super::{NOTE, compare};
use crate::cli::help::commands;
use crate::make;
use crate::support::{Ran, Scratch};

/// Exit codes other than 0 for success, 1 for an error and 2 for wrong usage, by command. Other tests produce each of them.
const EXIT_CODES: &[(&str, u8, &str)] = &[
    ("ingest", 3, "rows were rejected, and the others were stored"),
    ("doctor", 3, "warnings"),
    ("doctor", 4, "errors"),
    ("migrate check", 3, "migrations are pending"),
    ("migrate check", 4, "the history differs from the program's"),
    ("migrate check", 5, "the database is newer than the program"),
    ("config validate", 3, "warnings"),
    ("config validate", 4, "errors"),
    ("secrets verify", 4, "a value cannot be decrypted"),
    ("secrets rotate", 4, "a value was not encrypted again"),
    ("secrets import-fernet", 4, "a token cannot be decrypted"),
    ("backup verify", 4, "a backup is damaged"),
    ("jobs work", 3, "with --once or --until-empty: a job failed, or its lease was lost"),
    ("jobs work", 4, "with --once: no job was due"),
];

/// Command lines whose JSON the page describes, at least one of every command, in the order in which they run. [`prepare`]
/// gives the words in capitals a value, and [`claim`] does so for `JOB_ID` and `TOKEN`.
const OUTPUTS: &[&str] = &[
    "init",
    "init --sample --database-url sample.db",
    "status",
    "report",
    "status --sizes",
    "ingest rows.jsonl",
    "ingest --dry-run rows.csv --as csv --table discovered_videos",
    "videos list",
    "videos show a",
    "videos pending gaming",
    "videos mark known used",
    "runs list",
    "runs show 1",
    "runs start music",
    "runs choose RUN_ID --min-clips 1",
    "runs move RUN_ID failed --error timeout",
    "runs retry RUN_ID",
    "runs move RUN_ID running",
    "clips list",
    "clips show 1",
    "scripts list",
    "scripts show 1",
    "shorts list",
    "shorts show 1",
    "reviews list",
    "reviews send RUN_ID",
    "reviews answer 2 hold",
    "reviews hold --after 0s",
    "jobs list",
    "jobs enqueue download --video SOURCE_VIDEO_ID",
    "jobs claim --worker w",
    "jobs heartbeat JOB_ID --token TOKEN",
    "jobs progress JOB_ID --token TOKEN 0.5 --note transcoding",
    "jobs complete JOB_ID --token TOKEN",
    "jobs fail JOB_ID --token TOKEN --error timeout",
    "jobs retry JOB_ID",
    "jobs retry --all",
    "jobs show JOB_ID",
    "jobs release JOB_ID --token TOKEN",
    "jobs snooze JOB_ID --token TOKEN --for 0s",
    "jobs cancel JOB_ID",
    "jobs work --once --type publish -- true",
    "jobs top",
    "jobs tail --no-follow",
    "jobs rescue",
    "jobs prune --older-than 30d",
    "jobs stats",
    "schedules add mornings --type download --video SOURCE_VIDEO_ID --cron @daily",
    "schedules list",
    "schedules show mornings",
    "schedules set mornings --priority 1",
    "schedules pause mornings",
    "schedules resume mornings",
    "schedules run mornings",
    "schedules tick",
    "schedules next @daily",
    "schedules delete mornings",
    "channels list",
    "channels show CHANNEL_ID",
    "channels add Clips UC9",
    "channels edit UC9 --active",
    "channels remove UC9",
    "source-videos list",
    "source-videos show SOURCE_VIDEO_ID",
    "source-videos add https://youtu.be/x Title --channel CHANNEL_ID",
    "source-videos move SOURCE_VIDEO_ID --download failed",
    "source-videos retry SOURCE_VIDEO_ID",
    "source-videos schedule SOURCE_VIDEO_ID 2026-01-01T00:00:00Z",
    "source-videos due",
    "presets list",
    "presets show PRESET_ID",
    "presets add Zoom",
    "presets edit PRESET_ID --active",
    "presets remove PRESET_ID",
    "music list",
    "music show MUSIC_ID",
    "music add Track",
    "music edit MUSIC_ID --active",
    "music remove MUSIC_ID",
    "trends list",
    "trends show TREND_ID",
    "trends add tiktok 1",
    "trends edit TREND_ID --views 1",
    "trends remove TREND_ID",
    "stats video yt1 --since 2020-01-01",
    "stats video SOURCE_VIDEO_ID --since 2020-01-01",
    "stats channel CHANNEL_ID --since 2020-01-01",
    "stats growth yt1 --since 2020-01-01",
    "stats top --of channels --since 2020-01-01",
    "config get max_clips",
    "config set max_clips 12",
    "config list",
    "config explain max_clips",
    "config unset max_clips",
    "config validate",
    "config import settings.toml",
    "config history max_clips",
    "secrets keygen",
    "secrets set --channel CHANNEL_ID --credentials --from-file secret.txt",
    "secrets get --channel CHANNEL_ID --credentials",
    "secrets status",
    "secrets rotate",
    "secrets verify",
    "secrets clear --channel CHANNEL_ID --credentials",
    "secrets import-fernet --key-file app.key --salt salt",
    "doctor",
    "backup create",
    "backup list",
    "backup verify",
    "backup prune --keep 1 --dry-run",
    "backup drill",
    "restore backups/first.zst --yes",
    "doctor --fix",
    "prune",
    "optimize",
    "export clips --output clips.jsonl",
    "transfer --from viral.db --to copy.db",
    "transfer --from viral.db --to copy.db --replace --dry-run",
    "takeover channel_manager.db --to taken.db",
    "migrate revert",
    "migrate check",
    "migrate run",
    "migrate redo",
    "migrate status",
    "schema clips",
    "errors list",
    "errors log --module m --type T message",
    "errors resolve --module m",
];

/// Command lines whose output is text in every format.
const TEXTS: &[&str] = &["metrics", "config export", "migrate sql --all", "completions bash", "man"];

/// The command that runs until it is stopped, and prints only its address.
const SERVER: &str = "serve";

#[test]
fn every_command_is_on_the_output_page() {
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<String> = commands(dir.path(), &[]).iter().map(|words| words.join(" ")).collect();
    let is_of = |line: &str, command: &str| line == command || line.starts_with(&format!("{command} "));
    for command in &all {
        let is_group = all.iter().any(|other| other != command && is_of(other, command));
        let prints_json = OUTPUTS.iter().any(|line| is_of(line, command));
        let prints_text = TEXTS.iter().any(|line| is_of(line, command));
        assert!(
            is_group || command == SERVER || prints_json != prints_text,
            "add a command line of {command} to OUTPUTS, or to TEXTS if it prints text in every format"
        );
    }
}

/// Creates the rows and files that the lines of [`OUTPUTS`] need, and returns the values of the words in capitals.
fn prepare(t: &Scratch) -> BTreeMap<&'static str, String> {
    let words = t
        .db()
        .write(|c| {
            make::seed(c)?;
            make::link(c)?;
            make::analytics().insert(c)?;
            NewDiscoveredVideo { video_id: "known".into(), ..make::discovered_video() }.insert(c)?;
            // An old row with a file for `prune`, and an expired lease for `doctor --fix`.
            make::execute(
                c,
                "UPDATE jobs SET status = 'completed', updated_at = '2020-01-01 00:00:00';
                 UPDATE job_videos SET status = 'published', created_at = '2020-01-01 00:00:00', file_path = 'old.mp4';
                 UPDATE video_processing_jobs SET status = 'processing', leased_by = 'w', lease_token = id,
                     lease_expires_at = '2020-01-01 00:00:00'",
            )?;
            let statistics = make::video_statistics(c).insert(c)?;
            let of_channel = make::channel_statistics(c).insert(c)?;
            Ok(BTreeMap::from([
                ("RUN_ID", make::run_id(c).to_string()),
                ("TREND_ID", make::trend().insert(c)?.id.to_string()),
                ("SOURCE_VIDEO_ID", statistics.video_id.to_string()),
                ("CHANNEL_ID", of_channel.channel_id.to_string()),
                ("PRESET_ID", make::PRESET.to_owned()),
                ("MUSIC_ID", make::PRESET.to_owned()),
            ]))
        })
        .unwrap();
    let video = "{\"video_id\":\"new\",\"title\":\"t\",\"channel_name\":\"c\",\"channel_id\":\"UC1\",\"url\":\"https://youtu.be/new\",\"niche\":\"gaming\"}\n";
    t.file("rows.jsonl", video);
    let video =
        "video_id,title,channel_name,channel_id,url,niche\nnewer,t,c,UC1,https://youtu.be/newer,gaming\n";
    t.file("rows.csv", video);
    t.file("settings.toml", "max_clips = 10\n");
    t.file("secret.txt", "a secret of the channel\n");
    t.file("app.key", "the key of an application\n");
    t.file("channel_manager.db", include_bytes!("../../data/takeover/channel_manager.db"));
    t.ok(&["secrets", "keygen", "--output", "viraldb.key"]);
    t.ok(&["backup", "create", "--output", "backups/first.zst"]);
    words
}

/// Claims a new job and sets `JOB_ID` and `TOKEN` to its id and its lease token.
fn claim(t: &Scratch, words: &mut BTreeMap<&'static str, String>) {
    let video = words["SOURCE_VIDEO_ID"].as_str();
    // The claim takes the job with the highest priority. `jobs fail` uses up its only attempt, so `jobs retry` accepts it.
    t.ok(&["jobs", "enqueue", "download", "--video", video, "--priority", "1", "--max-attempts", "1"]);
    let claimed = t.ok(&["jobs", "claim", "--worker", "w", "--json"]);
    let claimed: Value = serde_json::from_str(&claimed).unwrap();
    for (word, field) in [("JOB_ID", "id"), ("TOKEN", "lease_token")] {
        words.insert(word, claimed[0][field].as_str().unwrap().to_owned());
    }
}

#[test]
fn output_page() {
    let t = Scratch::sqlite();
    let mut words = prepare(&t);
    let mut page = format!(
        "# Exit codes and JSON\n\n{NOTE}\n\nPrograms that run viraldb read its exit code and its JSON. Neither changes without an entry in the changelog.\n\n\
         ## Exit codes\n\n| command | exit code | meaning |\n|---|---|---|\n\
         | every command | 0 | success |\n| every command | 1 | an error; stderr has one line that begins with `error: ` |\n\
         | every command | 2 | wrong usage; stderr says what is wrong |\n"
    );
    for (command, code, meaning) in EXIT_CODES {
        page += &format!("| `{command}` | {code} | {meaning} |\n");
    }
    page += "\n## JSON\n\nWith `--json` a command prints one document. `--format jsonl` prints one object per line, and `--format csv` has the \
             same fields as columns. The reports of `doctor`, `prune`, `secrets verify`, `takeover` and `transfer` print only their rows in these \
             two formats. `ingest --watch`, `jobs work` and `jobs tail` print one object per line with `--json` too, and `jobs top` does if it prints more than \
             once. `completions`, `man`, `migrate sql` and `config export` \
             print text in every format, `serve` prints only its address, and `export` writes rows only as JSON Lines or CSV.\n\n\
             The sections below show the JSON of every command. Words in capitals, such as `JOB_ID`, stand for values of your database. \
             Times are RFC 3339 in UTC, and counts are numbers. The rows of a table have the fields of its [columns](schema.md). \
             The types are those of an example: a column that may be NULL can be null, and the examples are null where their row is. \
             The items of a list are missing where the example's list is empty.\n";
    for line in OUTPUTS {
        if line.contains("TOKEN") {
            claim(&t, &mut words);
        }
        let given = line.split(' ').map(|word| words.get(word).map_or(word, String::as_str));
        let mut args: Vec<&str> = given.collect();
        let end = args.iter().position(|word| *word == "--").unwrap_or(args.len());
        drop(args.splice(end..end, ["--json", "--quiet"]));
        if line.starts_with("jobs work") {
            t.ok(&["jobs", "enqueue", "publish", "--video", &words["SOURCE_VIDEO_ID"]]);
        }
        let ran: Ran =
            t.command(&args).env("VIRALDB_KEY_FILE", t.path("viraldb.key")).output().unwrap().into();
        assert!([0, 3, 4].contains(&ran.code), "{line}: {}", ran.err);
        let out = if line.starts_with("jobs tail") { ran.out.lines().next().unwrap() } else { &ran.out };
        let value: Value =
            serde_json::from_str(out).unwrap_or_else(|error| panic!("{line}: {error}: {}", ran.out));
        let mut fields = BTreeMap::new();
        describe("", &value, &mut fields);
        let kind = fields.remove("").unwrap();
        if !value.is_array() && !value.is_object() {
            page += &format!("\n### {line}\n\nOne value, here a {kind}.\n");
            continue;
        }
        // An empty list would not show the fields.
        assert!(!fields.is_empty(), "{line} prints no fields: {}", ran.out);
        let shape = if value.is_array() { "A list of objects." } else { "One object." };
        page += &format!("\n### {line}\n\n{shape}\n\n| field | type |\n|---|---|\n");
        for (field, types) in fields {
            page += &format!("| `{field}` | {types} |\n");
        }
    }
    t.ok(&["config", "set", "max_clips", "12"]); // so that an export has something to print
    for line in TEXTS {
        let args: Vec<&str> = line.split(' ').chain(["--json"]).collect();
        let text = t.ok(&args);
        assert!(!text.is_empty() && serde_json::from_str::<Value>(&text).is_err(), "{line}: {text}");
    }
    compare("reference/output.md", &page);
}

/// Notes the type of each field. Objects whose keys are data, such as counts by status, are one field with `*`.
fn describe(path: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    /// Fields whose keys are names of tables, statuses, keys or columns.
    const MAPS: &[&str] = &["runs", "jobs", "rows", "manifest.rows", "columns[].sealed", "mapping"];
    let name = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(items) if path.is_empty() => {
            items.iter().for_each(|item| describe("", item, fields));
            "list"
        }
        Value::Array(items) => {
            items.iter().for_each(|item| describe(&format!("{path}[]"), item, fields));
            "list"
        }
        Value::Object(object) if MAPS.contains(&path) => {
            object.values().take(1).for_each(|value| describe(&name("*"), value, fields));
            "object"
        }
        Value::Object(object) => {
            object.iter().for_each(|(field, value)| describe(&name(field), value, fields));
            "object"
        }
    };
    let types = fields.entry(path.to_owned()).or_default();
    if !types.split(", ").any(|known| known == kind) {
        let all = if types.is_empty() { kind.to_owned() } else { format!("{types}, {kind}") };
        *types = all;
    }
}
