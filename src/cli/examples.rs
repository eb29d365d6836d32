//! The examples that `--help` prints after the options of each command.

use std::fmt::Write as _;

use clap::Command;
use clap::builder::{StyledStr, Styles};

/// Examples by command. A group of commands has those of its commands, unless it has its own.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "init",
        &[
            "viraldb init",
            "viraldb init --sample",
            "viraldb init --database-url postgres://user@host/db?schema=viral",
        ],
    ),
    (
        "ingest",
        &[
            "viraldb ingest US_youtube_trending_data.csv",
            "viraldb ingest 'exports/**/*.json' --niche gaming",
            "viraldb ingest --dry-run report.csv --map title=Titel,view_count=Aufrufe",
            "viraldb ingest --watch incoming --done done",
        ],
    ),
    (
        "status",
        &["viraldb status", "viraldb status --exact", "viraldb status --sizes", "viraldb status --json"],
    ),
    (
        "report",
        &[
            "viraldb report",
            "viraldb report -o week.html --since 7d",
            "viraldb report --since 24h --niche gaming",
        ],
    ),
    (
        "serve",
        &[
            "viraldb serve",
            "viraldb serve --allow-actions",
            "viraldb serve --listen 0.0.0.0:8480 --host dash.example.net --auth-file users --token-file token",
            "viraldb serve --hash-password ana",
        ],
    ),
    (
        "videos list",
        &[
            "viraldb videos list --niche gaming --status pending",
            "viraldb videos list --columns video_id,title",
        ],
    ),
    (
        "videos show",
        &["viraldb videos show dQw4w9WgXcQ", "viraldb videos show dQw4w9WgXcQ --columns title,url"],
    ),
    ("videos pending", &["viraldb videos pending gaming --limit 15"]),
    ("videos mark", &["viraldb videos mark dQw4w9WgXcQ used"]),
    ("runs list", &["viraldb runs list --status review"]),
    ("runs show", &["viraldb runs show 1"]),
    ("runs start", &["viraldb runs start gaming", "viraldb runs start gaming --cycle 12h"]),
    ("runs choose", &["viraldb runs choose 1 --limit 15 --min-score 0.5"]),
    (
        "runs move",
        &["viraldb runs move 1 running", "viraldb runs move 1 failed --error 'upload quota exceeded'"],
    ),
    ("runs retry", &["viraldb runs retry 1 2"]),
    ("clips list", &["viraldb clips list --run 1"]),
    ("clips show", &["viraldb clips show 1"]),
    ("scripts list", &["viraldb scripts list --run 1"]),
    ("scripts show", &["viraldb scripts show 1 --json"]),
    ("shorts list", &["viraldb shorts list --status pending"]),
    ("shorts show", &["viraldb shorts show 1"]),
    ("reviews list", &["viraldb reviews list --open"]),
    ("reviews send", &["viraldb reviews send 1"]),
    ("reviews answer", &["viraldb reviews answer 1 approve", "viraldb reviews answer 1 skip 4,7"]),
    ("reviews hold", &["viraldb reviews hold --after 4h"]),
    ("jobs list", &["viraldb jobs list --status failed --type download", "viraldb jobs list --since 2h"]),
    (
        "jobs enqueue",
        &[
            "viraldb jobs enqueue download --video 019a2f3c-7b1e-7000-8000-0123456789ab",
            "viraldb jobs enqueue publish --video 019a2f3c-7b1e-7000-8000-0123456789ab --run-at 2026-12-24T18:00:00Z",
            "viraldb jobs enqueue download --video 019a2f3c-7b1e-7000-8000-0123456789ab --payload '{\"quality\": \"1080p\"}'",
        ],
    ),
    ("jobs claim", &["viraldb jobs claim --worker host-1 --type download --limit 10 --lease 5m --json"]),
    (
        "jobs heartbeat",
        &[
            "viraldb jobs heartbeat 019a2f3c-7b1e-7000-8000-0123456789ab --token 019a2f3c-7b1e-7000-8000-0123456789ac --lease 5m",
        ],
    ),
    (
        "jobs complete",
        &[
            "viraldb jobs complete 019a2f3c-7b1e-7000-8000-0123456789ab --token 019a2f3c-7b1e-7000-8000-0123456789ac",
        ],
    ),
    (
        "jobs fail",
        &[
            "viraldb jobs fail 019a2f3c-7b1e-7000-8000-0123456789ab --token 019a2f3c-7b1e-7000-8000-0123456789ac --error timeout",
        ],
    ),
    (
        "jobs release",
        &[
            "viraldb jobs release 019a2f3c-7b1e-7000-8000-0123456789ab --token 019a2f3c-7b1e-7000-8000-0123456789ac",
        ],
    ),
    ("jobs show", &["viraldb jobs show 019a2f3c-7b1e-7000-8000-0123456789ab"]),
    (
        "jobs snooze",
        &[
            "viraldb jobs snooze 019a2f3c-7b1e-7000-8000-0123456789ab --token 019a2f3c-7b1e-7000-8000-0123456789ac --for 10m",
        ],
    ),
    (
        "jobs retry",
        &[
            "viraldb jobs retry 019a2f3c-7b1e-7000-8000-0123456789ab",
            "viraldb jobs retry --all --type download --error 'HTTP 503'",
        ],
    ),
    (
        "jobs progress",
        &[
            "viraldb jobs progress 019a2f3c-7b1e-7000-8000-0123456789ab --token 019a2f3c-7b1e-7000-8000-0123456789ac 0.5",
        ],
    ),
    ("jobs cancel", &["viraldb jobs cancel 019a2f3c-7b1e-7000-8000-0123456789ab"]),
    ("jobs rescue", &["viraldb jobs rescue"]),
    (
        "jobs work",
        &[
            "viraldb jobs work --type download --concurrency 4 -- ./download.sh",
            "viraldb jobs work --until-empty --timeout 10m -- python3 work.py --fast",
        ],
    ),
    ("jobs top", &["viraldb jobs top", "viraldb jobs top --count 1 --json"]),
    ("jobs tail", &["viraldb jobs tail --type download", "viraldb jobs tail --since 2h --no-follow --json"]),
    ("jobs prune", &["viraldb jobs prune --older-than 30d"]),
    ("jobs stats", &["viraldb jobs stats", "viraldb jobs stats --window 1d"]),
    ("schedules list", &["viraldb schedules list"]),
    ("schedules show", &["viraldb schedules show mornings"]),
    (
        "schedules add",
        &[
            "viraldb schedules add mornings --type download --video 019a2f3c-7b1e-7000-8000-0123456789ab --cron '0 6 * * *' --time-zone Europe/Berlin",
            "viraldb schedules add often --type scrape --video 019a2f3c-7b1e-7000-8000-0123456789ab --cron '*/15 * * * *' --missed skip",
        ],
    ),
    (
        "schedules set",
        &[
            "viraldb schedules set mornings --cron '30 6 * * MON-FRI'",
            "viraldb schedules set mornings --priority 5 --overlap=false",
        ],
    ),
    ("schedules pause", &["viraldb schedules pause mornings"]),
    ("schedules resume", &["viraldb schedules resume mornings"]),
    ("schedules delete", &["viraldb schedules delete mornings"]),
    ("schedules run", &["viraldb schedules run mornings"]),
    ("schedules tick", &["viraldb schedules tick", "viraldb schedules tick --quiet"]),
    (
        "schedules next",
        &[
            "viraldb schedules next '0 6 * * *' --time-zone Europe/Berlin",
            "viraldb schedules next @weekly --count 3",
        ],
    ),
    ("channels list", &["viraldb channels list --active"]),
    ("channels show", &["viraldb channels show UC-lHJZR3Gqxm24_Vd_AJ5Yw"]),
    (
        "channels add",
        &["viraldb channels add 'My channel' UC-lHJZR3Gqxm24_Vd_AJ5Yw --kind republishing --active"],
    ),
    ("channels edit", &["viraldb channels edit UC-lHJZR3Gqxm24_Vd_AJ5Yw --active=false"]),
    ("channels remove", &["viraldb channels remove UC-lHJZR3Gqxm24_Vd_AJ5Yw --yes"]),
    ("source-videos list", &["viraldb source-videos list --status failed"]),
    ("source-videos show", &["viraldb source-videos show 019a2f3c-7b1e-7000-8000-0123456789ab"]),
    (
        "source-videos add",
        &[
            "viraldb source-videos add https://youtu.be/dQw4w9WgXcQ 'A title' --channel UC-lHJZR3Gqxm24_Vd_AJ5Yw",
        ],
    ),
    (
        "source-videos move",
        &["viraldb source-videos move 019a2f3c-7b1e-7000-8000-0123456789ab --download downloaded"],
    ),
    (
        "source-videos schedule",
        &["viraldb source-videos schedule 019a2f3c-7b1e-7000-8000-0123456789ab 2026-12-24T18:00:00Z"],
    ),
    ("source-videos retry", &["viraldb source-videos retry 019a2f3c-7b1e-7000-8000-0123456789ab"]),
    ("source-videos due", &["viraldb source-videos due"]),
    ("presets list", &["viraldb presets list"]),
    ("presets show", &["viraldb presets show 019a2f3c-7b1e-7000-8000-0123456789ab"]),
    (
        "presets add",
        &["viraldb presets add 'Zoom and flip' --parameters '{\"zoom\": 1.1, \"flip\": true}' --default"],
    ),
    (
        "presets edit",
        &["viraldb presets edit 019a2f3c-7b1e-7000-8000-0123456789ab --parameters @preset.json"],
    ),
    ("presets remove", &["viraldb presets remove 019a2f3c-7b1e-7000-8000-0123456789ab"]),
    ("music list", &["viraldb music list --active"]),
    ("music show", &["viraldb music show 019a2f3c-7b1e-7000-8000-0123456789ab"]),
    ("music add", &["viraldb music add 'Night drive' --artist 'The Band' --file music/night-drive.mp3"]),
    ("music edit", &["viraldb music edit 019a2f3c-7b1e-7000-8000-0123456789ab --active=false"]),
    ("music remove", &["viraldb music remove 019a2f3c-7b1e-7000-8000-0123456789ab"]),
    ("trends list", &["viraldb trends list --platform tiktok"]),
    ("trends show", &["viraldb trends show 1"]),
    ("trends add", &["viraldb trends add tiktok 7290123456789012345 --title 'A dance' --views 120000"]),
    ("trends edit", &["viraldb trends edit 1 --views 150000"]),
    ("trends remove", &["viraldb trends remove 1"]),
    ("stats video", &["viraldb stats video dQw4w9WgXcQ --since 30d --every day"]),
    ("stats channel", &["viraldb stats channel UC-lHJZR3Gqxm24_Vd_AJ5Yw --since 2026-11-01"]),
    ("stats growth", &["viraldb stats growth dQw4w9WgXcQ M9Pmf9AB4Mo --since 2d"]),
    (
        "stats top",
        &["viraldb stats top --since 1d --limit 10", "viraldb stats top --of channels --since 30d"],
    ),
    ("config get", &["viraldb config get max_clips"]),
    ("config set", &["viraldb config set max_clips 12", "viraldb config set queue_paused true --override"]),
    ("config unset", &["viraldb config unset max_clips"]),
    ("config list", &["viraldb config list", "viraldb config list --channel UC-lHJZR3Gqxm24_Vd_AJ5Yw"]),
    ("config explain", &["viraldb config explain max_clips"]),
    ("config validate", &["viraldb config validate"]),
    ("config import", &["viraldb config import settings.toml"]),
    ("config export", &["viraldb config export"]),
    ("config history", &["viraldb config history max_clips"]),
    ("secrets keygen", &["viraldb secrets keygen --output viraldb.key"]),
    ("secrets status", &["viraldb secrets status"]),
    ("secrets rotate", &["viraldb secrets rotate"]),
    ("secrets verify", &["viraldb secrets verify"]),
    (
        "secrets set",
        &[
            "viraldb secrets set --channel UC-lHJZR3Gqxm24_Vd_AJ5Yw --credentials --from-file credentials.json",
        ],
    ),
    ("secrets get", &["viraldb secrets get --channel UC-lHJZR3Gqxm24_Vd_AJ5Yw --credentials --reveal"]),
    ("secrets clear", &["viraldb secrets clear --setting youtube_api_key"]),
    ("secrets import-fernet", &["viraldb secrets import-fernet --key-file app.key --salt my-salt --dry-run"]),
    ("metrics", &["viraldb metrics", "viraldb metrics --backups /var/backups/viraldb"]),
    ("doctor", &["viraldb doctor", "viraldb doctor --deep --fix", "viraldb doctor --only wal,backups"]),
    (
        "backup create",
        &[
            "viraldb backup create",
            "viraldb backup create --output /mnt/backups --passphrase-file backup.pass",
        ],
    ),
    ("backup list", &["viraldb backup list"]),
    ("backup verify", &["viraldb backup verify", "viraldb backup verify backups/viral.zst"]),
    ("backup prune", &["viraldb backup prune --daily 7 --weekly 4 --dry-run"]),
    ("backup drill", &["viraldb backup drill"]),
    ("restore", &["viraldb restore backups/viral.zst", "viraldb restore backups/viral.zst --yes"]),
    ("prune", &["viraldb prune --dry-run", "viraldb prune --only errors,jobs"]),
    ("optimize", &["viraldb optimize", "viraldb optimize --vacuum"]),
    (
        "export",
        &[
            "viraldb export discovered_videos --since 7d --output videos.jsonl",
            "viraldb export --all --output export/",
            "viraldb export channels --as csv",
        ],
    ),
    ("transfer", &["viraldb transfer --from sqlite://viral.db --to postgres://user@host/db --dry-run"]),
    ("takeover", &["viraldb takeover /srv/app/channel_manager.db --to viral.db --dry-run"]),
    ("migrate run", &["viraldb migrate run"]),
    ("migrate revert", &["viraldb migrate revert --count 1"]),
    ("migrate redo", &["viraldb migrate redo"]),
    ("migrate status", &["viraldb migrate status"]),
    ("migrate check", &["viraldb migrate check"]),
    ("migrate sql", &["viraldb migrate sql --all"]),
    (
        "schema",
        &[
            "viraldb schema clips",
            "viraldb schema --domain compilation --format mermaid",
            "viraldb schema --format dot | dot -Tsvg > schema.svg",
        ],
    ),
    ("errors list", &["viraldb errors list --module upload", "viraldb errors list --all --since 2h"]),
    ("errors log", &["viraldb errors log --module upload --type QuotaError 'quota exceeded'"]),
    ("errors resolve", &["viraldb errors resolve 17 18", "viraldb errors resolve --module upload"]),
    (
        "completions",
        &[
            "viraldb completions bash > ~/.local/share/bash-completion/completions/viraldb",
            "viraldb completions fish > ~/.config/fish/completions/viraldb.fish",
        ],
    ),
    ("man", &["viraldb man | man -l -", "viraldb man --output /usr/local/share/man/man1"]),
];

