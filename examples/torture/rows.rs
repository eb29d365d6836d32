//! Tests `ingest` and `videos mark`. Each lane has its own videos and knows their view counts and statuses.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use crate::lane::{Lane, Ran, Work};
use crate::tally::Left;

const SIZES: [usize; 6] = [1, 20, 400, 3_000, 7_000, 12_000];
/// Maximum number of videos of a lane in a round.
const MOST: usize = 60_000;
const STATUSES: [&str; 4] = ["pending", "used", "skipped", "rejected"];
const HEADER: &str = "video_id,title,publishedAt,channelId,channelTitle,categoryId,trending_date,tags,view_count,\
    likes,dislikes,comment_count,thumbnail_link,comments_disabled,ratings_disabled,description\n";

/// The view count and status of a video.
type Video = (i64, usize);

#[derive(Default)]
pub struct Rows {
    /// The expected view count and status of each video.
    videos: BTreeMap<String, Video>,
    snapshots: u64,
    /// The last view count. Each row gets a different one, so that a missing update is detected.
    serial: i64,
    made: usize,
}

/// A file to ingest: its path and its rows.
struct Input {
    path: String,
    rows: Vec<(String, i64)>,
}

impl Work for Rows {
    fn set_up(&mut self, _: &mut Lane<'_>) {}

    fn step(&mut self, lane: &mut Lane<'_>) {
        if !self.videos.is_empty() && lane.rng.u8(..3) == 0 { self.mark(lane) } else { self.ingest(lane) }
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        let there = stored(lane);
        lane.expect(there == self.videos, || differences(&self.videos, &there));
        self.check_snapshots(lane);
    }
}

impl Rows {
    fn mark(&mut self, lane: &mut Lane<'_>) {
        let pick = lane.rng.usize(..self.videos.len());
        let (id, before) = self.videos.iter().nth(pick).map(|(id, video)| (id.clone(), *video)).unwrap();
        let status = lane.rng.usize(..4);
        let ran = lane.run("videos mark", &["videos", "mark", &id, STATUSES[status]]);
        let now = (before.0, status);
        if ran.is_done {
            self.videos.insert(id, now);
            return lane.acknowledged(1);
        }
        let there = stored(lane);
        let found = there.get(&id).copied();
        lane.expect(found == Some(before) || found == Some(now), || {
            format!("{id} was {before:?} and is {found:?}, expected {before:?} or {now:?}")
        });
        self.videos.insert(id, found.unwrap_or(before));
        lane.expect(there == self.videos, || differences(&self.videos, &there));
        lane.after(&ran, if found == Some(now) { Left::Whole } else { Left::Nothing });
    }

    fn ingest(&mut self, lane: &mut Lane<'_>) {
        let is_csv = lane.rng.bool();
        let is_strict = lane.rng.u8(..5) == 0;
        let inputs: Vec<Input> = (0..lane.rng.usize(1..4)).map(|n| self.input(lane, n, is_csv)).collect();
        let mut args = vec!["ingest", "--as", if is_csv { "youtube-trending" } else { "jsonl" }];
        args.extend(is_strict.then_some("--strict"));
        args.extend(inputs.iter().map(|input| &*input.path));
        let ran = lane.run("ingest", &args);
        let rows: usize = inputs.iter().map(|input| input.rows.len()).sum();
        if ran.is_done {
            self.apply(&inputs, rows, is_csv);
            return lane.acknowledged(rows as u64);
        }
        self.compare(lane, &ran, &inputs, is_csv, is_strict);
    }

    fn input(&mut self, lane: &mut Lane<'_>, number: usize, is_csv: bool) -> Input {
        let size = SIZES[lane.rng.usize(..SIZES.len())];
        let mut chosen = HashSet::new();
        let known: Vec<&String> = self.videos.keys().collect();
        let mut rows = Vec::with_capacity(size);
        for _ in 0..size {
            let is_known = !known.is_empty() && (self.made >= MOST || lane.rng.u8(..3) == 0);
            let id = if is_known {
                known[lane.rng.usize(..known.len())].clone()
            } else {
                self.made += 1;
                format!("{}-{:07}", lane.name, self.made)
            };
            if chosen.insert(id.clone()) {
                self.serial += 1;
                rows.push((id, self.serial));
            }
        }
        let mut text = if is_csv { HEADER.to_owned() } else { String::new() };
        // Each file has a different time, because a video can have only one snapshot for a time. The times are in the future,
        // after those of rows without a time, because older counts do not replace newer ones.
        let minute = self.serial;
        let at = format!(
            "2100-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            1 + minute / 2_419_200 % 12,
            1 + minute / 86_400 % 28,
            minute / 3_600 % 24,
            minute / 60 % 60,
            minute % 60
        );
        for (id, views) in &rows {
            let _ = if is_csv {
                writeln!(
                    text,
                    "{id},\"a, b\",2020-08-11T19:20:14Z,UC1,Brawadis,20,{at},a|b,{views},1,0,2,http://x,False,False,\"two\nlines\""
                )
            } else {
                writeln!(
                    text,
                    r#"{{"video_id":"{id}","title":"t","channel_name":"c","channel_id":"UC1","url":"https://youtu.be/x","niche":"torture","view_count":{views}}}"#
                )
            };
        }
        let path = lane.text_path(&format!("input{number}"));
        std::fs::write(&path, text).unwrap();
        Input { path, rows }
    }

