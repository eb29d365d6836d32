//! Waits for PostgreSQL notifications without polling.
//!
//! Diesel returns notifications that have arrived, but does not expose the socket to wait on. So this opens a separate
//! connection with the same libpq.

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
    /// Needed to remove the URL's secrets from messages.
    url: String,
}

// SAFETY: libpq allows a connection to be used from any thread, but by only one thread at a time; `wait` takes `&mut self`.
#[allow(unsafe_code)]
unsafe impl Send for Listener {}

#[allow(unsafe_code)]
impl Listener {
    /// Connects and listens. `channel` is a constant of viraldb: the name of the channel in `public`, and the prefix of its
    /// name in any other schema. It must be a plain SQL identifier.
    pub(crate) fn open(url: &str, channel: &str) -> Result<Self> {
        let no_text = |error: std::ffi::NulError| unusable(error.to_string());
        let text = CString::new(postgres::with_settings(url)).map_err(no_text)?;
        // Only the server can compute the hash in the channel name. The name contains only letters, digits and _.
        let own = super::migrate::channel_of(channel, "current_schema()::pg_catalog.text");
        let ask = format!("SELECT CASE current_schema() WHEN 'public' THEN '{channel}' ELSE {own} END");
        let ask = CString::new(ask).map_err(no_text)?;
        // SAFETY: the text ends in NUL and outlives the call. The result is NULL if memory is exhausted.
        let conn = unsafe { pq_sys::PQconnectdb(text.as_ptr()) };
        if !conn.is_null() {
            // SAFETY: the connection is open, and the callback needs no data.
            unsafe {
                pq_sys::PQsetNoticeProcessor(conn, Some(super::notices::log_notice), std::ptr::null_mut())
            };
        }
        let listener = NonNull::new(conn)
            .map(|conn| Self { conn, url: url.to_owned() })
            .ok_or_else(|| unusable("out of memory".to_owned()))?;
        // SAFETY: the connection is open until `listener` is dropped.
        if unsafe { pq_sys::PQstatus(conn) } != ConnStatusType::CONNECTION_OK {
            return Err(listener.lost());
        }
        let channel = listener.ask(&ask)?;
        listener.ask(&CString::new(format!("LISTEN {channel}")).map_err(no_text)?)?;
        Ok(listener)
    }

    /// Runs a statement and returns its first value, or an empty string if the statement returns no rows.
    fn ask(&self, statement: &CStr) -> Result<String> {
        // SAFETY: the connection is open, the text outlives the call, the value is copied, and the result is cleared once,
        // after its last use.
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

    /// Waits for a notification, at most for `timeout`. Returns true if one arrived.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<bool> {
        if self.has_come()? {
            return Ok(true);
        }
        // SAFETY: the connection is open, and its socket stays open until `self` is dropped.
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

    /// Consumes the notifications that have arrived. Returns true if there were any.
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

    /// Returns the last error of libpq.
    fn lost(&self) -> Error {
        // SAFETY: libpq returns a text that ends in NUL and stays valid until the connection is used again.
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
