//! Tests of the time series of videos and channels: latest samples, growth, periods and thinning.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};

use viraldb::compilation::{Analytics, NewAnalytics};
use viraldb::diesel::connection::SimpleConnection;
use viraldb::diesel::prelude::*;
use viraldb::diesel::sql_query;
use viraldb::republishing::{
    ChannelId, ChannelStatistics, NewChannelStatistics, NewVideoStatistics, VideoId, VideoStatistics,
};
use viraldb::series::{Every, Growth, Sample, Thinning};
use viraldb::{Database, DbConnection, Error, Page, Result, Timestamp};

use crate::make::{self, at};
use crate::support::{Scratch, both, plan, statements};

/// The common interface of the three tables of samples.
trait Measured: Sample + Sized + Debug + Clone + PartialEq {
    type Key: Clone + Debug + Display + Ord;
    const TABLE: &'static str;

    /// Creates something to measure and returns its key.
    fn new_key(c: &mut DbConnection) -> Self::Key;
    fn put(c: &mut DbConnection, samples: &[(Self::Key, Timestamp, i64)]) -> Result<usize>;
    fn key(&self) -> Self::Key;
    fn views(&self) -> Option<i64>;
    fn latest_of(c: &mut DbConnection, keys: &[Self::Key]) -> Result<Vec<Self>>;
    fn latest_of_all(c: &mut DbConnection, page: &Page<Self::Key>) -> Result<Vec<Self>>;
    fn growth(
        c: &mut DbConnection,
        key: &Self::Key,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Growth<Self>>>;
    fn growth_of(
        c: &mut DbConnection,
        keys: &[Self::Key],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Growth<Self>>>;
    fn thinned(
        c: &mut DbConnection,
        key: &Self::Key,
        from: Timestamp,
        to: Timestamp,
        every: Every,
    ) -> Result<Vec<Self>>;
    fn thin(c: &mut DbConnection, thinning: &mut Thinning) -> Result<usize>;
}

macro_rules! measured {
    ($row:ident, $new:ident, $key:ty, $subject:ident, $time:ident, $table:literal, $make:expr,
     |$k:ident| $owned:expr, |$keys:ident| $list:expr, |$one:ident| $borrowed:expr) => {
        impl Measured for $row {
            type Key = $key;
            const TABLE: &'static str = $table;

            fn new_key(c: &mut DbConnection) -> $key {
                $make(c)
            }
            fn put(c: &mut DbConnection, samples: &[($key, Timestamp, i64)]) -> Result<usize> {
                let rows: Vec<_> = samples
                    .iter()
                    .map(|($k, at, views)| $new {
                        $subject: $owned,
                        $time: Some(*at),
                        view_count: Some(*views),
                        ..Default::default()
                    })
                    .collect();
                $new::insert_many(c, &rows)
            }
            fn key(&self) -> $key {
                self.$subject.clone()
            }
            fn views(&self) -> Option<i64> {
                self.view_count.into()
            }
            fn latest_of(c: &mut DbConnection, $keys: &[$key]) -> Result<Vec<Self>> {
                $row::latest_of(c, $list)
            }
            fn latest_of_all(c: &mut DbConnection, page: &Page<$key>) -> Result<Vec<Self>> {
                $row::latest_of_all(c, page)
            }
            fn growth(
                c: &mut DbConnection,
                $one: &$key,
                from: Timestamp,
                to: Timestamp,
            ) -> Result<Option<Growth<Self>>> {
                $row::growth(c, $borrowed, from, to)
            }
            fn growth_of(
                c: &mut DbConnection,
                $keys: &[$key],
                from: Timestamp,
                to: Timestamp,
            ) -> Result<Vec<Growth<Self>>> {
                $row::growth_of(c, $list, from, to)
            }
            fn thinned(
                c: &mut DbConnection,
                $one: &$key,
                from: Timestamp,
                to: Timestamp,
                every: Every,
            ) -> Result<Vec<Self>> {
                $row::thinned(c, $borrowed, from, to, every)
            }
            fn thin(c: &mut DbConnection, thinning: &mut Thinning) -> Result<usize> {
                $row::thin(c, thinning)
            }
        }
    };
}

measured!(
    Analytics,
    NewAnalytics,
    String,
    youtube_video_id,
    measured_at,
    "analytics",
    |_: &mut DbConnection| make::unique("yt"),
    |key| key.clone().into(),
    |keys| &keys.iter().map(|key| &**key).collect::<Vec<_>>(),
    |key| key
);
measured!(
    ChannelStatistics,
    NewChannelStatistics,
    ChannelId,
    channel_id,
    timestamp,
    "channel_statistics",
    make::channel_id,
    |key| *key,
    |keys| keys,
    |key| *key
);
measured!(
    VideoStatistics,
    NewVideoStatistics,
    VideoId,
    video_id,
    timestamp,
    "video_statistics",
    make::video_id,
    |key| *key,
    |keys| keys,
    |key| *key
);

/// Creates `N` things to measure and returns their keys in ascending order.
fn keys<M: Measured, const N: usize>(db: &Database) -> [M::Key; N] {
    let mut keys: Vec<M::Key> = db.write(|c| Ok((0..N).map(|_| M::new_key(c)).collect())).unwrap();
    keys.sort();
    keys.try_into().unwrap()
}

fn put<M: Measured>(db: &Database, samples: &[(&M::Key, Timestamp, i64)]) {
    let samples: Vec<_> = samples.iter().map(|(key, at, views)| ((*key).clone(), *at, *views)).collect();
    assert_eq!(db.write(|c| M::put(c, &samples)).unwrap(), samples.len());
}

fn views<M: Measured>(rows: &[M]) -> Vec<i64> {
    rows.iter().map(|row| row.views().unwrap()).collect()
}

fn when(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn is_invalid<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Invalid { .. }))
}

