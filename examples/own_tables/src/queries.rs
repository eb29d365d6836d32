//! Queries over the program's tables and viraldb's tables.

use diesel::dsl::{count_star, exists, not};
use diesel::prelude::*;
use viraldb::republishing::ChannelId;
use viraldb::schema::{channels, videos};
use viraldb::{DbConnection, Result, on_backend};

use crate::models::{ChannelName, NewNote, Note, Person, Renaming};
use crate::schema::{notes, people};

/// Returns each note with the names of its channel and its author: an inner join over three tables of two crates.
pub fn notes_with_names(c: &mut DbConnection) -> Result<Vec<(String, String, String)>> {
    let rows = notes::table
        .inner_join(channels::table)
        .inner_join(people::table)
        .order((channels::name, people::name))
        .select((channels::name, people::name, notes::body))
        .load(c)?;
    Ok(rows)
}

/// Returns each channel with its notes, including channels without notes: a left join from viraldb's table to the program's
/// table.
pub fn channels_with_notes(c: &mut DbConnection) -> Result<Vec<(ChannelName, Option<Note>)>> {
    let rows = channels::table
        .left_join(notes::table)
        .order((channels::name, notes::id))
        .select((ChannelName::as_select(), Option::<Note>::as_select()))
        .load(c)?;
    Ok(rows)
}

/// Returns the number of notes for each channel, largest first.
pub fn counts(c: &mut DbConnection) -> Result<Vec<(String, i64)>> {
    let rows = notes::table
        .inner_join(channels::table)
        .group_by(channels::name)
        .order((count_star().desc(), channels::name))
        .select((channels::name, count_star()))
        .load(c)?;
    Ok(rows)
}

/// Returns the channels that have videos but no notes.
pub fn unnoted(c: &mut DbConnection) -> Result<Vec<String>> {
    let of_channel = notes::table.filter(notes::channel_id.eq(channels::id));
    let video = videos::table.filter(videos::channel_id.eq(channels::id));
    let names = channels::table
        .filter(exists(video).and(not(exists(of_channel))))
        .order(channels::name)
        .select(channels::name)
        .load(c)?;
    Ok(names)
}

/// Returns all channels and their notes with two queries, regardless of the number of channels.
pub fn grouped(c: &mut DbConnection) -> Result<Vec<(ChannelName, Vec<Note>)>> {
    let all = channels::table.order(channels::name).select(ChannelName::as_select()).load(c)?;
    let of_them = Note::belonging_to(&all).order(notes::id).select(Note::as_select()).load(c)?;
    let grouped = of_them.grouped_by(&all);
    Ok(all.into_iter().zip(grouped).collect())
}

/// Inserts people and returns their rows. Inserting a slice with `RETURNING` needs the connection of a specific engine.
pub fn hire(c: &mut DbConnection, names: &[&str]) -> Result<Vec<Person>> {
    let rows: Vec<_> = names.iter().map(|name| people::name.eq(*name)).collect();
    let hired = on_backend!(c, sqlite => |c| {
        // On SQLite, Diesel supports RETURNING only for an INSERT of one row.
        rows.iter()
            .map(|row| diesel::insert_into(people::table).values(row).returning(Person::as_returning()).get_result(c))
            .collect::<QueryResult<Vec<Person>>>()
    }, postgres => |c| {
        diesel::insert_into(people::table).values(&rows).returning(Person::as_returning()).get_results(c)
    });
    Ok(hired?)
}

/// Writes notes. A person's second note about a channel replaces the first one.
pub fn write_notes(c: &mut DbConnection, rows: &[NewNote<'_>]) -> Result<usize> {
    use diesel::upsert::excluded;
    let written = on_backend!(c, sqlite => |c| {
        rows.iter().try_fold(0, |count, row| {
            diesel::insert_into(notes::table)
                .values(row)
                .on_conflict((notes::channel_id, notes::person_id))
                .do_update()
                .set(notes::body.eq(excluded(notes::body)))
                .execute(c)
                .map(|written| count + written)
        })
    }, postgres => |c| {
        diesel::insert_into(notes::table)
            .values(rows)
            .on_conflict((notes::channel_id, notes::person_id))
            .do_update()
            .set(notes::body.eq(excluded(notes::body)))
            .execute(c)
    });
    Ok(written?)
}

/// Changes a row of viraldb's `channels` table and returns its new name. The same code runs on both engines.
pub fn rename(c: &mut DbConnection, id: ChannelId, change: &Renaming<'_>) -> Result<String> {
    let name = on_backend!(c, |c| {
        diesel::update(channels::table.find(id)).set(change).returning(channels::name).get_result(c)
    });
    Ok(name?)
}
