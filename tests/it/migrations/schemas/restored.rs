//! Backups and restores of one schema among several.

use super::*;

fn back_up(home: &Home<'_>) -> String {
    home.json(&["backup", "create"])["file"].as_str().unwrap().to_owned()
}

/// What the manifest of a backup says.
fn manifest(home: &Home<'_>, file: &str) -> Value {
    let text = std::fs::read(home.t.path(&format!("{file}.manifest.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Writes and reads by ViralForge's views.
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
fn restoring_one_schema_leaves_the_others_alone() {
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

        // Later rows: those of this schema go with the restore, those of the others stay.
        for other in &homes {
            use_views(other, &format!("later {n}"));
            other.db().write(|c| make::channel().insert(c)).unwrap();
        }
        let before: Vec<(usize, usize)> =
            homes.iter().map(|home| (home.count("channels"), home.count("jobs"))).collect();
        // Others may be connected to the other schemas.
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
        // What was there is kept, and is a viraldb itself.
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

/// Rights on the schema and its tables are those of before.
#[test]
fn rights_are_restored_with_the_schema() {
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
fn a_backup_goes_into_its_own_schema_only() {
    let t = Scratch::postgres();
    let (viral, other) = (Home::by_parameter(&t, "viral"), Home::by_parameter(&t, "other"));
    viral.ok(&["init"]);
    viral.seed();
    let file = back_up(&viral);
    for (url, says) in [
        (
            &other.url,
            "is of the schema viral, and the database is viraldb in the schema other; restore it with ?schema=viral",
        ),
        (
            &t.url,
            "is of the schema viral, and the database is viraldb in the schema public; restore it with ?schema=viral",
        ),
    ] {
        for args in [&["restore", "--yes", &*file][..], &["restore", &file]] {
            let ran: Ran = t.command(args).env("DATABASE_URL", url).output().unwrap().into();
            assert!(ran.code == 1 && ran.err.contains(says), "{}", ran.err);
        }
    }
    // Without its manifest it is looked at once it is unpacked.
    std::fs::copy(t.path(&file), t.path("bare.zst")).unwrap();
    let ran = other.run(&["restore", "--yes", "bare.zst"]);
    assert!(ran.code == 1 && ran.err.contains("holds the schemas viral, viralforge_viral"), "{}", ran.err);
    assert!(!t.schemas().contains(&"other".to_owned()));
    viral.ok(&["restore", "--yes", "bare.zst"]);
    assert_eq!(viral.count("channels"), 1);

    // A backup of a whole database goes into no schema, and into no database that has others by now.
    let whole = Scratch::postgres();
    whole.db().write(make::seed).unwrap();
    let made: Value = serde_json::from_str(&whole.ok(&["backup", "create", "--format", "json"])).unwrap();
    let file = whole.path(made["file"].as_str().unwrap()).display().to_string();
    let ran = viral.run(&["restore", "--yes", &file]);
    assert!(
        ran.code == 1
            && ran.err.contains("is of the schema public, and the database is viraldb in the schema viral"),
        "{}",
        ran.err
    );
    let ran = t.run(&["restore", "--yes", &file]);
    assert!(ran.code == 1 && ran.err.contains("also has viraldb in the schema"), "{}", ran.err);
    assert_eq!(viral.count("channels"), 1);
}

/// A database that is gone is made again, with the schema in it; so is a schema that is gone.
#[test]
fn a_schema_is_restored_where_nothing_is() {
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

/// The error names what is in the way, and nothing is changed.
#[test]
fn a_schema_that_others_need_is_not_replaced() {
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

    // A transaction that uses a table of it.
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

/// A backup of an older schema version is brought forward before it takes the place.
#[test]
fn an_older_backup_is_brought_forward() {
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
fn backups_in_one_folder_are_told_apart() {
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
    // Each schema keeps its newest.
    one.ok(&["backup", "prune", "--keep", "1"]);
    assert_eq!(one.json(&["backup", "list"]).as_array().unwrap().len(), 2);
}
