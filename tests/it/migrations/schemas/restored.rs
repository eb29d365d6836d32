//! Backups and restores of one schema among several.

use super::*;

fn back_up(home: &Home<'_>) -> String {
    home.json(&["backup", "create"])["file"].as_str().unwrap().to_owned()
}

/// Reads the manifest of a backup.
fn manifest(home: &Home<'_>, file: &str) -> Value {
    let text = std::fs::read(home.t.path(&format!("{file}.manifest.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Inserts a job through ViralForge's views and returns the themes of all jobs.
fn use_views(home: &Home<'_>, theme: &str) -> Vec<String> {
    let views = if home.schema == "public" { "viralforge".to_owned() } else { home.views() };
    let mut c = home.t.plain();
    query(
        &mut c,
        &format!("INSERT INTO {0}.jobs (theme) VALUES ('{theme}') RETURNING theme AS v", quoted(&views)),
    );
    query(
        &mut c,
        &format!("SELECT theme AS v FROM {}.jobs WHERE theme IS NOT NULL ORDER BY 1", quoted(&views)),
    )
}

#[test]
fn restoring_one_schema_keeps_the_others() {
    let t = Scratch::postgres();
    let homes = [
        Home { t: &t, schema: "public".to_owned(), url: t.url.clone() },
        Home::by_path(&t, "one"),
        Home::by_parameter(&t, "Two (\"2\")"),
    ];
    for home in &homes {
        home.ok(&["init"]);
        home.seed();
    }
    for (n, home) in homes.iter().enumerate() {
        let file = back_up(home);
        let told = manifest(home, &file);
        assert_eq!((told["format"].as_u64(), told["namespace"].as_str()), (Some(2), Some(&*home.schema)));
        let tables: Vec<&String> = told["rows"].as_object().unwrap().keys().collect();
        let own = home.schema.replace('"', "");
        assert!(tables.iter().all(|table| table.starts_with(&format!("{own}."))), "{tables:?}");
        home.ok(&["backup", "verify", &file]);
        let drilled = home.json(&["backup", "drill"]);
        assert_eq!(
            drilled["rows"],
            told["rows"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>()
        );

        // Add rows after the backup. The restore removes those of this schema and keeps those of the others.
        for other in &homes {
            use_views(other, &format!("later {n}"));
            other.db().write(|c| make::channel().insert(c)).unwrap();
        }
        let before: Vec<(usize, usize)> =
            homes.iter().map(|home| (home.count("channels"), home.count("jobs"))).collect();
        // Connections to the other schemas do not prevent the restore.
        let others: Vec<Database> =
            homes.iter().filter(|other| other.schema != home.schema).map(Home::db).collect();
        let restored = home.json(&["restore", "--yes", &file]);
        assert!(restored["kept"].as_str().unwrap().starts_with("the schema "), "{restored:#}");
        drop(others);
        for (other, before) in homes.iter().zip(before) {
            let now = (other.count("channels"), other.count("jobs"));
            if other.schema == home.schema {
                assert!(now.0 < before.0 && now.1 < before.1, "{}: {now:?}", other.schema);
            } else {
                assert_eq!(now, before, "{}", other.schema);
            }
            let theme = format!("again {n}");
            assert!(use_views(other, &theme).contains(&theme), "{}", other.schema);
            other.ok(&["migrate", "check"]);
            assert_eq!(viraldb::ops::drift(&other.db()).unwrap(), [], "{}", other.schema);
        }
        // The replaced schema is kept under another name and is still a complete viraldb database.
        let kept = restored["kept"].as_str().unwrap().split(' ').nth(2).unwrap().to_owned();
        let kept = Home::by_parameter(&t, &kept);
        kept.ok(&["migrate", "check"]);
        assert!(kept.count("channels") > home.count("channels"));
        t.sql(&format!(
            "DROP SCHEMA {} CASCADE; DROP SCHEMA {} CASCADE",
            quoted(&kept.schema),
            quoted(&kept.views())
        ));
    }
    let left: Vec<String> = t.schemas().into_iter().filter(|name| name.contains("restoring")).collect();
    assert_eq!(left, [""; 0]);
}

/// Privileges on the schema and its tables are the same as before the restore.
#[test]
fn privileges_are_kept_when_a_schema_is_restored() {
    let t = Scratch::postgres();
    let database = t.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let role = format!("reads_{database}");
    let public = Home { t: &t, schema: "public".to_owned(), url: t.url.clone() };
    let home = Home::by_parameter(&t, "viral");
    for home in [&home, &public] {
        home.ok(&["init"]);
        home.seed();
    }
    t.sql(&format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA viral, viralforge_viral TO {role};
        GRANT SELECT ON viral.channels, public.channels TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA viralforge_viral TO {role}"));
    for home in [&home, &public] {
        let file = back_up(home);
        home.ok(&["restore", "--yes", &file]);
    }
    let as_role = with(&t.url.replacen("postgres@", &format!("{role}@"), 1), "application_name=role");
    let mut c = viraldb::DbConnection::Postgres(viraldb::diesel::Connection::establish(&as_role).unwrap());
    for table in ["viral.channels", "viralforge_viral.jobs", "channels"] {
        assert_eq!(query(&mut c, &format!("SELECT count(*)::text AS v FROM {table}")), ["1"], "{table}");
    }
    drop(c);
    let schemas = t.schemas().into_iter().filter(|name| name.contains("_replaced_"));
    let drop: Vec<String> = schemas.map(|name| format!("DROP SCHEMA {name} CASCADE;")).collect();
    t.sql(&format!("{} DROP OWNED BY {role}; DROP ROLE {role}", drop.concat()));
}

#[test]
fn backup_restores_only_into_its_own_schema() {
    let t = Scratch::postgres();
    let (viral, other) = (Home::by_parameter(&t, "viral"), Home::by_parameter(&t, "other"));
    viral.ok(&["init"]);
    viral.seed();
    let file = back_up(&viral);
    for (url, says) in [
        (
            &other.url,
            "is a backup of the schema viral, but the target is the schema other; restore it with ?schema=viral",
        ),
        (
            &t.url,
            "is a backup of the schema viral, but the target is the schema public; restore it with ?schema=viral",
        ),
    ] {
        for args in [&["restore", "--yes", &*file][..], &["restore", &file]] {
            let ran: Ran = t.command(args).env("DATABASE_URL", url).output().unwrap().into();
            assert!(ran.code == 1 && ran.err.contains(says), "{}", ran.err);
        }
    }
    // Without a manifest, viraldb finds out the schema after decompressing the backup.
    std::fs::copy(t.path(&file), t.path("bare.zst")).unwrap();
    let ran = other.run(&["restore", "--yes", "bare.zst"]);
    assert!(ran.code == 1 && ran.err.contains("contains the schemas viral, viralforge_viral"), "{}", ran.err);
    assert!(!t.schemas().contains(&"other".to_owned()));
    viral.ok(&["restore", "--yes", "bare.zst"]);
    assert_eq!(viral.count("channels"), 1);

    // A backup of a whole database cannot be restored into a single schema, or into a database that now has viraldb in
    // other schemas too.
    let whole = Scratch::postgres();
    whole.db().write(make::seed).unwrap();
    let made: Value = serde_json::from_str(&whole.ok(&["backup", "create", "--format", "json"])).unwrap();
    let file = whole.path(made["file"].as_str().unwrap()).display().to_string();
    let ran = viral.run(&["restore", "--yes", &file]);
    assert!(
        ran.code == 1
            && ran.err.contains("is a backup of the schema public, but the target is the schema viral"),
        "{}",
        ran.err
    );
    let ran = t.run(&["restore", "--yes", &file]);
    assert!(ran.code == 1 && ran.err.contains("also has viraldb in the schema"), "{}", ran.err);
    assert_eq!(viral.count("channels"), 1);
}

/// Restore creates a missing schema, and a missing database together with its schema.
#[test]
fn restore_creates_a_missing_schema_or_database() {
    let t = Scratch::postgres();
    let home = Home::by_parameter(&t, "viral");
    home.ok(&["init"]);
    home.seed();
    let file = back_up(&home);
    t.sql("DROP SCHEMA viral CASCADE; DROP SCHEMA viralforge_viral CASCADE; CREATE TABLE theirs (x integer)");
    let restored = home.json(&["restore", "--yes", &file]);
    assert_eq!(restored["kept"], Value::Null);
    assert_eq!((home.count("channels"), t.relations("public")), (1, vec!["theirs".to_owned()]));

    let new = t.another();
    let database = new.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    t.sql(&format!("DROP DATABASE {database} WITH (FORCE)"));
    let there = Home::by_parameter(&new, "viral");
    let path = t.path(&file).display().to_string();
    there.ok(&["restore", "--yes", &path]);
    assert_eq!(there.count("channels"), 1);
    assert_eq!(viraldb::ops::drift(&there.db()).unwrap(), []);
}

/// The error names the obstacles, and nothing is changed.
#[test]
fn schema_with_dependents_is_not_replaced() {
    let t = Scratch::postgres();
    let home = Home::by_parameter(&t, "viral");
    home.ok(&["init"]);
    home.seed();
    let file = back_up(&home);
    t.sql(
        "CREATE SCHEMA app; CREATE VIEW app.themes AS SELECT theme FROM viral.jobs;
        CREATE TABLE app.notes (job bigint CONSTRAINT notes_job_fkey REFERENCES viral.jobs (id))",
    );
    let before = t.schemas();
    let ran = home.run(&["restore", "--yes", &file]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    for says in
        ["app.notes_job_fkey refers to it", "the view app.themes reads it", "viraldb transfer --replace"]
    {
        assert!(ran.err.contains(says), "{}", ran.err);
    }
    t.sql("DROP SCHEMA app CASCADE");

    // Another transaction uses a table of the schema.
    let mut holder = t.plain();
    holder.batch_execute("BEGIN; SELECT 1 FROM viral.jobs").unwrap();
    let ran = home.run(&["restore", "--yes", &file, "--wait", "1s"]);
    assert!(
        ran.code == 1 && ran.err.contains("another program is using tables of the schema viral"),
        "{}",
        ran.err
    );
    holder.batch_execute("COMMIT").unwrap();
    assert_eq!(before.iter().filter(|name| *name != "app").cloned().collect::<Vec<_>>(), t.schemas());
    home.ok(&["restore", "--yes", &file]);
}

/// A backup of an older schema version is migrated before it replaces the current schema.
#[test]
fn older_backup_is_migrated_before_the_swap() {
    let t = Scratch::postgres();
    let home = Home::by_parameter(&t, "viral");
    home.ok(&["init"]);
    home.seed();
    viraldb::db::migrate::revert(&home.url, 1).unwrap();
    let file = back_up(&home);
    home.ok(&["init", "--no-backup"]);
    let restored = home.json(&["restore", "--yes", &file]);
    assert_eq!(restored["applied"].as_array().unwrap().len(), 1);
    home.ok(&["migrate", "check"]);
    assert_eq!(viraldb::ops::drift(&home.db()).unwrap(), []);
}

#[test]
fn backups_of_several_schemas_can_share_a_folder() {
    let t = Scratch::postgres();
    let (one, two) = (Home::by_parameter(&t, "one"), Home::by_parameter(&t, "two"));
    for home in [&one, &two] {
        home.ok(&["init"]);
        home.seed();
        back_up(home);
    }
    two.db().write(|c| make::channel().insert(c)).unwrap();
    back_up(&two);
    let rows = |home: &Home<'_>| home.json(&["backup", "drill"])["rows"].as_u64().unwrap();
    assert_eq!(rows(&one) + 1, rows(&two));
    // `--keep 1` keeps the newest backup of each schema.
    one.ok(&["backup", "prune", "--keep", "1"]);
    assert_eq!(one.json(&["backup", "list"]).as_array().unwrap().len(), 2);
}
