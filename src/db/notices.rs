//! Logs the notices of PostgreSQL servers. Without this, libpq would print them on the stderr of the program.

use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, PoisonError};

use crate::quote::one_line;

/// Logs a notice; the callback for `PQsetNoticeProcessor`.
#[allow(unsafe_code)]
pub(super) unsafe extern "C" fn log_notice(_: *mut c_void, message: *const c_char) {
    if message.is_null() {
        return;
    }
    // SAFETY: libpq passes a text that ends in NUL and outlives the call.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    tracing::info!("the server says: {}", one_line(&message));
}

/// The notices that were already logged as warnings.
static LOGGED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// The maximum number of remembered notices.
const MOST: usize = 100;

/// Logs what libpq prints while it connects. Each connection gets the same notices, so only the first one is a warning.
fn log_printed(text: &str) {
    let text = one_line(text);
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let logged = logged.get_or_insert_default();
    if logged.len() < MOST && logged.insert(text.clone()) {
        tracing::warn!("the server says: {text}");
    } else {
        tracing::debug!("the server says: {text}");
    }
}

/// Redirects C's `stderr` to the log, for the rest of the process.
///
/// A notice callback can be set only after a connection is open. libpq prints earlier notices on C's `stderr`, such as a
/// warning that the collation library has changed, and offers no other way to receive them. Rust's stderr is a separate
/// stream and does not change.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub fn catch_printed() {
    use std::ptr::null_mut;

    /// glibc's `cookie_io_functions_t`.
    #[repr(C)]
    struct Functions {
        read: *mut c_void,
        write: unsafe extern "C" fn(*mut c_void, *const c_char, usize) -> isize,
        seek: *mut c_void,
        close: *mut c_void,
    }

    unsafe extern "C" {
        static mut stderr: *mut c_void;
        fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: Functions) -> *mut c_void;
        fn setvbuf(stream: *mut c_void, buffer: *mut c_char, mode: i32, size: usize) -> i32;
    }

    unsafe extern "C" fn write(_: *mut c_void, text: *const c_char, size: usize) -> isize {
        // SAFETY: glibc passes `size` bytes that outlive the call.
        let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), size) };
        log_printed(&String::from_utf8_lossy(bytes));
        isize::try_from(size).unwrap_or(isize::MAX)
    }

    /// `_IONBF`: text that is printed with one call arrives in one call, even if it has several lines.
    const UNBUFFERED: i32 = 2;

    let functions = Functions { read: null_mut(), write, seek: null_mut(), close: null_mut() };
    // SAFETY: the command calls this once, before it starts a thread or opens a connection. The stream lives as long as the
    // process, and viraldb itself does not use C's stderr.
    unsafe {
        let stream = fopencookie(null_mut(), c"w".as_ptr(), functions);
        if !stream.is_null() && setvbuf(stream, null_mut(), UNBUFFERED, 0) == 0 {
            stderr = stream;
        }
    }
}

/// Does nothing: on other platforms libpq prints on stderr.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn catch_printed() {}
