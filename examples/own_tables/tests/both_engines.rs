//! Tests the program on each engine that it is built for.

mod support;

use std::fmt::Debug;

use diesel::prelude::*;
use own_tables::models::{NewNote, Renaming};
use own_tables::{migrate, open, queries};
use viraldb::db::migrate::{self as schema, Verdict};
use viraldb::republishing::{ChannelId, NewChannel, NewVideo};
use viraldb::{Database, Json, Result};

use self::support::on_each_engine;

fn channel(db: &Database, name: &str) -> ChannelId {
    db.write(|c| NewChannel::new(name, format!("UC{name}")).insert(c)).unwrap().id
}

fn read<T: Debug>(db: &Database, query: impl FnOnce(&mut viraldb::DbConnection) -> Result<T>) -> T {
    db.read(query).unwrap()
}

#[test]
fn queries_join_tables_of_the_program_and_of_viraldb() {
    on_each_engine(|url| {
        let db = open(url).unwrap();
        let [cats, dogs, empty] = ["cats", "dogs", "empty"].map(|name| channel(&db, name));
        db.write(|c| NewVideo::new(empty, "https://x/1", "One", "tiktok").insert(c)).unwrap();
        let people = db.write(|c| queries::hire(c, &["Ada", "Ben"])).unwrap();
        assert_eq!(people.iter().map(|person| &*person.name).collect::<Vec<_>>(), ["Ada", "Ben"]);
        let note =
            |channel_id, person: usize, body| NewNote { channel_id, person_id: people[person].id, body };
        let notes = [note(cats, 0, "good"), note(cats, 1, "fine"), note(dogs, 0, "loud")];
        assert_eq!(db.write(|c| queries::write_notes(c, &notes)).unwrap(), 3);
        assert_eq!(db.write(|c| queries::write_notes(c, &[note(dogs, 0, "quiet")])).unwrap(), 1);

        let named = read(&db, queries::notes_with_names);
        let named: Vec<_> = named.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
        assert_eq!(named, [("cats", "Ada", "good"), ("cats", "Ben", "fine"), ("dogs", "Ada", "quiet")]);
        assert_eq!(read(&db, queries::counts), [("cats".to_owned(), 2), ("dogs".to_owned(), 1)]);
        assert_eq!(read(&db, queries::unnoted), ["empty"]);

        let all = read(&db, queries::channels_with_notes);
        let bodies: Vec<_> = all.iter().map(|(c, n)| (&*c.name, n.as_ref().map(|n| &*n.body))).collect();
        let expected =
            [("cats", Some("good")), ("cats", Some("fine")), ("dogs", Some("quiet")), ("empty", None)];
        assert_eq!(bodies, expected);
        let grouped = read(&db, queries::grouped);
        assert_eq!(
            grouped.iter().map(|(c, n)| (&*c.name, n.len())).collect::<Vec<_>>(),
            [("cats", 2), ("dogs", 1), ("empty", 0)]
        );

        let change = Renaming { name: Some("kittens"), settings: Some(Json(viraldb_json())) };
        assert_eq!(db.write(|c| queries::rename(c, cats, &change)).unwrap(), "kittens");
        // Deleting a channel deletes its notes.
        db.write(|c| viraldb::republishing::Channel::delete(c, cats)).unwrap();
        assert_eq!(read(&db, queries::counts), [("dogs".to_owned(), 1)]);
    });
}

fn viraldb_json() -> serde_json::Value {
    serde_json::json!({ "tone": "warm" })
}

#[test]
fn migrations_of_the_program_and_of_viraldb_run_in_any_order() {
    on_each_engine(|url| {
        // Start with a viraldb schema that lacks the newest migration, like one of an older version.
        schema::run(url).unwrap();
        let undone = schema::revert(url, 1).unwrap();
        let older = Database::connect(url).map(drop).unwrap_err().to_string();
        assert!(older.contains("migrate run"), "{older}");
        // Upgrade it. The program has one migration that is older than all of viraldb's, and one that is newer.
        let db = open(url).unwrap();
        assert_eq!(migrate(&db).unwrap(), 0, "the second run must have nothing to do");
        let history = schema::status(url).unwrap();
        assert_eq!((history.verdict(), history.foreign.len()), (Verdict::Current, 2));
        assert_eq!(undone.len(), 1);
        // Revert and apply viraldb's newest migration while the program's tables exist.
        drop(db);
        assert_eq!(schema::redo(url, 1).unwrap().len(), 1);
        let db = open(url).unwrap();
        let id = channel(&db, "cats");
        let people = db.write(|c| queries::hire(c, &["Ada"])).unwrap();
        let note = NewNote { channel_id: id, person_id: people[0].id, body: "still here" };
        assert_eq!(db.write(|c| queries::write_notes(c, &[note])).unwrap(), 1);
    });
}

#[test]
fn concurrent_starts_run_each_migration_once() {
    on_each_engine(|url| {
        drop(Database::open(url).unwrap());
        let ran: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| migrate(&Database::connect(url).unwrap()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).sum()
        });
        assert_eq!(ran, 2);
    });
}

#[test]
fn a_note_for_an_unknown_channel_is_rejected() {
    on_each_engine(|url| {
        let db = open(url).unwrap();
        let people = db.write(|c| queries::hire(c, &["Ada"])).unwrap();
        let unknown: ChannelId = "00000000-0000-7000-8000-000000000000".parse().unwrap();
        let note = NewNote { channel_id: unknown, person_id: people[0].id, body: "about nothing" };
        assert!(db.write(|c| queries::write_notes(c, &[note])).is_err());
        let left: i64 = read(&db, |c| Ok(own_tables::schema::notes::table.count().get_result(c)?));
        assert_eq!(left, 0);
    });
}
