//! The rival on PostgreSQL: statements that are prepared directly through libpq, with values as text.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use pq_sys as pq;

/// A connection with prepared statements. Each execution is a separate transaction.
pub struct Rival(*mut pq::PGconn);

// SAFETY: each connection is used by only one thread at the same time.
unsafe impl Send for Rival {}
unsafe impl Sync for Rival {}

impl Rival {
    /// Connects and prepares the named statements.
    pub fn new(url: &str, statements: &[(&str, &str)]) -> Self {
        let url = CString::new(url).unwrap();
        // SAFETY: all texts end in NUL and outlive the calls.
        unsafe {
            let conn = pq::PQconnectdb(url.as_ptr());
            assert!(pq::PQstatus(conn) == pq::ConnStatusType::CONNECTION_OK);
            for (name, sql) in statements {
                let (name, sql) = (CString::new(*name).unwrap(), CString::new(*sql).unwrap());
                let result = pq::PQprepare(conn, name.as_ptr(), sql.as_ptr(), 0, ptr::null());
                assert!(pq::PQresultStatus(result) == pq::ExecStatusType::PGRES_COMMAND_OK);
                pq::PQclear(result);
            }
            Self(conn)
        }
    }

    /// Runs a statement and returns all columns of its rows as text.
    pub fn run(&self, name: &str, values: &[&str]) -> Vec<Vec<Option<String>>> {
        let name = CString::new(name).unwrap();
        let values: Vec<CString> = values.iter().map(|value| CString::new(*value).unwrap()).collect();
        let pointers: Vec<*const c_char> = values.iter().map(|value| value.as_ptr()).collect();
        // SAFETY: all texts end in NUL and outlive the call. The result is cleared once, after its last use, and the indexes
        // stay within the numbers of rows and columns that it reports.
        unsafe {
            let result = pq::PQexecPrepared(
                self.0,
                name.as_ptr(),
                pointers.len() as i32,
                pointers.as_ptr(),
                ptr::null(),
                ptr::null(),
                0,
            );
            let status = pq::PQresultStatus(result);
            assert!(
                status == pq::ExecStatusType::PGRES_TUPLES_OK
                    || status == pq::ExecStatusType::PGRES_COMMAND_OK,
                "{:?}",
                CStr::from_ptr(pq::PQerrorMessage(self.0))
            );
            let rows = (0..pq::PQntuples(result))
                .map(|row| {
                    (0..pq::PQnfields(result))
                        .map(|column| {
                            (pq::PQgetisnull(result, row, column) == 0).then(|| {
                                let value = pq::PQgetvalue(result, row, column);
                                CStr::from_ptr(value).to_str().unwrap().to_owned()
                            })
                        })
                        .collect()
                })
                .collect();
            pq::PQclear(result);
            rows
        }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // SAFETY: the connection is not used after this.
        unsafe { pq::PQfinish(self.0) };
    }
}
