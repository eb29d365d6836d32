//! The program's structs for rows of its own tables and of viraldb's tables.

use diesel::prelude::*;
use viraldb::republishing::ChannelId;
use viraldb::schema::channels;
use viraldb::{Json, Timestamp};

use crate::schema::{notes, people};

/// A person who works on the channels.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Identifiable)]
#[diesel(table_name = people)]
pub struct Person {
    pub id: i64,
    pub name: String,
}

/// A person's note about a channel.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Identifiable, Associations)]
#[diesel(table_name = notes)]
#[diesel(belongs_to(ChannelName, foreign_key = channel_id))]
#[diesel(belongs_to(Person, foreign_key = person_id))]
pub struct Note {
    pub id: i64,
    pub channel_id: ChannelId,
    pub person_id: i64,
    pub body: String,
    pub written_at: Timestamp,
}

/// A note to insert.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = notes)]
pub struct NewNote<'a> {
    pub channel_id: ChannelId,
    pub person_id: i64,
    pub body: &'a str,
}

/// The columns of viraldb's `channels` table that the program shows.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Identifiable)]
#[diesel(table_name = channels)]
pub struct ChannelName {
    pub id: ChannelId,
    pub name: String,
}

/// A change to a channel. A field that is `None` keeps its value.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = channels)]
pub struct Renaming<'a> {
    pub name: Option<&'a str>,
    pub settings: Option<Json>,
}
