//! The program's own tables. viraldb's portable SQL types work on both engines.

diesel::table! {
    use viraldb::types::sql::*;

    people (id) {
        id -> Int8,
        name -> Text,
    }
}

diesel::table! {
    use viraldb::types::sql::*;

    notes (id) {
        id -> Int8,
        channel_id -> Uuid,
        person_id -> Int8,
        body -> Text,
        written_at -> Timestamptz,
    }
}

// Use Diesel's macros between the program's own tables, and viraldb's macros between them and viraldb's tables.
diesel::joinable!(notes -> people (person_id));
diesel::allow_tables_to_appear_in_same_query!(notes, people);

use viraldb::schema::{channels, videos};
viraldb::joinable!(notes -> channels (channel_id));
viraldb::allow_tables_to_appear_in_same_query!(notes, videos);
viraldb::allow_tables_to_appear_in_same_query!(people, channels, videos);
