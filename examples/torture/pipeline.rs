//! Tests runs, clips, reviews, error log entries and music tracks.

use std::collections::BTreeMap;

use crate::lane::{Lane, Ran, Work};
use crate::tally::Left;

const NICHE: &str = "torturepipeline";

#[derive(Default)]
pub struct Pipeline {
    /// The status of each run, by run id.
    runs: BTreeMap<String, String>,
    /// The number of reviews that were requested for each run.
    sent: BTreeMap<String, u64>,
    /// The number of clips of each run.
    clips: BTreeMap<String, u64>,
    cycles: i64,
    videos: i64,
    /// The messages of logged errors, and whether the errors are resolved.
    errors: BTreeMap<String, bool>,
    /// The name and artist of each track, by track id.
    tracks: BTreeMap<String, (String, String)>,
    made: u64,
}

impl Work for Pipeline {
    fn set_up(&mut self, lane: &mut Lane<'_>) {
        // Allow more concurrent runs than this lane starts.
        lane.sure("config set", &["config", "set", "max_concurrent_runs", "100"]);
        self.feed(lane, 60);
    }

    fn step(&mut self, lane: &mut Lane<'_>) {
        match lane.rng.u8(..10) {
            0 | 1 => self.start(lane),
            2..=5 => self.advance(lane),
            6 => self.choose(lane),
            7 | 8 => self.log(lane),
            _ => self.track(lane),
        }
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        let there: BTreeMap<String, String> = lane
            .texts(&format!(
                "SELECT CAST(id AS text) || ' ' || status AS v FROM pipeline_runs WHERE niche = '{NICHE}'"
            ))
            .iter()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, status)| (id.to_owned(), status.to_owned()))
            .collect();
        lane.expect(there == self.runs, || format!("runs are {there:?}, expected {:?}", self.runs));
        self.check_clips(lane);
        let sql = "SELECT error_message || ' ' || CAST(CAST(resolved AS integer) AS text) AS v FROM error_log WHERE module = 'torture'";
        let there: BTreeMap<String, bool> = lane
            .texts(sql)
            .iter()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(message, resolved)| (message.to_owned(), resolved == "1"))
            .collect();
        lane.expect(there == self.errors, || format!("errors are {there:?}, expected {:?}", self.errors));
        let there: BTreeMap<String, (String, String)> = lane
            .texts("SELECT CAST(id AS text) || ' ' || name || ' ' || artist AS v FROM music WHERE name LIKE 'torture%'")
            .iter()
            .filter_map(|line| {
                let mut parts = line.split(' ').map(str::to_owned);
                Some((parts.next()?, (parts.next()?, parts.next()?)))
            })
            .collect();
        lane.expect(there == self.tracks, || format!("tracks are {there:?}, expected {:?}", self.tracks));
    }
}

impl Pipeline {
    /// Adds videos that runs can choose.
    fn feed(&mut self, lane: &mut Lane<'_>, count: i64) {
        let from = self.videos;
        self.videos += count;
        let rows: String = (from..self.videos)
            .map(|n| {
                format!(
                    "{{\"video_id\":\"pipe{n}\",\"title\":\"t\",\"channel_name\":\"c\",\"channel_id\":\"UC1\",\"url\":\"https://youtu.be/x\",\
                     \"niche\":\"{NICHE}\",\"view_count\":{n},\"viral_score\":0.9,\"duration_seconds\":60}}\n"
                )
            })
            .collect();
        let url = lane.round.url.clone();
        lane.sure_on(&url, "ingest", &["ingest", "-", "--as", "jsonl"], Some(&rows));
    }

    fn start(&mut self, lane: &mut Lane<'_>) {
        self.cycles += 1;
        let [start, end] = [self.cycles, self.cycles + 1]
            .map(|n| format!("20{:02}-{:02}-{:02}T00:00:00Z", n / 336, 1 + n / 28 % 12, 1 + n % 28));
        let ran = lane.run(
            "runs start",
            &["runs", "start", NICHE, "--start", &start, "--end", &end, "--format", "json"],
        );
        let known = self.runs.len();
        if ran.is_done {
            let id = ran.json()["id"].to_string();
            self.runs.insert(id, "pending".to_owned());
            lane.expect(self.runs.len() == known + 1, || {
                "a new cycle got the run of another cycle".to_owned()
            });
            return lane.acknowledged(1);
        }
        let new: Vec<String> = lane
            .texts(&format!("SELECT CAST(id AS text) AS v FROM pipeline_runs WHERE niche = '{NICHE}'"))
            .into_iter()
            .filter(|id| !self.runs.contains_key(id))
            .collect();
        lane.expect(new.len() <= 1, || format!("one `runs start` created several runs: {new:?}"));
        lane.after(&ran, if new.is_empty() { Left::Nothing } else { Left::Whole });
        self.runs.extend(new.into_iter().map(|id| (id, "pending".to_owned())));
    }

