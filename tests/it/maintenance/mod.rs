//! What operators ask of a database and do to it.

mod transfer;