/// Adds the examples to every command.
pub(super) fn add(command: Command) -> Command {
    under(command, "")
}

fn under(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        if name == "help" {
            return command.mut_subcommand(name, |help| help.about("Print help for a command"));
        }
        let path = format!("{path} {name}").trim_start().to_owned();
        command.mut_subcommand(name, |sub| under(sub, &path))
    });
    match of(path).as_slice() {
        [] => command,
        examples => command.after_long_help(text(examples)),
    }
}

/// Returns the examples of a command, or of the commands of a group.
fn of(path: &str) -> Vec<&'static str> {
    let is_of = |command: &str| {
        command == path || command.strip_prefix(path).is_some_and(|rest| rest.starts_with(' '))
    };
    match path {
        "" => vec!["viraldb init --sample", "viraldb videos pending gaming --limit 5", "viraldb status"],
        _ => EXAMPLES
            .iter()
            .filter(|(command, _)| is_of(command))
            .flat_map(|(_, lines)| lines.iter().copied())
            .collect(),
    }
}

fn text(examples: &[&str]) -> StyledStr {
    let styles = Styles::styled();
    let header = styles.get_header();
    let mut text = StyledStr::new();
    let _ = write!(text, "{header}Examples:{header:#}"); // writing to a string does not fail
    for example in examples {
        let _ = write!(text, "\n  {example}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::help::command;
    use super::EXAMPLES;

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name()).trim().to_owned();
            if sub.has_subcommands() { leaves(sub, &path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn every_command_has_examples_and_every_example_is_of_a_command() {
        let mut commands = Vec::new();
        leaves(&command(), "", &mut commands);
        let mut with_examples: Vec<&str> = EXAMPLES.iter().map(|(path, _)| *path).collect();
        commands.sort_unstable();
        with_examples.sort_unstable();
        assert_eq!(with_examples, commands);
    }

    #[test]
    fn examples_are_valid_command_lines_of_their_command() {
        for (path, examples) in EXAMPLES {
            for example in *examples {
                let line = example.split(" | ").next().and_then(|line| line.split(" > ").next()).unwrap();
                let words = words(line);
                command().try_get_matches_from(&words).unwrap_or_else(|error| panic!("{example}: {error}"));
                assert!(line.starts_with(&format!("viraldb {path}")), "{example} is not of {path}");
            }
        }
    }

    /// Splits a line at blanks, as a shell does; single quotes keep blanks.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (n, part) in line.split('\'').enumerate() {
            if n % 2 == 1 {
                words.last_mut().unwrap().push_str(part);
                continue;
            }
            for (m, word) in part.split(' ').enumerate() {
                if m > 0 {
                    words.push(String::new());
                }
                words.last_mut().unwrap().push_str(word);
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }
}