    /// Moves a run, sends it for review, or answers its review.
    fn advance(&mut self, lane: &mut Lane<'_>) {
        let open: Vec<(String, String)> = self
            .runs
            .iter()
            .filter(|(_, status)| *status != "uploaded")
            .map(|(id, s)| (id.clone(), s.clone()))
            .collect();
        if open.is_empty() {
            return;
        }
        let (id, status) = open[lane.rng.usize(..open.len())].clone();
        let is_failing = lane.rng.u8(..8) == 0 && status != "failed";
        let (kind, to, args): (_, _, Vec<&str>) = match &*status {
            _ if is_failing => {
                ("runs move", "failed", vec!["runs", "move", &id, "failed", "--error", "torture"])
            }
            "pending" => ("runs move", "running", vec!["runs", "move", &id, "running"]),
            "running" => ("reviews send", "review", vec!["reviews", "send", &id]),
            "review" => return self.answer(lane, &id),
            "approved" => ("runs move", "uploaded", vec!["runs", "move", &id, "uploaded"]),
            _ => ("runs retry", "pending", vec!["runs", "retry", &id]),
        };
        let ran = lane.run(kind, &args);
        self.moved(lane, &ran, &id, to);
    }

    fn answer(&mut self, lane: &mut Lane<'_>, id: &str) {
        let sql = format!("SELECT CAST(max(id) AS text) AS v FROM review_log WHERE pipeline_run_id = {id}");
        let Some(review) = lane.texts(&sql).pop() else { return };
        let (answer, to) =
            [("approve", "approved"), ("reject", "failed"), ("redo_script", "running")][lane.rng.usize(..3)];
        let ran = lane.run("reviews answer", &["reviews", "answer", &review, answer]);
        self.moved(lane, &ran, id, to);
        let action =
            lane.texts(&format!("SELECT COALESCE(action, '') AS v FROM review_log WHERE id = {review}"));
        let expected = if self.runs[id] == to { answer } else { "" };
        lane.expect(action == [expected], || {
            format!("the answer of review {review} is {action:?}, but run {id} is {}", self.runs[id])
        });
    }

    fn set(&mut self, id: &str, to: &str) {
        self.runs.insert(id.to_owned(), to.to_owned());
        if to == "review" {
            *self.sent.entry(id.to_owned()).or_default() += 1;
        }
    }

    /// Checks that a command has either moved a run or left it as it was.
    fn moved(&mut self, lane: &mut Lane<'_>, ran: &Ran, id: &str, to: &str) {
        if ran.is_done {
            self.set(id, to);
            return lane.acknowledged(1);
        }
        let there = lane.texts(&format!("SELECT status AS v FROM pipeline_runs WHERE id = {id}"));
        let before = &self.runs[id];
        let is_moved = there == [to];
        lane.expect(is_moved || there == [&**before], || {
            format!("run {id} was {before} and is {there:?}, expected {before} or {to}")
        });
        let sent = self.sent.get(id).copied().unwrap_or_default() + u64::from(is_moved && to == "review");
        let reviews = lane.number(&format!("SELECT count(*) FROM review_log WHERE pipeline_run_id = {id}"));
        lane.expect(reviews == sent, || {
            format!("run {id} is {there:?} and has {reviews} reviews, expected {sent}")
        });
        if is_moved {
            self.set(id, to);
        }
        lane.after(ran, if is_moved { Left::Whole } else { Left::Nothing });
    }

    fn choose(&mut self, lane: &mut Lane<'_>) {
        let is_fresh = |(id, status): &(&String, &String)| {
            ["pending", "running"].contains(&status.as_str()) && !self.clips.contains_key(*id)
        };
        let fresh: Vec<String> = self.runs.iter().filter(is_fresh).map(|(id, _)| id.clone()).collect();
        if fresh.is_empty() {
            return;
        }
        let id = fresh[lane.rng.usize(..fresh.len())].clone();
        self.feed(lane, 8);
        let ran = lane.run("runs choose", &["runs", "choose", &id, "--limit", "8", "--format", "json"]);
        let there = lane.number(&format!("SELECT count(*) FROM clips WHERE pipeline_run_id = {id}"));
        let expected: &[u64] = if ran.is_done { &[8] } else { &[0, 8] };
        lane.expect(expected.contains(&there), || {
            format!("run {id} has {there} clips, expected one of {expected:?}")
        });
        if there > 0 {
            self.clips.insert(id, there);
        }
        if ran.is_done {
            return lane.acknowledged(there);
        }
        self.check_clips(lane);
        lane.after(&ran, if there > 0 { Left::Whole } else { Left::Nothing });
    }