/// Thins the whole table and returns how many rows each step deleted.
fn thin<M: Measured>(db: &Database, before: Timestamp, every: Every, batch: u32) -> Vec<usize> {
    let mut thinning = Thinning::new(before, every, batch).unwrap();
    let mut deleted = Vec::new();
    while !thinning.is_done() {
        deleted.push(db.write(|c| M::thin(c, &mut thinning)).unwrap());
    }
    deleted
}

fn newest<M: Measured>(db: &Database) {
    let [a, b, c, never] = keys::<M, 4>(db);
    // The last two samples of `b` have the same time, and the rows are not in order of time.
    put::<M>(
        db,
        &[
            (&b, at(9), 1),
            (&a, at(2), 2),
            (&a, at(1), 3),
            (&b, at(9), 4),
            (&b, at(5), 5),
            (&c, when("9999-12-31T23:59:59.999999Z"), 6),
            (&c, at(0), 7),
        ],
    );
    let latest = |keys: &[M::Key]| views(&db.read(|conn| M::latest_of(conn, keys)).unwrap());
    assert_eq!(
        latest(&[c.clone(), a.clone(), never.clone(), b.clone(), a.clone()]),
        [6, 2, 4],
        "in the order of the keys, each once"
    );
    assert!(latest(std::slice::from_ref(&never)).is_empty());
    assert!(latest(&[]).is_empty());
    let page = |page: Page<M::Key>| db.read(|conn| M::latest_of_all(conn, &page)).unwrap();
    assert_eq!(views(&page(Page::first(100))), [2, 4, 6]);
    assert_eq!(views(&page(Page::first(2))), [2, 4]);
    assert_eq!(views(&page(Page::after(page(Page::first(2))[1].key(), 2))), [6]);
    assert!(page(Page::after(c, 2)).is_empty());
    assert!(page(Page::first(0)).is_empty());
}

