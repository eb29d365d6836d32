//! PostgreSQL roles with fewer privileges than the owner of the tables.

use super::*;
use crate::support::{Ran, Scratch};

/// A role for one test, which is removed on drop.
struct Role<'a> {
    t: &'a Scratch,
    name: String,
}

impl<'a> Role<'a> {
    fn new(t: &'a Scratch, rights: &str) -> Self {
        let name = format!("role_of_{}", t.url.rsplit(['/', '?']).next().unwrap());
        sql(&t.db(), &format!("CREATE ROLE {name} LOGIN; {}", rights.replace("ROLE", &name)));
        Self { t, name }
    }

    fn url(&self) -> String {
        let url = self.t.url.replacen("postgres@", &format!("{}@", self.name), 1);
        assert_ne!(url, self.t.url);
        url
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.t.command(args).env("DATABASE_URL", self.url()).output().unwrap().into()
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        sql(&self.t.db(), &format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name));
    }
}

const READ_WRITE_ALL: &str = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ROLE; GRANT USAGE, SELECT ON ALL \
                         SEQUENCES IN SCHEMA public TO ROLE";

/// Creates a policy that hides one of two rows from every role except the owner.
fn hide_a_row(t: &Scratch) {
    let db = t.db();
    sql(&db, "INSERT INTO trends (platform, external_id) VALUES ('tiktok', 'shown'), ('tiktok', 'hidden')");
    sql(&db, "ALTER TABLE trends ENABLE ROW LEVEL SECURITY");
    sql(&db, "CREATE POLICY shown_rows ON trends USING (external_id <> 'hidden')");
}

#[test]
fn rows_hidden_by_a_policy_cause_an_error() {
    let t = Scratch::postgres();
    hide_a_row(&t);
    let role = Role::new(&t, READ_WRITE_ALL);
    let there = Scratch::sqlite();
    let commands: [&[&str]; 5] = [
        &["transfer", "--from", &role.url(), "--to", &there.url],
        &["export", "trends"],
        &["export", "--all", "--to", "out"],
        &["takeover", &role.url(), "--to", &there.url],
        &["backup", "create"],
    ];
    for args in commands {
        let ran = role.run(args);
        assert_eq!(ran.code, 1, "{args:?}: {}{}", ran.out, ran.err);
        if args[0] != "takeover" {
            let said = "row-level security policy for table \"trends\", which would silently hide rows from viraldb; connect as the \
                        owner of the tables, or as a role with BYPASSRLS";
            assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
        }
        assert!(!ran.out.contains("shown"), "{args:?}: {}", ran.out);
    }
    assert!(t.ok(&["export", "trends"]).contains("hidden"), "the owner must see all rows");
}

#[test]
fn takeover_rejects_rows_hidden_by_a_policy() {
    use viraldb::diesel::{Connection, PgConnection};
    let source = Scratch::postgres();
    let reader = format!("reads_{}", source.url.rsplit(['/', '?']).next().unwrap());
    let mut conn = PgConnection::establish(&source.url).unwrap();
    conn.batch_execute(&format!(
        "CREATE TABLE trends (id bigint, platform text, external_id text, collected_at timestamptz DEFAULT now());
         CREATE TABLE jobs (id bigint, status text, created_at timestamptz DEFAULT now());
         CREATE TABLE scripts (id bigint, job_id bigint, video_prompt text, scenes json);
         CREATE TABLE videos (id bigint, job_id bigint, script_id bigint);
         INSERT INTO trends VALUES (1, 'tiktok', 'shown'), (2, 'tiktok', 'hidden');
         ALTER TABLE trends ENABLE ROW LEVEL SECURITY;
         CREATE POLICY shown_rows ON trends USING (external_id <> 'hidden');
         CREATE ROLE {reader} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}"
    ))
    .unwrap();
    let there = Scratch::sqlite();
    let url = source.url.replacen("postgres@", &format!("{reader}@"), 1);
    let ran = there.run(&["takeover", &url, "--to", &there.url]);
    conn.batch_execute(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}")).unwrap();
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("row-level security policy for table \"trends\""), "{}", ran.err);
    assert!(there.ok(&["takeover", &source.url, "--to", &there.url]).contains("took 2 rows"));
}

#[test]
fn doctor_warns_about_roles_that_may_create_in_the_schema() {
    let t = Scratch::postgres();
    t.db();
    let rights = |code: i32| {
        let ran = t.run(&["doctor", "--only", "schema_rights"]);
        assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
        ran.out
    };
    rights(0);
    let role =
        Role::new(&t, "GRANT CREATE ON SCHEMA public TO ROLE; GRANT CREATE ON SCHEMA public TO PUBLIC");
    let out = rights(3);
    for (who, name) in [("every role", "PUBLIC"), (&*format!("role {}", role.name), &role.name)] {
        assert!(
            out.contains(&format!(
                "warning  schema_rights   {who} may create objects in the schema public\n"
            )),
            "{out}"
        );
        assert!(out.contains(&format!("mend  REVOKE CREATE ON SCHEMA public FROM {name}\n")), "{out}");
    }
    sql(&t.db(), &format!("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}", role.name));
    rights(0);
}

#[test]
fn optimize_names_tables_that_the_role_may_not_analyze() {
    let t = Scratch::postgres();
    t.db();
    let role = Role::new(&t, READ_WRITE_ALL);
    for args in [&["optimize"] as &[&str], &["optimize", "--vacuum"]] {
        let ran = role.run(args);
        assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
        let name = &role.name;
        assert!(
            ran.err.contains(&format!("role {name:?} may not analyze analytics, channel_statistics, ")),
            "{}",
            ran.err
        );
        assert!(ran.err.ends_with("; run this as the owner \"postgres\" or as a superuser\n"), "{}", ran.err);
    }
    // A role that owns some tables analyzes these.
    sql(
        &t.db(),
        &format!(
            "ALTER TABLE music OWNER TO {}; INSERT INTO music (id, name) VALUES (gen_random_uuid(), 'm')",
            role.name
        ),
    );
    let ran = role.run(&["optimize"]);
    assert!(ran.code == 1 && !ran.err.contains(" music,"), "{}", ran.err);
    assert_eq!(
        number(
            &t.db(),
            "SELECT count(*)::text AS v FROM pg_stats WHERE tablename = 'music' AND attname = 'name'"
        ),
        1
    );
    sql(&t.db(), "ALTER TABLE music OWNER TO postgres");
}
