//! Tests of key rotation with concurrent readers and writers, and when the process is killed at any time.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use viraldb::secrets::Progress;

use super::*;
use crate::support::{Ran, Scratch, both};

/// Stops the helper threads of a test, even if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sets `count` secrets over all columns and returns them with their plaintexts.
fn many(db: &Database, keyring: &Keyring, count: usize) -> HashMap<Place, String> {
    db.write(|c| {
        (0..count)
            .map(|n| {
                let place = match n % 3 {
                    0 => Place::Setting(make::unique("secret")),
                    kind => {
                        let id = NewChannel::new("Clips", make::unique("UC")).insert(c)?.id;
                        if kind == 1 { Place::ChannelCredentials(id) } else { Place::ChannelGithubKey(id) }
                    }
                };
                let text = format!("planted {n} {}", "x".repeat(n % 700));
                secrets::set(c, keyring, &place, &secret(&text))?;
                Ok((place, text))
            })
            .collect()
    })
    .unwrap()
}

fn all_open(db: &Database, keyring: &Keyring, expected: &HashMap<Place, String>) {
    for (place, text) in expected {
        assert_eq!(&get(db, keyring, place).unwrap(), text, "{place}");
    }
}

fn sealed(db: &Database, key: &Key) -> u64 {
    let status = db.read(|c| secrets::status(c, &Keyring::default())).unwrap();
    status.keys.iter().filter(|found| found.key == key.id()).map(|found| found.values).sum()
}

