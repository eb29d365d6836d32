//! Schema names, and databases that belong to another program.

use viraldb::{Database, DatabaseUrl, Error};

use super::*;

#[test]
fn unusual_schema_names_work_or_are_rejected() {
    let t = Scratch::postgres();
    let longest = "l".repeat(52);
    for name in [
        "Viral",
        "viral",
        "two words",
        "a\"quote",
        "it's",
        "semi;colon",
        "a (b",
        "select",
        "ünïcode",
        "back\\slash",
        "viralforge_x",
        "public.x",
        "%s",
        &longest,
    ] {
        let home = Home::by_parameter(&t, name);
        home.ok(&["init"]);
        home.seed();
        assert_eq!(home.count("channels"), 1, "{name}");
        assert_eq!(t.relations(&home.views()).len(), 4, "{name}");
        assert_eq!(viraldb::ops::drift(&home.db()).unwrap(), [], "{name}");
        assert_eq!(
            home.run(&["doctor", "--only", "history,sequences,statistics,schema_rights"]).code,
            0,
            "{name}"
        );
        let shown = home.url.parse::<DatabaseUrl>().unwrap().to_string();
        assert!(shown.contains(&format!("schema={}", percent_encoded(name))), "{shown}");
    }
    assert_eq!(t.relations("public"), [""; 0]);
    let before = t.schemas();
    for (name, says) in [
        ("pg_viral", "belongs to PostgreSQL"),
        ("information_schema", "belongs to PostgreSQL"),
        ("$user", "PostgreSQL replaces $user by the name of the role"),
        ("", "the schema name is empty"),
        ("a\nb", "control character"),
        (&"x".repeat(53), "the maximum is 52"),
    ] {
        let ran = Home::by_parameter(&t, name).run(&["init"]);
        assert!(ran.code == 1 && ran.err.contains(says), "{name:?}: {}", ran.err);
    }
    for (parameters, says) in [
        (
            "schema=a&options=-csearch_path%3Db",
            "sets both schema and, in options, search_path; keep one of them",
        ),
        ("schema=a&schema=b", "sets schema more than once"),
        ("schema=a&pgbouncer=true", "ALTER ROLE … SET search_path = NAME"),
        ("options=-csearch_path%3Dpg_catalog", "belongs to PostgreSQL"),
    ] {
        let error = Database::open(&with(&t.url, parameters)).unwrap_err().to_string();
        assert!(error.contains(says), "{parameters}: {error}");
    }
    assert_eq!(t.schemas(), before);
}

/// Other options in the URL still apply when it names a schema.
#[test]
fn other_url_options_are_kept() {
    let t = Scratch::postgres();
    let url = with(&t.url, "options=-c%20work_mem%3D7MB&schema=viral");
    let db = Database::open(&url).unwrap();
    let asked = "SELECT concat_ws(' ', current_setting('work_mem'), current_schema()) AS v";
    assert_eq!(db.read(|c| Ok(query(c, asked))).unwrap(), ["7MB viral"]);
}

#[test]
fn only_the_schema_parameter_creates_a_schema() {
    let t = Scratch::postgres();
    for path in ["nowhere", "nowhere,public", "%22No%20where%22"] {
        let url = with(&t.url, &format!("options=-csearch_path%3D{}", path.replace("%20", "%5C%20")));
        let error = Database::open(&url).unwrap_err().to_string();
        let name = if path.contains('%') { "\"No where\"" } else { "nowhere" };
        assert!(
            error.contains(&format!("CREATE SCHEMA {name}")) && error.contains("?schema=NAME"),
            "{error}"
        );
    }
    // Connecting creates nothing either.
    let home = Home::by_parameter(&t, "viral");
    assert!(matches!(Database::connect(&home.url), Err(Error::NotInitialised(_))));
    assert_eq!(t.schemas(), ["public"]);
    assert_eq!(t.relations("public"), [""; 0]);

    // Several programs that start concurrently create the schema once.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| drop(home.db()));
        }
    });
    home.ok(&["migrate", "check"]);
}

#[test]
fn missing_create_privilege_is_reported() {
    let t = Scratch::postgres();
    let database = t.url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let role = format!("schemas_{database}");
    t.sql(&format!("CREATE ROLE {role} LOGIN"));
    let home = Home::by_parameter(&t, "viral");
    let url = home.url.replacen("postgres@", &format!("{role}@"), 1);
    let error = Database::open(&url).unwrap_err().to_string();
    assert!(error.contains(&format!("GRANT CREATE ON DATABASE {database} TO {role}")), "{error}");
    assert_eq!(t.schemas(), ["public"]);
    t.sql(&format!("GRANT CREATE ON DATABASE {database} TO {role}"));
    drop(Database::open(&url).unwrap());
    assert_eq!(t.relations("viral").len(), 31);
    t.sql(&format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"));
}

/// viraldb does not change tables of another program in `public`, and the suggestion in its error message works.
#[test]
fn tables_of_another_program_are_kept_and_a_schema_is_suggested() {
    let t = Scratch::postgres();
    t.sql(
        "CREATE TABLE videos (x integer); CREATE TABLE jobs (x integer); CREATE TABLE channels (x integer);
        INSERT INTO videos VALUES (1); INSERT INTO jobs VALUES (1); INSERT INTO channels VALUES (1)",
    );
    let before = (t.dump(), t.schemas());
    let opened = Database::open(&t.url).unwrap_err().to_string();
    let ran = t.run(&["init"]);
    assert_eq!(ran.code, 1);
    for said in [&opened, &ran.err] {
        for part in ["table channels", "table videos", "table jobs", "?schema=NAME in the URL"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert_eq!((t.dump(), t.schemas()), before);
    assert_eq!(t.versions("__diesel_schema_migrations").len(), 0);

    let home = Home::by_parameter(&t, "viral");
    home.ok(&["init"]);
    home.seed();
    assert_eq!((home.count("videos"), home.count("jobs"), home.count("channels")), (1, 1, 1));
    for table in ["videos", "jobs", "channels"] {
        let rows = query(&mut t.plain(), &format!("SELECT x::text AS v FROM public.{table}"));
        assert_eq!(rows, ["1"], "{table}");
    }
    // A separate schema can also contain such tables.
    t.sql("CREATE SCHEMA taken; CREATE TABLE taken.videos (x integer); CREATE SCHEMA viralforge_free");
    let error = Database::open(&Home::by_parameter(&t, "taken").url).unwrap_err().to_string();
    assert!(
        error.contains("already has table videos, not created by viraldb: give viraldb a separate schema"),
        "{error}"
    );
    let error = Database::open(&Home::by_parameter(&t, "free").url).unwrap_err().to_string();
    assert!(
        error.contains("already has schema viralforge_free")
            && error.contains("ALTER SCHEMA viralforge_free"),
        "{error}"
    );
    assert!(!t.schemas().contains(&"free".to_owned()), "the schema must be removed again after the failure");
}