fn grown<M: Measured>(db: &Database) {
    let [a, b, never] = keys::<M, 3>(db);
    let hour = 3600;
    put::<M>(
        db,
        &[
            (&a, at(0), 100),
            (&a, at(2 * hour), 300),
            (&a, at(5 * hour), 150),
            (&a, at(5 * hour), 160),
            (&b, at(3 * hour), 7),
        ],
    );
    let growth = |key: &M::Key, from: i64, to: i64| {
        let growth = db.read(|c| M::growth(c, key, at(from), at(to))).unwrap();
        growth.map(|g| (g.of(M::views).unwrap(), g.hours(), g.per_hour(M::views)))
    };
    assert_eq!(growth(&a, 0, 2 * hour), Some((200, 2.0, Some(100.0))), "both ends are included");
    assert_eq!(
        growth(&a, hour, 4 * hour),
        Some((200, 2.0, Some(100.0))),
        "each end uses the last sample up to that time"
    );
    assert_eq!(
        growth(&a, -hour, 9 * hour),
        Some((60, 5.0, Some(12.0))),
        "without an earlier sample the first one counts; of two at the same time, the later row"
    );
    assert_eq!(growth(&a, 2 * hour, 9 * hour), Some((-140, 3.0, Some(-140.0 / 3.0))));
    assert_eq!(growth(&a, 3 * hour, 4 * hour), Some((0, 0.0, None)), "no new sample");
    assert_eq!(growth(&a, 2 * hour, 2 * hour), Some((0, 0.0, None)));
    assert_eq!(growth(&b, 0, 9 * hour), Some((0, 0.0, None)), "only one sample");
    assert_eq!(growth(&a, -2 * hour, -hour), None, "not measured yet");
    assert_eq!(growth(&b, 0, hour), None);
    assert_eq!(growth(&never, 0, hour), None);
    assert!(is_invalid(&db.read(|c| M::growth(c, &a, at(1), at(0)))));
    assert!(is_invalid(&db.read(|c| M::growth_of(c, &[], at(1), at(0)))));

    let of = |keys: &[M::Key], from, to| {
        let growth = db.read(|c| M::growth_of(c, keys, at(from), at(to))).unwrap();
        growth.iter().map(|g| (g.first.key(), g.last.key(), g.of(M::views).unwrap())).collect::<Vec<_>>()
    };
    let both = [b.clone(), never, a.clone(), b.clone()];
    assert_eq!(of(&both, 0, 9 * hour), [(b.clone(), b.clone(), 0), (a.clone(), a.clone(), 60)]);
    assert_eq!(of(&both, 0, hour), [(a.clone(), a.clone(), 0)]);
    assert_eq!(of(&[], 0, hour), []);
}

