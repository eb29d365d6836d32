-- Notes about channels: at most one note for each person and channel.
CREATE TABLE notes (
    id INTEGER PRIMARY KEY NOT NULL,
    channel_id TEXT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    body TEXT NOT NULL,
    written_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'),
    UNIQUE (channel_id, person_id)
) STRICT;
CREATE INDEX notes_person_id ON notes (person_id);
