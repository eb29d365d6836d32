//! Waiting for notifications of PostgreSQL without asking again and again.
//!
//! Diesel hands out notifications that have arrived, but shows no socket to wait on; so this is a
//! connection of its own, through the same libpq.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::time::Duration;

use pq_sys::{ConnStatusType, ExecStatusType, PGconn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::postgres;
use crate::{Error, Result};

/// A connection that listens on one channel.
pub(crate) struct Listener {
    conn: NonNull<PGconn>,
    /// For its secrets, which no message may quote.
    url: String,
}

// SAFETY: libpq lets a connection be used from any thread, by one at a time; `wait` takes `&mut self`.
#[allow(unsafe_code)]
unsafe impl Send for Listener {}

#[allow(unsafe_code)]
impl Listener {
    /// Connects and listens. `channel` is a word of ours: the name of the channel in `public`, and the beginning of its
    /// name in another schema.
    pub(crate) fn open(url: &str, channel: &str) -> Result<Self> {
        let no_text = |error: std::ffi::NulError| unusable(error.to_string());
        let text = CString::new(postgres::with_settings(url)).map_err(no_text)?;
        // Only the server knows its hash. What it makes of it is a word again: letters, digits and _.
        let own = super::migrate::channel_of(channel, "current_schema()::pg_catalog.text");
        let ask = format!("SELECT CASE current_schema() WHEN 'public' THEN '{channel}' ELSE {own} END");
        let ask = CString::new(ask).map_err(no_text)?;
        // SAFETY: the text ends in NUL and lives through the call; NULL means that memory was short.
        let conn = unsafe { pq_sys::PQconnectdb(text.as_ptr()) };
        if !conn.is_null() {
            // SAFETY: the connection is open, and the function needs no data of ours.
            unsafe {
                pq_sys::PQsetNoticeProcessor(conn, Some(super::notices::log_notice), std::ptr::null_mut())
            };
        }
        let listener = NonNull::new(conn)
            .map(|conn| Self { conn, url: url.to_owned() })
            .ok_or_else(|| unusable("no memory".to_owned()))?;
        // SAFETY: the connection is open until `listener` is dropped.
        if unsafe { pq_sys::PQstatus(conn) } != ConnStatusType::CONNECTION_OK {
            return Err(listener.lost());
        }
        let channel = listener.ask(&ask)?;
        listener.ask(&CString::new(format!("LISTEN {channel}")).map_err(no_text)?)?;
        Ok(listener)
    }

    /// Runs a statement and returns its first value; an empty text if it has none.
    fn ask(&self, statement: &CStr) -> Result<String> {
        // SAFETY: the connection is open, the text lives through the call, the value is copied, and the result is cleared
        // once, after its last use.
        let value = unsafe {
            let result = pq_sys::PQexec(self.conn.as_ptr(), statement.as_ptr());
            let value = match pq_sys::PQresultStatus(result) {
                ExecStatusType::PGRES_COMMAND_OK => Some(String::new()),
                ExecStatusType::PGRES_TUPLES_OK if pq_sys::PQntuples(result) > 0 => {
                    Some(CStr::from_ptr(pq_sys::PQgetvalue(result, 0, 0)).to_string_lossy().into_owned())
                }
                _ => None,
            };
            pq_sys::PQclear(result);
            value
        };
        value.ok_or_else(|| self.lost())
    }

    /// Waits until a notification has come, at most for so long; says whether one has.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<bool> {
        if self.has_come()? {
            return Ok(true);
        }
        // SAFETY: the connection is open, and its socket stays so until `self` is dropped.
        let socket = unsafe {
            let socket = pq_sys::PQsocket(self.conn.as_ptr());
            if socket < 0 {
                return Err(self.lost());
            }
            BorrowedFd::borrow_raw(socket)
        };
        let timeout = Timespec::try_from(timeout).map_err(|error| unusable(error.to_string()))?;
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
            Ok(_) => self.has_come(),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// Takes what has arrived.
    fn has_come(&mut self) -> Result<bool> {
        let mut has_come = false;
        // SAFETY: the connection is open; each notification is freed once, after its last use.
        unsafe {
            if pq_sys::PQconsumeInput(self.conn.as_ptr()) == 0 {
                return Err(self.lost());
            }
            while let Some(notification) = NonNull::new(pq_sys::PQnotifies(self.conn.as_ptr())) {
                pq_sys::PQfreemem(notification.as_ptr().cast());
                has_come = true;
            }
        }
        Ok(has_come)
    }

    /// What libpq said last.
    fn lost(&self) -> Error {
        // SAFETY: libpq gives text that ends in NUL and lives as long as the connection is left alone.
        let message = unsafe { CStr::from_ptr(pq_sys::PQerrorMessage(self.conn.as_ptr())) };
        postgres::no_connection(&self.url, &message.to_string_lossy())
    }
}

impl Drop for Listener {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: this was its last use.
        unsafe { pq_sys::PQfinish(self.conn.as_ptr()) };
    }
}

fn unusable(reason: String) -> Error {
    Error::Unusable { database: String::new(), reason }
}