    /// Checks that no video is in two runs, and that exactly the chosen videos are marked as used.
    fn check_clips(&self, lane: &Lane<'_>) {
        let twice = lane.texts("SELECT CAST(discovered_video_id AS text) AS v FROM clips GROUP BY discovered_video_id HAVING count(*) > 1");
        lane.expect(twice.is_empty(), || format!("videos are in two runs: {twice:?}"));
        let wrong = lane.number(&format!(
            "SELECT count(*) FROM discovered_videos AS d WHERE niche = '{NICHE}' AND (processed = 1) <> \
             EXISTS (SELECT 1 FROM clips AS c WHERE c.discovered_video_id = d.id)"
        ));
        lane.expect(wrong == 0, || {
            format!("{wrong} videos are marked as used but have no clip, or the other way round")
        });
        let clips: u64 = self.clips.values().sum();
        let there = lane.number("SELECT count(*) FROM clips");
        lane.expect(there == clips, || format!("found {there} clips, expected {clips}"));
    }

    fn log(&mut self, lane: &mut Lane<'_>) {
        let is_resolving = !self.errors.is_empty() && lane.rng.u8(..4) == 0;
        let message = format!("message{}", self.made);
        let ran = if is_resolving {
            lane.run("errors resolve", &["errors", "resolve", "--module", "torture"])
        } else {
            self.made += 1;
            lane.run("errors log", &["errors", "log", "--module", "torture", "--type", "Torture", &message])
        };
        let open = "SELECT count(*) FROM error_log WHERE module = 'torture' AND NOT resolved";
        let before = self.errors.values().filter(|resolved| !**resolved).count() as u64;
        let after = if is_resolving { 0 } else { before + 1 };
        let there = if ran.is_done { after } else { lane.number(open) };
        lane.expect(there == before || there == after, || {
            format!("found {there} open errors, expected {before} or {after}")
        });
        if there == after && is_resolving {
            self.errors.values_mut().for_each(|resolved| *resolved = true);
        } else if there == after {
            self.errors.insert(message, false);
        }
        if ran.is_done {
            lane.acknowledged(1);
        } else {
            lane.after(&ran, if there == after { Left::Whole } else { Left::Nothing });
        }
    }

    /// Adds, changes or removes a track.
    fn track(&mut self, lane: &mut Lane<'_>) {
        self.made += 1;
        let artist = format!("artist{}", self.made);
        let known: Vec<String> = self.tracks.keys().cloned().collect();
        let mut after = self.tracks.clone();
        let ran = if known.len() < 3 {
            let name = format!("torture{}", self.made);
            let ran =
                lane.run("music add", &["music", "add", &name, "--artist", &artist, "--format", "json"]);
            if let Some(id) = ran.json()["id"].as_str() {
                after.insert(id.to_owned(), (name, artist));
            } else {
                // The id was not printed, so look for the track by its name.
                let found =
                    lane.texts(&format!("SELECT CAST(id AS text) AS v FROM music WHERE name = '{name}'"));
                lane.expect(found.len() <= 1, || format!("several tracks have the name {name}: {found:?}"));
                after.extend(found.into_iter().map(|id| (id, (name.clone(), artist.clone()))));
            }
            ran
        } else {
            let id = known[lane.rng.usize(..known.len())].clone();
            if lane.rng.bool() {
                after.get_mut(&id).unwrap().1.clone_from(&artist);
                lane.run("music edit", &["music", "edit", &id, "--artist", &artist])
            } else {
                after.remove(&id);
                lane.run("music remove", &["music", "remove", &id])
            }
        };
        if ran.is_done {
            self.tracks = after;
            return lane.acknowledged(1);
        }
        let there =
            lane.texts("SELECT CAST(id AS text) || ' ' || artist AS v FROM music WHERE name LIKE 'torture%'");
        let is = |tracks: &BTreeMap<String, (String, String)>| {
            tracks.len() == there.len()
                && tracks.iter().all(|(id, track)| there.contains(&format!("{id} {}", track.1)))
        };
        let is_changed = is(&after) && after != self.tracks;
        lane.expect(is_changed || is(&self.tracks), || {
            format!("tracks are {there:?}, expected {:?} or {after:?}", self.tracks)
        });
        if is_changed {
            self.tracks = after;
        }
        lane.after(&ran, if is_changed { Left::Whole } else { Left::Nothing });
    }
}
