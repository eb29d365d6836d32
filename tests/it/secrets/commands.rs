//! Tests of `viraldb secrets`, and that no secret leaks.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::*;
use crate::support::{Ran, Scratch, both};

const PLANTED: &str = "planted-1//0gQx7secret";
/// A value that another program stored as plaintext.
const OPEN: &str = "open-1//0gQx7secret";

/// Runs the command with these keys and this standard input.
fn run(t: &Scratch, keys: &str, input: &str, args: &[&str]) -> Ran {
    let mut command = t.command(args);
    command.env("VIRALDB_KEY", keys).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command may end without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    if args.contains(&"--reveal") { Ran::revealed(output) } else { output.into() }
}

fn ok(t: &Scratch, keys: &str, input: &str, args: &[&str]) -> String {
    let ran = run(t, keys, input, args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
    ran.out
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Returns the files in a folder that contain a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let mut bytes = Vec::new();
        std::fs::File::open(entry.path()).unwrap().read_to_end(&mut bytes).unwrap();
        if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found
}

/// Runs the command on a terminal, types the line, if any, at the first prompt, which is output that ends with ": ", and
/// returns all terminal output.
fn on_terminal(t: &Scratch, keys: &str, args: &[&str], mut line: Option<&str>) -> String {
    let command = t.command(args);
    let words: Vec<&str> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_str().unwrap())
        .collect();
    let mut terminal = std::process::Command::new("script");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    terminal.env("VIRALDB_KEY", keys).env("TERM", "xterm").current_dir(command.get_current_dir().unwrap());
    terminal.args(["--quiet", "--flush", "--return", "--command", &words.join(" "), "/dev/null"]);
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut seen, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = output.read(&mut part).unwrap();
        if count == 0 {
            break;
        }
        seen.extend_from_slice(&part[..count]);
        if seen.ends_with(b": ")
            && let Some(line) = line.take()
        {
            // The command turns off the echo shortly after it prints the prompt.
            std::thread::sleep(std::time::Duration::from_millis(300));
            writeln!(input, "{line}").unwrap();
        }
    }
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&seen));
    String::from_utf8(seen).unwrap()
}

