//! Shows how a program measures its queries. Diesel's instrumentation reports every query, including those of viraldb.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use viraldb::Database;
use viraldb::republishing::{Channel, ChannelFilter, NewChannel};

use self::support::on_each_engine;

static INSERTS: AtomicUsize = AtomicUsize::new(0);
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

struct Count;

impl Instrumentation for Count {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::FinishQuery { query, error: None, .. }
                if query.to_string().starts_with("INSERT INTO") && query.to_string().contains("channels") =>
            {
                INSERTS.fetch_add(1, Ordering::SeqCst);
            }
            InstrumentationEvent::FinishEstablishConnection { error: None, .. } => {
                CONNECTIONS.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

// This test is in a separate binary because the instrumentation applies to the whole process.
#[test]
fn diesel_reports_each_query_of_viraldb() {
    set_default_instrumentation(|| Some(Box::new(Count))).unwrap();
    on_each_engine(|url| {
        let db = Database::open(url).unwrap();
        let (inserts, connections) = (INSERTS.load(Ordering::SeqCst), CONNECTIONS.load(Ordering::SeqCst));
        db.write(|c| NewChannel::new("cats", "UC1").insert(c)).unwrap();
        assert_eq!(db.read(|c| Channel::count(c, &ChannelFilter::default())).unwrap(), 1);
        assert_eq!(INSERTS.load(Ordering::SeqCst), inserts + 1);
        assert!(connections >= 1 && db.connections().open >= 1);
    });
}