fn by_period<M: Measured>(db: &Database) {
    let [a, other] = keys::<M, 2>(db);
    let sunday =
        ["2026-01-04T22:59:59.999999Z", "2026-01-04T23:00:00Z", "2026-01-04T23:59:59.999999Z"].map(when);
    let monday = ["2026-01-05T00:00:00Z", "2026-01-05T00:00:00.000001Z", "2026-01-05T01:00:00Z"].map(when);
    let next_monday = when("2026-01-12");
    let old = [
        "0001-01-07T23:00:00Z",
        "0001-01-08T00:00:00Z",
        "1969-12-28T23:59:59.999999Z",
        "1969-12-29T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ]
    .map(when);
    let last =
        ["9999-12-26T23:59:59.999999Z", "9999-12-27T00:00:00Z", "9999-12-31T23:59:59.999999Z"].map(when);
    let mut samples: Vec<(&M::Key, Timestamp, i64)> = Vec::new();
    for (n, at) in old.iter().chain(&sunday).chain(&monday).chain([&next_monday]).chain(&last).enumerate() {
        samples.push((&a, *at, i64::try_from(n).unwrap()));
    }
    samples.push((&a, next_monday, 99)); // same time: the later row counts
    samples.push((&other, monday[0], -1));
    samples.reverse();
    samples.swap(0, 1);
    // Insert the two samples with the same time in the order of their rows.
    let position = samples.iter().position(|sample| sample.2 == 99).unwrap();
    let late = samples.remove(position);
    samples.push(late);
    put::<M>(db, &samples);

    let thinned = |from, to, every| views(&db.read(|c| M::thinned(c, &a, from, to, every)).unwrap());
    let (first, end) = (when("0001-01-01"), when("9999-12-31T23:59:59.999999Z"));
    assert_eq!(thinned(first, end, Every::Hour), [0, 1, 2, 3, 4, 5, 7, 9, 10, 99, 12, 13]);
    assert_eq!(thinned(first, end, Every::Day), [0, 1, 2, 3, 4, 7, 10, 99, 12, 13]);
    assert_eq!(thinned(first, end, Every::Week), [0, 1, 2, 4, 7, 10, 99, 12, 13]);
    assert_eq!(thinned(sunday[1], monday[0], Every::Week), [7], "from is inclusive, to is exclusive");
    assert_eq!(thinned(sunday[0], sunday[1], Every::Day), [5]);
    assert!(thinned(monday[0], monday[0], Every::Day).is_empty());
    assert!(thinned(when("9999-12-31"), end, Every::Week).is_empty());
    assert!(is_invalid(&db.read(|c| M::thinned(c, &a, end, first, Every::Day))));
    let [never] = keys::<M, 1>(db);
    assert!(db.read(|c| M::thinned(c, &never, first, end, Every::Day)).unwrap().is_empty());

    assert_eq!(
        thin::<M>(db, next_monday, Every::Week, 10_000),
        [5],
        "each week before the limit keeps only its last sample"
    );
    assert_eq!(thinned(first, end, Every::Hour), [0, 1, 2, 4, 7, 10, 99, 12, 13]);
    assert_eq!(thin::<M>(db, next_monday, Every::Week, 1), [0]);
}

/// Returns the start of a period, computed in a different way than the database does.
fn period(at: Timestamp, every: Every) -> chrono::NaiveDateTime {
    use chrono::{Datelike, Timelike};
    let (day, hour) = (at.to_utc().date_naive(), at.to_utc().hour());
    match every {
        Every::Hour => day.and_hms_opt(hour, 0, 0).unwrap(),
        Every::Day => day.and_hms_opt(0, 0, 0).unwrap(),
        Every::Week => (day - chrono::Days::new(day.weekday().num_days_from_monday().into()))
            .and_hms_opt(0, 0, 0)
            .unwrap(),
    }
}

/// Compares a series of 10,000 samples with the same calculations in plain Rust.
fn long_series<M: Measured>(db: &Database) {
    const ROWS: i64 = 10_000;
    let [a, b] = keys::<M, 2>(db);
    let mut random = fastrand::Rng::with_seed(17);
    let mut times: Vec<i64> = (0..ROWS).map(|_| random.i64(0..60 * 86_400)).collect();
    for second in &mut times {
        if random.u8(0..4) == 0 {
            *second -= *second % 3600; // on a period boundary, and often two at the same time
        }
    }
    times.sort_unstable();
    let samples: Vec<(Timestamp, i64)> = (0..).zip(&times).map(|(n, second)| (at(*second), n)).collect();
    put::<M>(db, &samples.iter().map(|(at, n)| (&a, *at, *n)).collect::<Vec<_>>());
    put::<M>(db, &[(&b, at(0), -1), (&b, at(1), -2)]);

    let last_of_each = |every, from, to| {
        let mut last = BTreeMap::new();
        for (at, n) in samples.iter().filter(|(at, _)| (from..to).contains(at)) {
            last.insert(period(*at, every), *n);
        }
        last.into_values().collect::<Vec<_>>()
    };
    for every in Every::ALL {
        for _ in 0..5 {
            let from = random.i64(-9..60 * 86_400);
            let (from, to) = (at(from), at(random.i64(from..61 * 86_400)));
            let thinned = db.read(|c| M::thinned(c, &a, from, to, *every)).unwrap();
            assert_eq!(views(&thinned), last_of_each(*every, from, to), "{every} from {from} to {to}");
            let growth = db.read(|c| M::growth(c, &a, from, to)).unwrap();
            let by = |end| samples.iter().rev().find(|(at, _)| *at <= end).copied();
            let expected = by(to).map(|last| (by(from).unwrap_or(samples[0]), last));
            let found = growth.map(|g| {
                (
                    (g.first.measured_at(), g.first.views().unwrap()),
                    (g.last.measured_at(), g.last.views().unwrap()),
                )
            });
            assert_eq!(found, expected, "from {from} to {to}");
        }
    }

    // Thin in small steps, by two threads concurrently, each with its own connections.
    let cut = at(30 * 86_400);
    let mut expected = last_of_each(Every::Day, at(0), at(30 * 86_400));
    expected.extend(samples.iter().filter(|(at, _)| *at >= cut).map(|(_, n)| *n));
    let url = db.url();
    let deleted: usize = std::thread::scope(|scope| {
        let url = match url {
            viraldb::DatabaseUrl::Postgres(url) => url.clone(),
            url => url.to_string(),
        };
        let one = scope.spawn({
            let url = url.clone();
            move || thin::<M>(&Database::open(&url).unwrap(), cut, Every::Day, 700)
        });
        let two = scope.spawn(move || thin::<M>(&Database::open(&url).unwrap(), cut, Every::Day, 900));
        one.join().unwrap().iter().chain(&two.join().unwrap()).sum()
    });
    let left = db.read(|c| M::thinned(c, &a, at(0), at(61 * 86_400), Every::Day)).unwrap();
    assert_eq!(views(&left), last_of_each(Every::Day, at(0), at(61 * 86_400)));
    let count = db.read(|c| {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = viraldb::diesel::sql_types::BigInt)]
            count: i64,
        }
        Ok(sql_query(format!("SELECT count(*) AS count FROM {}", M::TABLE)).get_result::<Row>(c)?.count)
    });
    assert_eq!(count.unwrap(), i64::try_from(expected.len()).unwrap() + 1, "plus one of the other series");
    assert_eq!(deleted, samples.len() + 1 - expected.len());
    assert_eq!(views(&db.read(|c| M::latest_of(c, &[a.clone(), b.clone()])).unwrap()), [ROWS - 1, -2]);
}

