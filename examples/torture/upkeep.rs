//! Tests `prune`, which must list the files of the rows that it deletes, and `optimize` and `doctor --fix`.

use std::collections::BTreeSet;

use crate::lane::{Lane, Work};
use crate::tally::Left;

const RUNS: &str = "SELECT video_file_path AS v FROM pipeline_runs WHERE niche = 'tortureprune'";
const ERRORS: &str = "SELECT count(*) FROM error_log WHERE module = 'tortureprune'";

#[derive(Default)]
pub struct Upkeep {
    made: u64,
}

impl Work for Upkeep {
    fn set_up(&mut self, _: &mut Lane<'_>) {}

    fn step(&mut self, lane: &mut Lane<'_>) {
        match lane.rng.u8(..8) {
            0 => self.optimize(lane),
            1 => self.fix(lane),
            _ => self.prune(lane),
        }
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        lane.sure("prune", &["prune", "--files", "files"]);
        let left = lane.texts(RUNS);
        lane.expect(left.is_empty(), || format!("{} old runs remain after a prune", left.len()));
    }
}

impl Upkeep {
    fn optimize(&mut self, lane: &mut Lane<'_>) {
        let ran = if lane.rng.bool() {
            lane.run("optimize", &["optimize"])
        } else {
            lane.run("optimize --vacuum", &["optimize", "--vacuum"])
        };
        lane.after(&ran, Left::Nothing);
    }

    fn fix(&mut self, lane: &mut Lane<'_>) {
        let ran = lane.run("doctor --fix", &["doctor", "--fix", "--only", "sequences,jobs,statistics,wal"]);
        lane.after(&ran, Left::Nothing);
    }

    /// Adds old rows.
    fn feed(&mut self, lane: &mut Lane<'_>) {
        let url = lane.round.url.clone();
        let (mut runs, mut errors) = (String::new(), String::new());
        for _ in 0..lane.rng.usize(1..120) {
            self.made += 1;
            runs += &format!(
                "{{\"niche\":\"tortureprune\",\"cycle_start\":\"2020-01-01T00:00:00Z\",\"cycle_end\":\"2020-01-02T00:00:00Z\",\
                 \"status\":\"failed\",\"completed_at\":\"2020-01-02T00:00:00Z\",\"video_file_path\":\"/media/prune{}.mp4\"}}\n",
                self.made
            );
            errors += "{\"module\":\"tortureprune\",\"error_type\":\"E\",\"error_message\":\"m\",\"resolved\":true,\
                 \"occurred_at\":\"2020-01-01T00:00:00Z\"}\n";
        }
        lane.sure_on(
            &url,
            "ingest",
            &["ingest", "-", "--as", "jsonl", "--table", "pipeline_runs"],
            Some(&runs),
        );
        lane.sure_on(
            &url,
            "ingest",
            &["ingest", "-", "--as", "jsonl", "--table", "error_log"],
            Some(&errors),
        );
    }

    fn prune(&mut self, lane: &mut Lane<'_>) {
        self.feed(lane);
        let before: BTreeSet<String> = lane.texts(RUNS).into_iter().collect();
        let errors = lane.number(ERRORS);
        let batch = ["1", "7", "500"][lane.rng.usize(..3)];
        let ran = lane.run("prune", &["prune", "--files", "files", "--batch", batch]);
        let left: BTreeSet<String> = lane.texts(RUNS).into_iter().collect();
        let listed = std::fs::read_to_string(lane.path("files")).unwrap_or_default();
        // Paths end with .mp4, so no path is a prefix of another one.
        let lost: Vec<_> = before.difference(&left).filter(|path| !listed.contains(path.as_str())).collect();
        lane.expect(lost.is_empty(), || format!("the paths of deleted runs are not listed: {lost:?}"));
        lane.expect(left.is_subset(&before), || "a prune added runs".to_owned());
        if ran.is_done {
            lane.expect(left.is_empty(), || format!("{} old runs remain after a prune", left.len()));
            return lane.acknowledged(before.len() as u64 + errors);
        }
        let errors_left = lane.number(ERRORS);
        lane.expect(errors_left <= errors, || "a prune added errors".to_owned());
        lane.after(
            &ran,
            match left.len() as u64 + errors_left {
                0 => Left::Whole,
                left if left < before.len() as u64 + errors => Left::Part,
                _ => Left::Nothing,
            },
        );
    }
}
