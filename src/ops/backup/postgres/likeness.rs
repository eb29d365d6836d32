//! Properties of a PostgreSQL database that a dump does not contain: locale, privileges, settings and comment.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::super::manifest::{Locale, Manifest};
use super::Value;
use crate::error::ResultExt;
use crate::{Error, Result};

/// Returns the locale of the connected database.
pub(super) fn locale(conn: &mut PgConnection) -> Result<Locale> {
    let name: Value = diesel::sql_query("SELECT current_database()::pg_catalog.text AS value")
        .get_result(conn)
        .of("", "")?;
    let found = locale_of(conn, &name.value)?;
    found.ok_or(diesel::result::Error::NotFound).of("pg_database", &name.value)
}

/// Returns the locale of a database on the server.
///
/// The query goes through JSON, because some columns have different names in different versions of PostgreSQL.
fn locale_of(conn: &mut PgConnection, name: &str) -> Result<Option<Locale>> {
    diesel::sql_query(
        "SELECT pg_catalog.pg_encoding_to_char(db.encoding)::pg_catalog.text AS encoding, \
         db.datcollate::pg_catalog.text AS collate, db.datctype::pg_catalog.text AS ctype, \
         CASE pg_catalog.jsonb_object_field_text(more.o, 'datlocprovider') WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END AS provider, \
         coalesce(pg_catalog.jsonb_object_field_text(more.o, 'datlocale'), pg_catalog.jsonb_object_field_text(more.o, 'daticulocale')) AS locale, pg_catalog.jsonb_object_field_text(more.o, 'daticurules') AS rules, \
         pg_catalog.shobj_description(db.oid, 'pg_database') AS comment \
         FROM pg_catalog.pg_database AS db, LATERAL (SELECT pg_catalog.to_jsonb(db) AS o) AS more WHERE db.datname = $1",
    )
    .bind::<Text, _>(name)
    .get_result(conn)
    .optional()
    .of("pg_database", name)
}

/// Creates an empty database like the existing database `like`. If that does not exist, uses the locale of the manifest.
pub(super) fn create(
    server: &mut PgConnection,
    name: &str,
    like: &str,
    manifest: Option<&Manifest>,
) -> Result<()> {
    let there: Option<Value> = diesel::sql_query(
        "SELECT pg_catalog.format(' OWNER %I%s', pg_catalog.pg_get_userbyid(datdba), \
         (SELECT pg_catalog.format(' TABLESPACE %I', spcname) FROM pg_catalog.pg_tablespace AS t \
             WHERE t.oid = dattablespace AND spcname <> 'pg_default')) AS value \
         FROM pg_catalog.pg_database WHERE datname = $1",
    )
    .bind::<Text, _>(like)
    .get_result(server)
    .optional()
    .of("pg_database", like)?;
    let owner = there.map(|there| there.value).unwrap_or_default();
    let plain = format!("CREATE DATABASE {} TEMPLATE template0{owner}", identifier(name));
    let make = |server: &mut PgConnection, sql: &str| {
        server.batch_execute(sql).of("pg_database", name).map_err(may_not)
    };
    match (locale_of(server, like)?, manifest.and_then(|manifest| manifest.locale.as_ref())) {
        (Some(Locale { encoding, .. }), _) if encoding != "UTF8" => Err(Error::Unusable {
            database: String::new(),
            reason: format!(
                "the database has the encoding {encoding}, which cannot store every character; drop it (dropdb), and \
                 restore again: viraldb then creates it with UTF-8"
            ),
        }),
        (Some(locale), backup) => {
            if let Some(backup) = backup.filter(|backup| clauses(backup) != clauses(&locale)) {
                tracing::warn!(
                    "text is sorted by {}, as in the database being replaced, not by {}, as in the backup; to use the \
                     backup's order, drop that database before the restore",
                    sorting(&locale),
                    sorting(backup)
                );
            }
            make(server, &format!("{plain}{}", clauses(&locale)))
        }
        (None, Some(locale)) => {
            // This machine may lack the locale.
            match make(server, &format!("{plain}{}", clauses(locale))) {
                Err(error @ (Error::Disconnected { .. } | Error::Unusable { .. })) => return Err(error),
                Err(error) => {
                    tracing::warn!(
                        "this server does not have the backup's locale, so text is sorted by the server's default: {error}"
                    );
                    make(server, &plain)?;
                }
                Ok(()) => {}
            }
            comment(server, name, locale)
        }
        (None, None) => make(server, &plain),
    }
}

/// Explains the error of a role without the privilege to create databases.
fn may_not(error: Error) -> Error {
    if !error.to_string().contains("permission denied to create database") {
        return error;
    }
    let reason =
        "the role cannot create databases, as a restore does; run ALTER ROLE … CREATEDB, or use another role";
    Error::Unusable { database: String::new(), reason: reason.to_owned() }
}

/// Describes the provider and the locale that sort text.
fn sorting(locale: &Locale) -> String {
    let provider = locale.provider.as_deref().unwrap_or("libc");
    format!("{provider} {}", locale.locale.as_deref().unwrap_or(&locale.collate))
}