/// Returns true if a line of a plan reads a whole table. The first step of a thinning has no position to
/// start from, so it may read through its index.
fn reads_all<M: Measured>(line: &str) -> bool {
    line.starts_with("Seq Scan")
        || line.starts_with(&format!("SCAN {}", M::TABLE))
        || line.starts_with("SCAN sample") && !line.contains("INDEX")
}

fn by_the_index<M: Measured>(t: &Scratch) {
    let db = t.db();
    let [a, b, c] = keys::<M, 3>(&db);
    for key in [&a, &b, &c] {
        put::<M>(&db, &(0..3_000).map(|n| (key, at(n * 60), n)).collect::<Vec<_>>());
    }
    let mut session = db.session().unwrap();
    session.batch_execute("ANALYZE").unwrap();
    let (list, page) = ([a.clone(), b, c], Page::first(100));
    let mut thinning = Thinning::new(at(600_000), Every::Day, 10).unwrap();
    session.atomically(|c| M::thin(c, &mut thinning)).unwrap();
    let step = statements(&mut session, |c| M::thin(c, &mut thinning));
    let asked = [
        ("latest_of", statements(&mut session, |c| M::latest_of(c, &list))),
        ("latest_of_all", statements(&mut session, |c| M::latest_of_all(c, &page))),
        ("growth_of", statements(&mut session, |c| M::growth_of(c, &list, at(0), at(9)))),
        ("thinned", statements(&mut session, |c| M::thinned(c, &a, at(0), at(9), Every::Day))),
        ("thin", step.into_iter().filter(|sql| sql.starts_with("SELECT")).collect()),
    ];
    for (name, statements) in asked {
        assert_eq!(statements.len(), 1, "{name}: {statements:#?}");
        let plan = plan(t, &mut session, &statements[0]);
        let lines: Vec<&str> = plan.iter().map(|line| line.trim().trim_start_matches("->").trim()).collect();
        // A subquery may have the same name as the table.
        let own = format!("SCAN {}", M::TABLE);
        let is_own = |line: &str| line == own && lines.contains(&&*format!("CO-ROUTINE {}", M::TABLE));
        assert!(!lines.iter().any(|line| reads_all::<M>(line) && !is_own(line)), "{name}: {plan:#?}");
        // One sort of the selected rows is allowed. Ordering samples with the same time shows up as another
        // kind of sort.
        let is_sort = |line: &&&str| line.starts_with("Sort  (") || line.contains("TEMP B-TREE FOR ORDER BY");
        assert!(lines.iter().filter(is_sort).count() <= 1, "{name}: {plan:#?}");
        let index = if M::TABLE == "analytics" { "idx_analytics_video" } else { "_series" };
        assert!(plan.iter().any(|line| line.contains(index)), "{name}: {plan:#?}");
    }
}