    /// Applies the first `count` ingested rows to the expected state.
    fn apply(&mut self, inputs: &[Input], count: usize, is_csv: bool) {
        for (id, views) in inputs.iter().flat_map(|input| &input.rows).take(count) {
            self.videos.entry(id.clone()).or_default().0 = *views;
            self.snapshots += u64::from(is_csv);
        }
    }

    /// Checks the database after a killed ingest.
    ///
    /// The stored rows must be the first rows of the input and include every file that was printed as done. A strict ingest
    /// stores only whole files.
    fn compare(&mut self, lane: &mut Lane<'_>, ran: &Ran, inputs: &[Input], is_csv: bool, is_strict: bool) {
        let there = stored(lane);
        let is_there = |(id, views): &(String, i64)| there.get(id).is_some_and(|video| video.0 >= *views);
        let all: Vec<_> = inputs.iter().flat_map(|input| &input.rows).collect();
        let count = all.iter().take_while(|row| is_there(row)).count();

        let printed = inputs.iter().take_while(|input| ran.out.contains(&format!("{}  ", input.path)));
        let acknowledged: usize = printed.map(|input| input.rows.len()).sum();
        lane.expect(count >= acknowledged, || {
            format!("{acknowledged} rows were acknowledged, but only {count} are stored")
        });
        lane.acknowledged(acknowledged as u64);

        let (mut rest, mut is_boundary) = (count, false);
        for input in inputs {
            // An ingest that is not strict writes in chunks of limited duration, which may end after any row.
            is_boundary |= rest == input.rows.len() || rest < input.rows.len() && (rest == 0 || !is_strict);
            if rest < input.rows.len() {
                break;
            }
            rest -= input.rows.len();
        }
        lane.expect(is_boundary, || {
            format!("only a part of a file is stored: {count} of {} rows", all.len())
        });

        self.apply(inputs, count, is_csv);
        // This also checks that no later row is stored and that no other video has changed.
        lane.expect(there == self.videos, || differences(&self.videos, &there));
        self.check_snapshots(lane);
        let left = match count {
            0 => Left::Nothing,
            _ if count < all.len() => Left::Part,
            _ => Left::Whole,
        };
        lane.after(ran, left);
    }

    fn check_snapshots(&self, lane: &Lane<'_>) {
        let sql = format!("SELECT count(*) FROM analytics WHERE youtube_video_id LIKE '{}-%'", lane.name);
        let there = lane.number(&sql);
        lane.expect(there == self.snapshots, || {
            format!("found {there} snapshots, expected {}", self.snapshots)
        });
    }
}

/// Returns the videos of the lane that are in the database.
fn stored(lane: &Lane<'_>) -> BTreeMap<String, Video> {
    let sql = format!(
        "SELECT video_id || ' ' || CAST(view_count AS text) || ' ' || CAST(processed AS text) AS v \
         FROM discovered_videos WHERE video_id LIKE '{}-%'",
        lane.name
    );
    let video = |line: String| {
        let mut parts = line.split(' ');
        let id = parts.next()?.to_owned();
        Some((id, (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)))
    };
    lane.texts(&sql).into_iter().filter_map(video).collect()
}

fn differences(expected: &BTreeMap<String, Video>, there: &BTreeMap<String, Video>) -> String {
    let ids: HashSet<&String> = expected.keys().chain(there.keys()).collect();
    let mut differ: Vec<_> = ids.into_iter().filter(|id| expected.get(*id) != there.get(*id)).collect();
    differ.sort();
    let first = differ.first().map(|id| (id, expected.get(*id), there.get(*id)));
    format!("{} videos differ; the first one (id, expected, stored): {first:?}", differ.len())
}