fn comment(server: &mut PgConnection, name: &str, locale: &Locale) -> Result<()> {
    let Some(comment) = &locale.comment else { return Ok(()) };
    let sql = format!("COMMENT ON DATABASE {} IS {}", identifier(name), literal(comment));
    server.batch_execute(&sql).of("pg_database", name)
}

/// Returns the clauses of `CREATE DATABASE` for a locale.
fn clauses(locale: &Locale) -> String {
    let Locale { encoding, collate, ctype, provider, locale, rules, .. } = locale;
    let mut clauses = format!(
        " ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        literal(encoding),
        literal(collate),
        literal(ctype)
    );
    let mut add = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            clauses.push_str(&format!(" {key} {}", literal(value)));
        }
    };
    match provider.as_deref() {
        Some("icu") => {
            add("LOCALE_PROVIDER", provider);
            add("ICU_LOCALE", locale);
            add("ICU_RULES", rules);
        }
        Some("builtin") => {
            add("LOCALE_PROVIDER", provider);
            add("BUILTIN_LOCALE", locale);
        }
        _ => add("LOCALE_PROVIDER", provider),
    }
    clauses
}

pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string for SQL. The string may come from an untrusted manifest.
///
/// In an `E''` literal, the doubled quotation marks and backslashes are safe whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{text}'")
}

/// Copies the privileges, connection limit, settings and comment of a database to another. A dump does not contain them.
pub(super) fn carry_over(server: &mut PgConnection, from: &str, to: &str) -> Result<()> {
    let statements = diesel::sql_query(
        "SELECT statement AS value FROM (SELECT oid, datdba, datacl, datconnlimit FROM pg_database WHERE datname = $1) AS db, \
         LATERAL ( \
           SELECT 1 AS place, pg_catalog.format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', $2, pg_catalog.pg_get_userbyid(datdba)) AS statement \
             WHERE datacl IS NOT NULL \
           UNION ALL SELECT 2, pg_catalog.format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, $2, \
               CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END, \
               CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM pg_catalog.aclexplode(datacl) \
           UNION ALL SELECT 3, pg_catalog.format('ALTER DATABASE %I CONNECTION LIMIT %s', $2, datconnlimit) WHERE datconnlimit <> -1 \
           UNION ALL SELECT 4, pg_catalog.format('SELECT pg_catalog.set_config(%L, %L, true); %s SET %I FROM CURRENT', \
               pg_catalog.split_part(setting, '=', 1), substr(setting, pg_catalog.strpos(setting, '=') + 1), \
               CASE setrole WHEN 0 THEN pg_catalog.format('ALTER DATABASE %I', $2) \
               ELSE pg_catalog.format('ALTER ROLE %I IN DATABASE %I', pg_catalog.pg_get_userbyid(setrole), $2) END, \
               pg_catalog.split_part(setting, '=', 1)) \
             FROM pg_db_role_setting, pg_catalog.unnest(setconfig) AS setting WHERE setdatabase = oid \
           UNION ALL SELECT 5, pg_catalog.format('COMMENT ON DATABASE %I IS %L', $2, pg_catalog.shobj_description(oid, 'pg_database')) \
             WHERE pg_catalog.shobj_description(oid, 'pg_database') IS NOT NULL \
         ) AS statements ORDER BY place",
    )
    .bind::<Text, _>(from)
    .bind::<Text, _>(to)
    .load::<Value>(server)
    .of("pg_database", from)?;
    for statement in statements {
        // Each entry is one transaction: a setting first gets its value locally, and `FROM CURRENT` then stores it.
        if let Err(error) = server.batch_execute(&statement.value) {
            // Leave out the value of a setting, because it may be a secret.
            let what = statement.value.rsplit("; ").next().unwrap_or_default().replace(to, from);
            tracing::warn!("cannot run `{what}`, so the restored database lacks this setting: {error}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_recreate_the_locale() {
        let libc = Locale {
            encoding: "UTF8".to_owned(),
            collate: "C".to_owned(),
            ctype: "C".to_owned(),
            provider: None,
            locale: None,
            rules: None,
            comment: None,
        };
        let plain = " ENCODING E'UTF8' LC_COLLATE E'C' LC_CTYPE E'C'";
        assert_eq!(clauses(&libc), plain);
        let with = |provider: &str, rules: Option<&str>| {
            let (provider, rules) = (Some(provider.to_owned()), rules.map(str::to_owned));
            clauses(&Locale { provider, locale: Some("de-u-co-phonebk".to_owned()), rules, ..libc.clone() })
        };
        assert_eq!(with("libc", None), format!("{plain} LOCALE_PROVIDER E'libc'"));
        assert_eq!(
            with("icu", Some("&a < b'\\")),
            format!("{plain} LOCALE_PROVIDER E'icu' ICU_LOCALE E'de-u-co-phonebk' ICU_RULES E'&a < b''\\\\'")
        );
        assert_eq!(
            with("builtin", None),
            format!("{plain} LOCALE_PROVIDER E'builtin' BUILTIN_LOCALE E'de-u-co-phonebk'")
        );
    }
}