both! {
    fn timestamps_match_whatever_their_number_of_fractional_digits(t) {
        let db = t.db();
        db.write(|c| {
            if t.is_postgres {
                make::execute(c, "SET LOCAL TIME ZONE 'UTC'")?;
            }
            make::execute(c, "INSERT INTO analytics (youtube_video_id, measured_at, view_count) VALUES
                ('v', '2026-01-01 10:00:00', 1), ('v', '2026-01-01 10:00:00.5', 2), ('v', '2026-01-01 10:00:01.500000000', 3)")
        })
        .unwrap();
        let [first, second, third, end]: [Timestamp; 4] = ["10:00:00", "10:00:00.5", "10:00:01.5", "10:00:02"].map(|time| format!("2026-01-01 {time}").parse().unwrap());
        let between = |from, to| views(&db.read(|c| Analytics::series(c, "v", from, to)).unwrap());
        assert_eq!((between(first, second), between(second, third), between(third, end)), (vec![1], vec![2], vec![3]));
        assert_eq!((between(first, end), between(end, first)), (vec![1, 2, 3], vec![]));
        let growth = |from, to| db.read(|c| Analytics::growth(c, "v", from, to)).unwrap().map(|g| (g.first.view_count, g.last.view_count));
        assert_eq!(growth(first, second), Some((Some(1), Some(2))));
        assert_eq!(growth(second, third), Some((Some(2), Some(3))));
        assert_eq!(growth(third, third), Some((Some(3), Some(3))));
        let mut session = db.session().unwrap();
        let asked = statements(&mut session, |c| Analytics::series(c, "v", first, end));
        if t.is_postgres {
            session.batch_execute("SET enable_seqscan = off").unwrap(); // three rows
        }
        let plan = plan(t, &mut session, &asked[0]).join("\n");
        assert!(plan.contains("idx_analytics_video") && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    fn latest_sample_of_each_key_is_found(t) {
        let db = t.db();
        newest::<Analytics>(&db);
        newest::<ChannelStatistics>(&db);
        newest::<VideoStatistics>(&db);
    }

    fn growth_is_measured_between_two_times(t) {
        let db = t.db();
        grown::<Analytics>(&db);
        grown::<ChannelStatistics>(&db);
        grown::<VideoStatistics>(&db);
    }

    fn last_sample_of_each_period_represents_it(t) {
        let db = t.db();
        by_period::<Analytics>(&db);
        by_period::<ChannelStatistics>(&db);
        by_period::<VideoStatistics>(&db);
    }

    fn long_series_matches_a_calculation_in_plain_rust(t) {
        let db = t.db();
        long_series::<Analytics>(&db);
        long_series::<ChannelStatistics>(&db);
        long_series::<VideoStatistics>(&db);
    }

    fn series_queries_use_their_index(t) {
        by_the_index::<Analytics>(t);
        by_the_index::<ChannelStatistics>(t);
        by_the_index::<VideoStatistics>(t);
    }

    fn unknown_counts_have_no_growth(t) {
        let db = t.db();
        let sample = |n, views, likes| NewAnalytics { measured_at: Some(at(n)), view_count: views, like_count: likes, ..make::analytics() };
        let rows = [sample(0, Some(5), None), sample(3600, None, Some(3)), sample(7200, Some(9), Some(i64::MIN))];
        db.write(|c| NewAnalytics::insert_many(c, &rows)).unwrap();
        let growth = |from, to| db.read(|c| Analytics::growth(c, "yt1", at(from), at(to))).unwrap().unwrap();
        assert_eq!(growth(0, 3600).of(|s| s.view_count), None);
        assert_eq!(growth(0, 3600).per_hour(|s| s.view_count), None);
        assert_eq!(growth(0, 7200).of(|s| s.view_count), Some(4));
        assert_eq!(growth(0, 7200).per_hour(|s| s.view_count), Some(2.0));
        assert_eq!(growth(3600, 7200).of(|s| s.like_count), None, "the difference overflows");
        assert_eq!(growth(0, 7200).of(|s| s.comment_count), None);
        let days = db.read(|c| Analytics::thinned(c, "yt1", at(0), at(7000), Every::Day)).unwrap();
        assert_eq!(days.iter().map(|day| (day.view_count, day.like_count)).collect::<Vec<_>>(), [(None, Some(3))]);
    }

    fn periods_are_in_utc_whatever_the_timestamp_format(t) {
        let db = t.db();
        put::<Analytics>(&db, &[(&"a".to_owned(), at(0), 1), (&"a".to_owned(), at(86_399), 2), (&"a".to_owned(), at(86_400), 3)]);
        db.write(|c| {
            let zone = if t.is_postgres { "+00" } else { "" };
            // Write the timestamps as other programs do.
            c.batch_execute(&format!("UPDATE analytics SET measured_at = '2026-01-01 00:00:00{zone}' WHERE view_count = 1"))?;
            c.batch_execute(&format!("UPDATE analytics SET measured_at = '2026-01-02 00:00:00.0{zone}' WHERE view_count = 3"))?;
            if t.is_postgres {
                c.batch_execute("SET LOCAL TIME ZONE 'Asia/Kolkata'")?;
            }
            let days = |c: &mut DbConnection, to| Analytics::thinned(c, "a", at(0), at(to), Every::Day).map(|rows| views(&rows));
            assert_eq!(days(c, 1)?, [1]);
            assert_eq!(days(c, 86_400)?, [2]);
            assert_eq!(days(c, 86_401)?, [2, 3]);
            assert_eq!(Analytics::growth(c, "a", at(0), at(86_400))?.unwrap().of(|s| s.view_count), Some(2));
            let mut thinning = Thinning::new(at(86_400), Every::Day, 9)?;
            assert_eq!((Analytics::thin(c, &mut thinning)?, thinning.is_done()), (1, true));
            Ok(())
        })
        .unwrap();
    }

    fn newest_sample_is_never_thinned(t) {
        let db = t.db();
        put::<Analytics>(&db, &[(&"a".to_owned(), at(0), 1), (&"b".to_owned(), at(0), 2), (&"b".to_owned(), at(0), 3), (&"b".to_owned(), at(1), 4)]);
        let far = at(1_000_000_000);
        assert_eq!(thin::<Analytics>(&db, far, Every::Week, 1), [1, 1, 0]);
        assert_eq!(views(&db.read(|c| Analytics::latest_of_all(c, &Page::first(9))).unwrap()), [1, 4]);
        assert_eq!(thin::<Analytics>(&db, far, Every::Week, 1), [0]);
        for batch in [0, 10_001] {
            assert!(is_invalid(&Thinning::new(far, Every::Week, batch)));
        }
    }
}
