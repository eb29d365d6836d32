//! The SQL that `migrate sql` prints for a schema.

use std::path::Path;

use viraldb::ops::drift;

use super::*;
use crate::support::server::bin;

/// Runs a script with psql, in a session with the default `search_path`. Stops at the first error.
fn psql(t: &Scratch, script: &Path) {
    let mut command = Command::new(bin().join("psql"));
    command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"]);
    let ran: Ran = command.arg("--file").arg(script).arg(&t.url).output().unwrap().into();
    assert_eq!(ran.code, 0, "{}", ran.err);
}

fn names(home: &Home<'_>) -> Vec<String> {
    let migrations = viraldb::db::migrate::embedded(&home.url).unwrap();
    migrations.iter().map(|migration| migration.name.to_owned()).collect()
}

/// Records all migrations in Diesel's table, as the stock command would.
fn record(home: &Home<'_>) {
    let versions: Vec<String> =
        names(home).iter().map(|name| format!("('{}')", name[..17].replace('-', ""))).collect();
    let table = format!("{}.__diesel_schema_migrations", quoted(&home.schema));
    home.t.sql(&format!(
        "CREATE TABLE {table} (version varchar(50) PRIMARY KEY, run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);
        INSERT INTO {table} (version) VALUES {}",
        versions.join(", ")
    ));
}

#[test]
fn printed_sql_creates_the_same_objects_as_the_migrations() {
    let t = Scratch::postgres();
    let public = Home { t: &t, schema: "public".to_owned(), url: t.url.clone() };
    public.ok(&["init"]);
    public.seed();
    let before = (t.relations("public"), t.relations("viralforge"), public.count("jobs"));
    for home in
        [Home::by_parameter(&t, "viral"), Home::by_parameter(&t, "A (\"1\")"), Home::by_path(&t, "path")]
    {
        let (up, down) =
            (home.ok(&["migrate", "sql", "--all"]), home.ok(&["migrate", "sql", "--all", "--down"]));
        assert_eq!(up, home.ok(&["migrate", "sql"]), "all migrations are pending");
        psql(&t, &t.file("up.sql", &up));
        record(&home);
        assert_eq!(home.ok(&["migrate", "run"]), "nothing to do\n");
        home.ok(&["migrate", "check"]);
        assert_eq!(drift(&home.db()).unwrap(), [], "{}", home.schema);
        home.seed();
        assert_eq!(home.count("jobs"), 1);

        psql(&t, &t.file("down.sql", &down));
        assert_eq!(t.relations(&home.schema), ["__diesel_schema_migrations"]);
        assert!(!t.schemas().contains(&home.views()));
        assert_eq!((t.relations("public"), t.relations("viralforge"), public.count("jobs")), before);
    }
    assert_eq!(drift(&public.db()).unwrap(), []);
}

#[test]
fn one_migration_is_printed_for_the_schema() {
    let t = Scratch::postgres();
    let home = Home::by_parameter(&t, "viral");
    home.ok(&["init"]);
    assert_eq!(home.ok(&["migrate", "sql"]), "", "no migration is pending");
    let [first, .., last] = &*names(&home) else { panic!("two migrations") };
    // A role that may not create schemas can run a later migration.
    let beginning =
        |args: &[&str]| home.ok(&[&["migrate", "sql"], args].concat()).lines().next().unwrap().to_owned();
    assert_eq!(beginning(&[first]), "CREATE SCHEMA IF NOT EXISTS \"viral\";");
    for args in [&[last.as_str()][..], &[first, "--down"], &[last, "--down"]] {
        assert_eq!(beginning(args), "SET search_path = \"viral\";", "{args:?}");
    }
    psql(&t, &t.file("down.sql", home.ok(&["migrate", "sql", last, "--down"])));
    psql(&t, &t.file("up.sql", home.ok(&["migrate", "sql", last])));
    assert_eq!(drift(&home.db()).unwrap(), []);
}

#[test]
fn sql_for_public_is_the_original_text() {
    let t = Scratch::postgres();
    let original = |url: &str| {
        let migrations = viraldb::db::migrate::embedded(url).unwrap();
        migrations
            .iter()
            .map(|migration| format!("-- {}\n\n{}\n", migration.name, migration.up))
            .collect::<String>()
    };
    assert_eq!(t.ok(&["migrate", "sql", "--all"]), original(&t.url));
    // No server runs there. It is needed only to find out the schema.
    let nowhere = "postgres://localhost:1/none";
    let args = ["migrate", "sql", "--all", "--database-url"];
    let named = format!("{nowhere}?schema=public");
    assert_eq!(t.ok(&[&args[..], &[&named]].concat()), original(nowhere));
    let ran = t.run(&[&args[..], &[nowhere]].concat());
    assert!(ran.code == 1 && ran.err.contains("add ?schema=public to the URL"), "{}", ran.err);
}

/// The schema is not in the URL.
#[test]
fn sql_is_printed_for_the_search_path_of_the_role() {
    let t = Scratch::postgres();
    let database = t.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let role = format!("prints_{database}");
    t.sql(&format!(
        "CREATE SCHEMA viral; CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA viral TO {role};
        ALTER ROLE {role} SET search_path = viral"
    ));
    let url = t.url.replacen("postgres@", &format!("{role}@"), 1);
    let printed = t.ok(&["migrate", "sql", "--all", "--database-url", &url]);
    let named = Home::by_parameter(&t, "viral");
    assert_eq!(printed, named.ok(&["migrate", "sql", "--all"]));
    t.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
