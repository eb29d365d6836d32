//! Restores of one schema that are killed at any time.

use std::process::Child;
use std::time::Duration;

use viraldb::ops::drift;

use super::*;
use crate::support::kills::{at_any_time, kill_often, within};
use crate::support::wait_until;

const KILLS: usize = 45;

/// Returns the rows of a schema and of its ViralForge views, by table and view.
fn contents(home: &Home<'_>) -> Vec<(String, Vec<String>)> {
    let mut c = home.t.plain();
    let mut contents = Vec::new();
    for schema in [&home.schema, &home.views()] {
        for name in home.t.relations(schema) {
            let name = format!("{}.{name}", quoted(schema));
            let rows = query(&mut c, &format!("SELECT r::text AS v FROM {name} AS r ORDER BY 1"));
            contents.push((name, rows));
        }
    }
    contents
}

/// Returns the number of other connections to the database, of programs with this name.
fn connections(t: &Scratch, program: &str) -> usize {
    let asked = format!(
        "SELECT count(*)::text AS v FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND application_name LIKE '{program}'"
    );
    query(&mut t.plain(), &asked)[0].parse().unwrap()
}

fn drop_kept(t: &Scratch) {
    for name in t.schemas().into_iter().filter(|name| name.contains("_replaced_")) {
        t.sql(&format!("DROP SCHEMA {name} CASCADE"));
    }
}

#[test]
fn killed_restore_of_a_schema_happens_completely_or_not_at_all() {
    let t = Scratch::postgres();
    let (home, other) = (Home::by_parameter(&t, "viral"), Home::by_path(&t, "other"));
    for home in [&home, &other] {
        home.ok(&["init"]);
        home.seed();
    }
    let file = home.json(&["backup", "create"])["file"].as_str().unwrap().to_owned();
    let (backed_up, untouched) = (contents(&home), contents(&other));
    let change = || {
        t.sql("INSERT INTO viral.jobs (theme) VALUES (gen_random_uuid()::text)");
        contents(&home)
    };
    let mut before = change();
    let (mut turn, mut old, mut new, mut copied) = (0, 0, 0, 0);
    let is_copied = || t.schemas().iter().any(|name| name.contains("_restoring_"));
    // The startup time varies, so a third of the kills waits for the copy of the schema, and a third for the exchange.
    let wait = |child: &mut Child, whole: Duration| {
        turn += 1;
        match turn % 3 {
            0 => at_any_time(child, whole),
            1 => within(child, Duration::from_millis(200), || connections(&t, "pg_restore") > 0),
            _ => within(child, Duration::from_millis(120), is_copied),
        }
    };
    kill_often(KILLS, &|| home.command(&["restore", "--yes", &file]), wait, || {
        // The server may notice only later that its client is gone. Until then the names can still be exchanged.
        wait_until("the server ends the connections", || connections(&t, "viraldb") == 0);
        copied += usize::from(is_copied());
        let now = contents(&home);
        if now == backed_up {
            new += 1;
            let rows = |schema: &str| count(&t, &format!("{schema}.jobs"));
            let kept = t.schemas().into_iter().filter(|name| name.starts_with("viral_replaced_"));
            let kept: Vec<usize> = kept.map(|name| rows(&name)).collect();
            assert_eq!(kept, [rows("viral") + 1], "the replaced schema must be kept");
            drop_kept(&t);
            before = change();
        } else {
            old += 1;
            assert!(now == before, "{now:#?}\ninstead of {before:#?}");
        }
        assert!(contents(&other) == untouched);
    });
    assert!(
        old > 10 && copied > 5,
        "{old} kills kept the old schema, {copied} hit the exchange, {new} restored"
    );

    // A program that a killed restore had started may still run. The restore after it removes everything that is left.
    wait_until("pg_restore ends", || connections(&t, "pg_%") == 0);
    home.ok(&["restore", "--yes", &file]);
    assert!(contents(&home) == backed_up && contents(&other) == untouched);
    drop_kept(&t);
    assert_eq!(t.schemas(), ["other", "public", "viral", "viralforge_other", "viralforge_viral"]);
    let scratch = "SELECT datname::text AS v FROM pg_database WHERE starts_with(datname, left(current_database(), 16) || '_')";
    assert_eq!(query(&mut t.plain(), scratch), [""; 0]);
    for home in [&home, &other] {
        home.ok(&["migrate", "check"]);
        assert_eq!(drift(&home.db()).unwrap(), [], "{}", home.schema);
    }
}
