//! What operators ask of a database.

mod doctor;
mod drift;
