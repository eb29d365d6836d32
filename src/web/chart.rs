//! Charts as SVG, drawn on the server.
//!
//! Every chart is a piece of HTML that works under a strict Content-Security-Policy: it contains no
//! script, no `style` attribute and no reference to another file. The style sheet gives it its colors.
//!
//! Positions along the width are percentages and text has the size of the page's text. A chart
//! therefore fills any width, and its labels stay readable on a phone. A `viewBox` around the whole
//! chart would shrink the text together with the bars.
//!
//! All times are UTC. NaN and infinity count as missing values. The same input gives the same output.

mod bars;
mod columns;
mod figure;
mod lines;
mod scale;
mod spark;
#[cfg(test)]
mod tests;
mod text;
mod timeline;

pub use bars::{Bar, bars};
pub use columns::{Buckets, columns};
pub use figure::Head;
pub use lines::{Line, lines};
pub use spark::spark;
pub use text::{Unit, date_and_time};
pub use timeline::{Period, Row, timeline};

/// A color that the style sheet defines for light and dark pages and for paper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hue {
    /// The first color of a palette that people with color blindness can tell apart.
    #[default]
    One,
    /// The second color of the palette.
    Two,
    /// The third color of the palette.
    Three,
    /// The fourth color of the palette.
    Four,
    /// The fifth color of the palette.
    Five,
    /// The sixth color of the palette.
    Six,
    /// Finished well.
    Good,
    /// Needs a person soon.
    Warn,
    /// Failed.
    Bad,
    /// In progress.
    Info,
    /// Waiting, or of no importance.
    Muted,
}

impl Hue {
    /// Returns the palette's color for the series with this index. The palette repeats after six.
    pub fn of_series(index: usize) -> Self {
        const PALETTE: [Hue; 6] = [Hue::One, Hue::Two, Hue::Three, Hue::Four, Hue::Five, Hue::Six];
        PALETTE.get(index % PALETTE.len()).copied().unwrap_or_default()
    }

    /// Returns the class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::One => "hue-1",
            Self::Two => "hue-2",
            Self::Three => "hue-3",
            Self::Four => "hue-4",
            Self::Five => "hue-5",
            Self::Six => "hue-6",
            Self::Good => "hue-good",
            Self::Warn => "hue-warn",
            Self::Bad => "hue-bad",
            Self::Info => "hue-info",
            Self::Muted => "hue-muted",
        }
    }
}