both! {
    fn terminal_prompts_for_the_secret_and_shows_progress(t) {
        let db = t.db();
        let (old, new) = (key().to_text(), key().to_text());
        let prompt = "secret (input is hidden): ";
        let seen = on_terminal(t, old.reveal(), &["secrets", "set", "--setting", "api_key"], Some(PLANTED));
        assert!(seen.contains(prompt) && seen.contains("set system_configuration.value of api_key") && !seen.contains(PLANTED), "{seen:?}");
        let opened = ok(t, old.reveal(), "", &["secrets", "get", "--setting", "api_key", "--reveal"]);
        assert_eq!(opened.trim_end(), PLANTED);
        for n in 0..40 {
            set(&db, &ring([&old.reveal().parse().unwrap()]), &Place::Setting(format!("k{n}")), "s");
        }
        let both = format!("{},{}", new.reveal(), old.reveal());
        let seen = on_terminal(t, &both, &["secrets", "rotate", "--batch", "1"], None);
        assert!(seen.contains("/41") && seen.contains(" left"), "{seen:?}");
        assert!(seen.contains("41 encrypted again"), "{seen:?}");
        let seen = on_terminal(t, &both, &["secrets", "rotate", "--quiet"], None);
        assert!(!seen.contains("left"), "{seen:?}");
    }

    fn secrets_commands_set_get_rotate_verify_and_clear(t) {
        let db = t.db();
        let id = db.write(|c| NewChannel::new("Clips", "UC1").insert(c)).unwrap().id.to_string();
        let key_text = ok(t, "", "", &["secrets", "keygen"]);
        let keys = key_text.trim_end();
        assert_eq!((key_text.len(), key_text.lines().count()), (45, 1));
        let key: Key = keys.parse().unwrap();
        let key_id = key.id().to_string();

        let said = ok(t, keys, "hunter2\n", &["secrets", "set", "--channel", "UC1", "--credentials"]);
        let place = format!("channels.api_credentials_encrypted of {id}");
        assert_eq!(said, format!("set {place}, encrypted with key {key_id}\n"));
        let said = json(&ok(t, keys, "ghp\n\n", &["secrets", "set", "--channel", &id, "--github-key", "--format", "json"]));
        assert_eq!((&said["place"], &said["key"]), (&format!("channels.github_secret_key_encrypted of {id}").into(), &key_id.as_str().into()));
        let file = t.file("value", "from a file\r\n");
        ok(t, keys, "", &["secrets", "set", "--setting", "api_key", "--from-file", file.to_str().unwrap()]);

        assert_eq!(ok(t, keys, "", &["secrets", "get", "--channel", "UC1", "--credentials"]), format!("{place} is encrypted with key {key_id}, and can be decrypted\n"));
        assert_eq!(ok(t, keys, "", &["secrets", "get", "--channel", "UC1", "--credentials", "--reveal"]), "hunter2\n");
        assert_eq!(ok(t, keys, "", &["secrets", "get", "--channel", "UC1", "--github-key", "--reveal"]), "ghp\n\n");
        let got = json(&ok(t, keys, "", &["secrets", "get", "--setting", "api_key", "--reveal", "--format", "json"]));
        assert_eq!(got["secret"], "from a file");
        let got = json(&ok(t, keys, "", &["secrets", "get", "--setting", "api_key", "--format", "json"]));
        assert_eq!((got.get("secret"), &got["state"]), (None, &format!("encrypted with key {key_id}").into()));

        let status = json(&ok(t, keys, "", &["secrets", "status", "--format", "json"]));
        assert_eq!((&status["keys"][0]["key"], &status["keys"][0]["values"]), (&key_id.as_str().into(), &3.into()));
        assert_eq!(status["columns"][2]["sealed"][&key_id], 1);
        let status = ok(t, keys, "", &["secrets", "status"]);
        assert!(status.contains(&key_id) && status.contains("channels.api_credentials_encrypted"), "{status}");
        let (of_keys, of_columns) = status.split_once("\n\n").unwrap();
        let header = |table: &str| table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(header(of_keys), "key encrypts given values first used retired");
        assert_eq!(header(of_columns), "column encrypted unencrypted empty");

        let out = t.path("keys");
        let made = ok(t, "", "", &["secrets", "keygen", "--output", out.to_str().unwrap()]);
        let written = std::fs::read_to_string(&out).unwrap();
        let second: Key = written.trim_end().parse().unwrap();
        assert_eq!(made, format!("wrote key {} to {}\n", second.id(), out.display()));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&out.metadata().unwrap()) & 0o777, 0o600);
        assert_eq!(run(t, "", "", &["secrets", "keygen", "--out", out.to_str().unwrap()]).code, 1);
        assert_eq!(std::fs::read_to_string(&out).unwrap(), written);

        let keyring = format!("{written} {keys}");
        assert_eq!(ok(t, &keyring, "", &["secrets", "rotate"]), "3 encrypted again\n");
        assert_eq!(ok(t, &keyring, "", &["secrets", "verify"]), "3 can be decrypted, 0 cannot\n");
        assert_eq!(ok(t, written.trim(), "", &["secrets", "get", "--channel", "UC1", "--credentials", "--reveal"]), "hunter2\n");

        let failed = run(t, keys, "", &["secrets", "verify"]);
        assert_eq!((failed.code, failed.out.lines().count()), (4, 4));
        assert!(failed.out.contains(&format!("{place} is encrypted with key {}, which was not given", second.id())), "{}", failed.out);
        for (format, expected) in [("jsonl", 3), ("csv", 4)] {
            let failed = run(t, keys, "", &["secrets", "verify", "--format", format]);
            assert_eq!((failed.code, failed.out.lines().count()), (4, expected), "{}", failed.out);
        }
        let failed = json(&run(t, keys, "", &["secrets", "verify", "--format", "json"]).out);
        assert_eq!((&failed["failed"], failed["failures"].as_array().unwrap().len()), (&3.into(), 3));
        assert_eq!(run(t, "no key", "", &["secrets", "verify"]).code, 1);

        assert_eq!(ok(t, "", "", &["secrets", "clear", "--setting", "api_key"]), "removed system_configuration.value of api_key\n");
        assert_eq!(ok(t, "", "", &["secrets", "clear", "--setting", "api_key"]), "nothing stored in system_configuration.value of api_key\n");
    }

    fn errors_fit_on_one_line(t) {
        t.db();
        let key = key().to_text();
        for (args, expected) in [
            (&["secrets", "get", "--setting", "s"][..], "has no secret"),
            (&["secrets", "get", "--channel", "UC9", "--credentials"], "row UC9 not found in channels"),
            (&["secrets", "set", "--channel", "UC9", "--credentials"], "row UC9 not found in channels"),
            (&["secrets", "import-fernet", "--key-file", "-", "--salt", "hex:0"], "hexadecimal"),
        ] {
            let ran = run(t, key.reveal(), "s", args);
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?}");
            assert!(ran.err.starts_with("error: ") && ran.err.contains(expected) && ran.err.lines().count() == 1, "{args:?}: {}", ran.err);
        }
        let ran = run(t, key.reveal(), "\n", &["secrets", "set", "--setting", "s"]);
        assert!(ran.code == 1 && ran.err.contains("is empty"), "{}", ran.err);
        let ran = run(t, "", "s", &["secrets", "set", "--setting", "s"]);
        assert!(ran.code == 1 && ran.err.contains("keygen"), "{}", ran.err);
        for args in [
            &["secrets", "get"][..], &["secrets", "get", "--channel", "UC1"], &["secrets", "get", "--credentials"],
            &["secrets", "get", "--channel", "UC1", "--credentials", "--github-key"],
            &["secrets", "get", "--setting", "s", "--channel", "UC1", "--credentials"], &["secrets", "get", "--setting", "s", "--github-key"],
        ] {
            assert_eq!(run(t, key.reveal(), "", args).code, 2, "{args:?}");
        }
        let ran = run(t, key.reveal(), "", &["secrets", "set", "--setting", "s", PLANTED]);
        assert!(ran.code == 1 && ran.err.contains("give it on standard input") && !ran.err.contains(PLANTED), "{}", ran.err);
        t.file("viraldb.toml", "[registry.\"up.times\"]\ntype = \"integer\"\n");
        let ran = run(t, key.reveal(), "5", &["secrets", "set", "--setting", "up.times"]);
        assert!(ran.code == 1 && ran.err.contains("is not text"), "{}", ran.err);
        let ran: Ran = t.command(&["secrets", "verify"]).env("VIRALDB_KEY_FILE", "none").output().unwrap().into();
        assert!(ran.code == 1 && ran.err.starts_with("error: VIRALDB_KEY_FILE cannot be used: none: "), "{}", ran.err);
    }

    fn no_secret_or_key_leaks_into_output_or_files(t) {
        let db = t.db();
        db.write(|c| NewChannel::new("Clips", "UC1").insert(c)).unwrap();
        let (old, new) = (key(), key());
        let (old_text, new_text) = (old.to_text(), new.to_text());
        let both = format!("{},{}", new_text.reveal(), old_text.reveal());
        t.file("keys", &both);
        let mut said = String::new();
        let set = ["secrets", "set", "--channel", "UC1", "--credentials"];
        for (keys, input, args) in [
            (old_text.reveal(), PLANTED, &set[..]),
            (old_text.reveal(), PLANTED, &["secrets", "set", "--channel", "UC1", "--github-key"]),
            (old_text.reveal(), PLANTED, &["secrets", "set", "--setting", "api_key"]),
            (new_text.reveal(), PLANTED, &set), // a wrong key
            (old_text.reveal(), "", &["secrets", "get", "--setting", "api_key"]),
            (new_text.reveal(), "", &["secrets", "get", "--setting", "api_key"]),
            (&format!("{both} {}", &old_text.reveal()[1..]), "", &["secrets", "status"]), // an invalid key
            (&both, "", &["secrets", "status"]),
            (old_text.reveal(), "", &["secrets", "verify"]),
            (new_text.reveal(), "", &["secrets", "verify"]),
            (&both, "", &["secrets", "rotate"]),
            (&both, PLANTED, &["secrets", "import-fernet", "--key-file", "-", "--salt", "s"]),
            ("", "", &["channels", "show", "UC1"]),
            ("", "", &["channels", "list", "--format", "csv"]),
            ("", "", &["status"]),
        ] {
            for log in [&["-vv"][..], &["-vvv", "--log-format", "json"], &["-q", "--format", "json"]] {
                let ran = run(t, keys, input, &[args, log].concat());
                said += &(ran.out + &ran.err);
            }
        }
        // Plaintext written by another program, and damaged values.
        for text in [OPEN.to_owned(), format!("viraldb:1:{}:{OPEN}", new.id()), format!("viraldb:1:{OPEN}"), format!("gAAAA{OPEN}")] {
            for place in [Place::Setting("plain".to_owned()), places(&db)[0].clone()] {
                put(&db, &place, &if matches!(place, Place::Setting(_)) { format!("\"{text}\"") } else { text.clone() });
                let id = place.row_key();
                let named: &[&str] = if id == "plain" { &["--setting", "plain"] } else { &["--channel", &id, "--credentials"] };
                for args in [&[&["secrets", "get"], named].concat()[..], &["secrets", "verify"], &["secrets", "rotate"], &["channels", "list", "--format", "json"], &["secrets", "status", "--format", "json"],
                    &["secrets", "import-fernet", "--key-file", "keys", "--salt", "s"]] {
                    let ran = run(t, &both, "", &[args, &["-vv"]].concat());
                    said += &(ran.out + &ran.err);
                }
                db.write(|c| make::execute(c, "DELETE FROM system_configuration WHERE key = 'plain'; DELETE FROM channels WHERE youtube_channel_id <> 'UC1'")).unwrap();
            }
        }
        assert!(said.contains(&new.id().to_string()) && said.len() > 10_000);
        drop(db);
        let of = |text: &Secret| text.reveal()[..43].to_owned();
        for text in [PLANTED.to_owned(), OPEN.to_owned(), of(&old_text), of(&new_text)] {
            assert!(!said.contains(&text), "{text}");
        }
        // The plaintext values that other programs wrote were deleted. SQLite may keep remnants of them, so
        // search the files only for the keys.
        for text in [of(&old_text), of(&new_text)] {
            assert_eq!(files_with(t.dir.path(), &text), ["keys"]);
        }
        let opened = ok(t, &both, "", &["secrets", "get", "--setting", "api_key", "--reveal"]);
        assert_eq!(opened.trim_end(), PLANTED);
    }

    fn setting_a_secret_leaves_no_trace_in_files_or_the_process_list(t) {
        t.db();
        let keys = key().to_text();
        let mut child = t
            .command(&["secrets", "set", "--setting", "api_key", "-vvv"])
            .env("VIRALDB_KEY", keys.reveal())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        write!(input, "{PLANTED}").unwrap();
        #[cfg(target_os = "linux")]
        {
            let list = || std::fs::read_to_string(format!("/proc/{}/cmdline", child.id())).unwrap();
            // The list is empty for a short time while the program starts.
            let arguments = (0..1_000).map(|_| { std::thread::sleep(std::time::Duration::from_millis(1)); list() }).find(|list| !list.is_empty()).unwrap();
            assert!(arguments.contains("api_key") && !arguments.contains(PLANTED) && !arguments.contains(keys.reveal()), "{arguments}");
        }
        drop(input);
        let ran = child.wait_with_output().unwrap();
        assert!(ran.status.success() && !String::from_utf8_lossy(&ran.stderr).contains(PLANTED));
        assert_eq!(files_with(t.dir.path(), PLANTED), Vec::<String>::new());
        assert_eq!(files_with(t.dir.path(), &keys.reveal()[..43]), Vec::<String>::new());
        let rows = "SELECT value::text AS v FROM system_configuration";
        let rows = if t.is_postgres { rows.to_owned() } else { rows.replace("::text", "") };
        let db = t.db();
        assert!(!db.read(|c| Ok(make::query(c, &rows))).unwrap().concat().contains(PLANTED));
        assert_eq!(get(&db, &ring([&keys.reveal().parse().unwrap()]), &Place::Setting("api_key".to_owned())).unwrap(), PLANTED);
    }
}