both! {
    fn rotation_encrypts_every_value_with_the_first_key(t) {
        let db = t.db();
        let (old, new) = (key(), key());
        let expected = many(&db, &ring([&old]), 100);
        let mut seen: Vec<Progress> = Vec::new();
        let done = secrets::rotate(&db, &ring([&new, &old]), 7, &mut |at| seen.push(at)).unwrap();
        assert_eq!((done.resealed, done.failed, done.left), (100, 0, 0));
        assert_eq!((seen[0].done, seen[0].left), (0, 100));
        assert!(seen.windows(2).all(|two| two[0].done <= two[1].done && two[0].left >= two[1].left));
        assert_eq!((seen[seen.len() - 1].done, seen[seen.len() - 1].left), (100, 0));
        all_open(&db, &ring([&new]), &expected);
        assert_eq!((sealed(&db, &old), sealed(&db, &new)), (0, 100));
        assert_eq!(recorded(&db), sorted([format!("{} retired", old.id()), format!("{} in use", new.id())]));
        // A second rotation has nothing to do and writes nothing.
        let (place, _) = expected.iter().next().unwrap();
        let before = stored(&db, place);
        assert_eq!(secrets::rotate(&db, &ring([&new, &old]), 7, &mut |_| ()).unwrap().resealed, 0);
        assert_eq!(stored(&db, place), before);
    }

    fn undecryptable_values_are_left_and_reported(t) {
        let db = t.db();
        let (old, lost, new) = (key(), key(), key());
        let expected = many(&db, &ring([&old]), 30);
        let bad: Vec<Place> = places(&db).into_iter().chain(places(&db)).collect();
        for (n, place) in bad.iter().enumerate() {
            set(&db, &ring([&lost, &old]), place, "s");
            let quote = if n % 3 == 2 { "\"" } else { "" };
            match n {
                0 | 5 => put(&db, place, &format!("{quote}plain{quote}")),
                1 | 2 => put(&db, place, &format!("{quote}viraldb:1:{}:AAAA{quote}", old.id())),
                _ => {} // its key is not given
            }
        }
        let before: Vec<String> = bad.iter().map(|place| stored(&db, place)).collect();
        let keyring = ring([&new, &old]);
        let done = secrets::rotate(&db, &keyring, 4, &mut |_| ()).unwrap();
        assert_eq!((done.resealed, done.failed, done.failures.len()), (30, 6, 6));
        let mut failures = Vec::new();
        let verified = secrets::verify(&db, &keyring, &mut |failure| { failures.push(failure); Ok(()) }).unwrap();
        assert_eq!((verified.opened, verified.failed), (30, 6));
        assert_eq!(failures, done.failures);
        for place in &bad {
            let failure = failures.iter().find(|failure| failure.place == *place).unwrap();
            let document = serde_json::to_value(failure).unwrap();
            let (column, row) = (place.column(), place.row_key());
            let expected = serde_json::json!({"table": column.table(), "column": column.name(), "row": row, "reason": failure.reason});
            assert_eq!(document, expected);
            assert_eq!(serde_json::from_value::<secrets::Failure>(document).unwrap(), *failure);
        }
        let why = |text: &str| failures.iter().filter(|failure| failure.reason.contains(text)).count();
        assert_eq!((why("not encrypted"), why("damaged"), why(&lost.id().to_string())), (2, 2, 2));
        assert_eq!(bad.iter().map(|place| stored(&db, place)).collect::<Vec<_>>(), before);
        all_open(&db, &keyring, &expected);
        // The command exits with 4. The other values are encrypted with the first key already.
        let keys = format!("{},{}", new.to_text().reveal(), old.to_text().reveal());
        let ran: Ran = t.command(&["secrets", "rotate", "--json"]).env("VIRALDB_KEY", keys).output().unwrap().into();
        assert_eq!(ran.code, 4, "{}", ran.err);
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&report["resealed"], &report["failed"]), (&0.into(), &6.into()));
        // A key stays in use while a value is encrypted with it.
        let states = recorded(&db);
        assert!(states.contains(&format!("{} in use", lost.id())), "{states:?}");
        assert!(states.contains(&format!("{} in use", old.id())), "two damaged values still name this key: {states:?}");
    }

    fn status_counts_values_without_a_key(t) {
        let db = t.db();
        let (old, new, idle) = (key(), key(), key());
        many(&db, &ring([&old]), 9);
        let [a, b, _] = places(&db);
        set(&db, &ring([&new, &old]), &a, "s");
        put(&db, &b, "plain");
        put(&db, &Place::Setting("bare".to_owned()), if t.is_postgres { "5" } else { "bare text" });
        put(&db, &Place::Setting("null".to_owned()), "null");
        put(&db, &Place::Setting("empty".to_owned()), "\"\"");
        let status = db.read(|c| secrets::status(c, &ring([&idle, &new]))).unwrap();
        let keys: Vec<_> = status.keys.iter().map(|key| (key.key, key.seals, key.given, key.values, key.first_used_at.is_some())).collect();
        assert_eq!(keys, [(idle.id(), true, true, 0, false), (new.id(), false, true, 1, true), (old.id(), false, false, 9, true)]);
        let columns: Vec<_> = status.columns.iter().map(|c| (c.column, c.sealed.values().sum::<u64>(), c.not_sealed, c.empty)).collect();
        assert_eq!(columns, [("api_credentials_encrypted", 4, 0, 3), ("github_secret_key_encrypted", 3, 1, 3), ("value", 3, 1, 2)]);
    }

    fn readers_and_writers_continue_during_a_rotation(t) {
        let db = t.db();
        let (old, new) = (key(), key());
        let before = ring([&old, &new]);
        let expected = Mutex::new(many(&db, &before, 60));
        let places: Vec<Place> = expected.lock().unwrap().keys().cloned().collect();
        let (stop, reads, writes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|s| {
            s.spawn(|| {
                let reader = ring([&new, &old]);
                while !stop.load(Ordering::Relaxed) {
                    for place in &places {
                        get(&db, &reader, place).unwrap();
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            s.spawn(|| {
                // This writer still encrypts with the old key, like a process that does not have the new key
                // order yet.
                for (n, place) in places.iter().cycle().enumerate() {
                    if stop.load(Ordering::Relaxed) { break }
                    let mut expected = expected.lock().unwrap();
                    let text = format!("written {n}");
                    set(&db, &before, place, &text);
                    expected.insert(place.clone(), text);
                    drop(expected);
                    writes.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let (_stop, begin) = (Stop(&stop), Instant::now());
            while reads.load(Ordering::Relaxed) < 200 || writes.load(Ordering::Relaxed) < 50 {
                assert!(begin.elapsed() < Duration::from_secs(60), "{reads:?} reads, {writes:?} writes");
                secrets::rotate(&db, &ring([&new, &old]), 5, &mut |_| ()).unwrap();
            }
        });
        let expected = expected.into_inner().unwrap();
        all_open(&db, &before, &expected);
        secrets::rotate(&db, &ring([&new, &old]), 5, &mut |_| ()).unwrap();
        all_open(&db, &ring([&new]), &expected);
        assert_eq!(recorded(&db), sorted([format!("{} retired", old.id()), format!("{} in use", new.id())]));
    }

    fn concurrent_rotations_reencrypt_each_value_once(t) {
        let db = t.db();
        let (old, new) = (key(), key());
        let expected = many(&db, &ring([&old]), 200);
        let total: u64 = std::thread::scope(|s| {
            let one = s.spawn(|| secrets::rotate(&db, &ring([&new, &old]), 10, &mut |_| ()).unwrap().resealed);
            let other = secrets::rotate(&t.db(), &ring([&new, &old]), 10, &mut |_| ()).unwrap().resealed;
            one.join().unwrap() + other
        });
        assert_eq!(total, 200);
        all_open(&db, &ring([&new]), &expected);
    }

    fn killed_rotation_resumes_where_it_stopped(t) {
        let db = t.db();
        let keys = [key(), key(), key(), key()];
        let first = |n: usize| ring(keys.iter().cycle().skip(n % keys.len()).take(keys.len()));
        let variable = |n: usize| {
            let texts: Vec<Secret> = keys.iter().cycle().skip(n % keys.len()).take(keys.len()).map(Key::to_text).collect();
            texts.iter().map(|text| text.reveal()).collect::<Vec<_>>().join(",")
        };
        let expected = many(&db, &first(0), 240);
        let places: Vec<&Place> = expected.keys().collect();
        let start = |n: usize| {
            let mut rotate = t.command(&["secrets", "rotate", "--batch", "5"]);
            rotate.env("VIRALDB_KEY", variable(n)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let begin = Instant::now();
        assert!(start(1).wait().unwrap().success());
        let whole = begin.elapsed();
        let (stop, reads) = (AtomicBool::new(false), AtomicU64::new(0));
        let (mut killed, mut finished, mut half) = (0, 1, 0);
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    let reader = first(0);
                    while !stop.load(Ordering::Relaxed) {
                        let place = places[fastrand::usize(..places.len())];
                        assert_eq!(get(&db, &reader, place).unwrap(), expected[place], "{place}");
                        reads.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_micros(300));
                    }
                });
            }
            let _stop = Stop(&stop);
            while killed < 100 {
                let mut child = start(finished + 1);
                std::thread::sleep(whole.mul_f64(fastrand::f64() * 0.8));
                child.kill().unwrap();
                let done = child.wait_with_output().unwrap();
                match done.status.code() {
                    None => killed += 1,
                    Some(code) => {
                        assert_eq!(code, 0, "{}", String::from_utf8_lossy(&done.stderr));
                        finished += 1;
                        continue;
                    }
                }
                let new = sealed(&db, &keys[(finished + 1) % keys.len()]);
                half += u64::from((1..240).contains(&new));
                assert_eq!(keys.iter().map(|key| sealed(&db, key)).sum::<u64>(), 240);
            }
        });
        assert!(half > 10 && reads.into_inner() > 100, "{half} of 100 kills were in the middle");
        assert!(start(finished + 1).wait().unwrap().success());
        let last = &keys[(finished + 1) % keys.len()];
        assert_eq!(sealed(&db, last), 240);
        all_open(&db, &ring([last]), &expected);
        assert_eq!(recorded(&db).iter().filter(|state| state.ends_with("in use")).count(), 1);
    }

    /// Prints time and memory with `VIRALDB_TEST_SECRETS=100000 … -- rotates_many --nocapture`.
    #[allow(clippy::print_stdout)] // shown with --nocapture
    fn rotates_many_values_in_little_memory(t) {
        let count = std::env::var("VIRALDB_TEST_SECRETS").map_or(1_500, |count| count.parse().unwrap());
        let db = t.db();
        let (old, new) = (key(), key());
        let expected = many(&db, &ring([&old]), count);
        let places: Vec<&Place> = expected.keys().collect();
        let (stop, reads, begin) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
        let peak = std::thread::scope(|s| {
            s.spawn(|| {
                let (db, reader) = (t.db(), ring([&new, &old]));
                while !stop.load(Ordering::Relaxed) {
                    let place = places[fastrand::usize(..places.len())];
                    assert_eq!(get(&db, &reader, place).unwrap(), expected[place], "{place}");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
            let _stop = Stop(&stop);
            rotate_in_a_process(t, &[&new, &old])
        });
        let reads = reads.into_inner();
        println!("{count} values on {}: {:.1?}, {peak} KiB peak memory, {reads} concurrent reads", if t.is_postgres { "PostgreSQL" } else { "SQLite" }, begin.elapsed());
        assert!(reads > 100, "{reads} reads");
        assert!(peak < 128 * 1024, "{peak} KiB");
        assert_eq!(sealed(&db, &new), count as u64);
        all_open(&db, &ring([&new]), &expected.into_iter().take(100).collect());
    }
}

both! {
    fn long_values_take_no_more_memory(t) {
        let db = t.db();
        let keys = [key(), key(), key()];
        let most = "x".repeat(1 << 20);
        let add = |key: &Key, count: usize| {
            for _ in 0..count {
                set(&db, &ring([key, &keys[0]]), &Place::Setting(make::unique("long")), &most);
            }
        };
        add(&keys[0], 4);
        let few = rotate_in_a_process(t, &[&keys[1], &keys[0]]);
        add(&keys[1], 12);
        let many = rotate_in_a_process(t, &[&keys[2], &keys[1]]);
        assert_eq!(sealed(&db, &keys[2]), 16);
        assert!(many < few + 24 * 1024, "{few} KiB for 4 MiB and {many} KiB for 16 MiB");
        let verified = secrets::verify(&db, &ring([&keys[2]]), &mut |failure| panic!("{failure:?}")).unwrap();
        assert_eq!(verified.opened, 16);
        let longer = secret(&(most + "x"));
        let refused = db.write(|c| secrets::set(c, &ring([&keys[2]]), &Place::Setting("l".to_owned()), &longer));
        assert!(refused.unwrap_err().to_string().contains("is longer than 1 MiB"));
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn other_programs_write_during_a_rotation() {
    use crate::support::neighbors;

    let t = Scratch::sqlite();
    let db = t.db();
    let (old, new) = (key(), key());
    let expected = many(&db, &ring([&old]), 600);
    let path = t.path("viral.db");
    neighbors::prepare(&path);
    let done = neighbors::while_others_write(&path, || {
        secrets::rotate(&db, &ring([&new, &old]), secrets::BATCH, &mut |_| ()).unwrap()
    });
    assert_eq!((done.resealed, done.failed, done.left), (600, 0, 0));
    all_open(&db, &ring([&new]), &expected);
}

/// Runs `secrets rotate` as a process and returns its peak memory in KiB.
fn rotate_in_a_process(t: &Scratch, keys: &[&Key]) -> u64 {
    let texts: Vec<Secret> = keys.iter().map(|key| key.to_text()).collect();
    let variable = texts.iter().map(|text| text.reveal()).collect::<Vec<_>>().join(" ");
    let mut child = t.command(&["secrets", "rotate"]).env("VIRALDB_KEY", variable).spawn().unwrap();
    let mut peak = 0;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return peak;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(2));
    }
}
