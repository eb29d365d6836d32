//! The state diagram of a run or a job.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{Tone, icon};
use crate::web::chart::date_and_time;

/// Where a run or a job is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It was there before.
    Done,
    /// It is there now.
    Now,
    /// It may get there.
    Ahead,
}

impl Reached {
    /// Returns the words for people who do not see the colors.
    fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Ahead => "not yet",
        }
    }
}

/// One step on the way.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The status.
    pub word: &'a str,
    /// When it was reached, if that is known.
    pub at: Option<DateTime<Utc>>,
    /// Whether it was reached.
    pub reached: Reached,
}

/// Returns the steps from left to right, with the current one marked.
pub fn steps(steps: &[Step]) -> Markup {
    html! {
        ol class="steps" {
            @for step in steps {
                @let tone = match step.reached {
                    Reached::Ahead => Tone::Muted,
                    Reached::Now => Tone::of_status(step.word),
                    Reached::Done => Tone::Good,
                };
                li class=(tone.class()) aria-current=[(step.reached == Reached::Now).then_some("step")] {
                    span class="word" { (icon(tone)) (step.word) }
                    span class="when" {
                        @match step.at {
                            Some(at) => time datetime=(at.to_rfc3339()) { (date_and_time(at)) },
                            None => (step.reached.words()),
                        }
                    }
                }
            }
        }
    }
}
