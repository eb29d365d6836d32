//! Round ticks for numbers and times, and positions on them.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::text::Unit;

/// A time axis has about this many labels, so that they do not touch in a chart of half a laptop's width.
const LABELS: f64 = 7.0;
/// The largest number a chart draws. Sums of such numbers stay finite.
const LARGEST: f64 = 1e100;

/// Returns the value if a chart can draw it. NaN and infinity count as missing.
pub(super) fn drawable(value: f64) -> Option<f64> {
    value.is_finite().then(|| value.clamp(-LARGEST, LARGEST))
}

/// A number axis that starts and ends at a tick.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// Returns an axis around the values from `low` to `high`, with about four ticks.
    pub(super) fn around(low: f64, high: f64, unit: Unit) -> Self {
        let (low, high) = match (low, high) {
            (low, high) if low < high => (low, high),
            // One value alone gets an axis from zero.
            (same, _) if same > 0.0 => (0.0, same),
            (same, _) if same < 0.0 => (same, 0.0),
            _ => (0.0, 1.0),
        };
        let step = round_step((high - low) / 4.0, unit);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// Returns an axis for values that are read from a line: it starts at zero unless all values are far from it.
    pub(super) fn for_lines(low: f64, high: f64, unit: Unit) -> Self {
        match (low, high) {
            (low, high) if low >= 0.0 && low < high * 0.6 => Self::around(0.0, high, unit),
            (low, high) if high <= 0.0 && high > low * 0.6 => Self::around(low, 0.0, unit),
            _ => Self::around(low, high, unit),
        }
    }

    /// Returns true if the axis starts at zero.
    pub(super) fn starts_at_zero(&self) -> bool {
        self.low == 0.0
    }

    /// Returns the ticks from the lowest to the highest.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round();
        // At most five steps come out of `around`; the limit guards against rounding of huge numbers.
        let count = if count.is_finite() { count.clamp(1.0, 12.0) as u32 } else { 1 };
        (0..=count)
            .map(|index| self.low + self.step * f64::from(index))
            .map(|tick| if tick.abs() < self.step * 1e-9 { 0.0 } else { tick })
            .collect()
    }

    /// Returns the position of a value in a plot of `height`, counted from its top.
    pub(super) fn y(&self, value: f64, height: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        height - share.clamp(0.0, 1.0) * height
    }
}

/// Returns the smallest round step that is at least `raw`.
fn round_step(raw: f64, unit: Unit) -> f64 {
    const SECONDS: [f64; 15] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
        10_800.0,
    ];
    match unit {
        Unit::Seconds if raw > 1.0 && raw <= 10_800.0 => {
            SECONDS.into_iter().find(|step| *step >= raw).unwrap_or(10_800.0)
        }
        Unit::Seconds if raw > 10_800.0 && raw <= 43_200.0 => {
            [21_600.0, 43_200.0][usize::from(raw > 21_600.0)]
        }
        Unit::Seconds if raw > 43_200.0 => 86_400.0 * decimal_step(raw / 86_400.0),
        Unit::Bytes if raw > 1.0 => {
            let power = 1_024_f64.powf(raw.log(1_024.0).floor());
            let scaled = raw / power;
            let binary = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
            power * binary.into_iter().find(|step| *step >= scaled).unwrap_or(1_024.0)
        }
        // Half a job means nothing.
        Unit::Count if raw < 1.0 && raw > 0.2 => 1.0,
        _ => decimal_step(raw),
    }
}

/// Returns 1, 2, 2.5 or 5 times a power of ten.
fn decimal_step(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.log10().floor());
    let scaled = raw / power;
    let step = [1.0, 2.0, 2.5, 5.0].into_iter().find(|step| *step >= scaled - 1e-9).unwrap_or(10.0);
    // Small counts have no tick at 2.5.
    if step == 2.5 && power == 1.0 { 5.0 } else { step * power }
}

/// A time axis in UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeScale {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// A tick of a time axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeTick {
    /// The position in percent of the width.
    pub(super) x: f64,
    pub(super) label: String,
    /// Narrow charts leave the label out.
    pub(super) minor: bool,
}

#[derive(Clone, Copy)]
enum Step {
    Minutes(i64),
    Months(u32),
}

impl TimeScale {
    /// Returns the axis from one time to another. An empty range becomes one hour.
    pub(super) fn new(from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        let least = from.checked_add_signed(TimeDelta::hours(1)).unwrap_or(from);
        Self { from, until: if until > from { until } else { least } }
    }

    /// Returns the length of the axis.
    pub(super) fn length(&self) -> TimeDelta {
        self.until - self.from
    }

    /// Returns the position of a time in percent of the width.
    pub(super) fn x(&self, at: DateTime<Utc>) -> f64 {
        let whole = seconds(self.length());
        if whole <= 0.0 { 0.0 } else { (seconds(at - self.from) / whole * 100.0).clamp(0.0, 100.0) }
    }

    /// Returns up to about eight ticks at round times.
    pub(super) fn ticks(&self) -> Vec<TimeTick> {
        let step = self.step();
        let mut ticks = Vec::new();
        let mut at = self.first(step);
        let mut landmark = None;
        while let Some(time) = at.filter(|time| *time <= self.until && ticks.len() < 16) {
            if time >= self.from {
                let (label, new) = label(time, step);
                if new && landmark.is_none() {
                    landmark = Some(ticks.len());
                }
                ticks.push(TimeTick { x: self.x(time), label, minor: false });
            }
            at = match step {
                Step::Minutes(minutes) => time.checked_add_signed(TimeDelta::minutes(minutes)),
                Step::Months(months) => time.checked_add_months(Months::new(months)),
            };
        }
        // Every other label may be left out, but never those that name a new day or year.
        let odd = landmark.unwrap_or_default() % 2;
        for (index, tick) in ticks.iter_mut().enumerate() {
            tick.minor = index % 2 != odd;
        }
        // A label at the end is drawn to the left of its tick, where it could touch the label before it.
        if let [_, .., last] = ticks.as_mut_slice() {
            last.minor |= last.x > 98.0;
        }
        ticks
    }

    fn step(&self) -> Step {
        const MINUTES: [i64; 16] =
            [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 5_760, 10_080, 20_160];
        const MONTHS: [u32; 6] = [1, 2, 3, 6, 12, 24];
        let minutes = seconds(self.length()) / 60.0;
        if let Some(step) = MINUTES.into_iter().find(|step| *step as f64 * LABELS >= minutes) {
            return Step::Minutes(step);
        }
        let months = minutes / 1_440.0 / 30.44;
        let found = MONTHS.into_iter().find(|step| f64::from(*step) * LABELS >= months);
        Step::Months(
            found.unwrap_or_else(|| ((months / 12.0 / LABELS).ceil() * 12.0).min(3_600_000.0) as u32),
        )
    }

    /// Returns the last round time at or before the start.
    fn first(&self, step: Step) -> Option<DateTime<Utc>> {
        let day = self.from.date_naive();
        match step {
            Step::Minutes(minutes) if minutes <= 1_440 => {
                let into = self.from.signed_duration_since(midnight(day)?).num_minutes();
                midnight(day)?.checked_add_signed(TimeDelta::minutes(into / minutes * minutes))
            }
            // Steps of several days are counted from the first day of the axis.
            Step::Minutes(_) => midnight(day),
            Step::Months(months) => {
                let months = i64::from(months.max(1));
                let index = i64::from(day.year()) * 12 + i64::from(day.month0());
                let index = index.div_euclid(months) * months;
                let year = i32::try_from(index.div_euclid(12)).ok()?;
                let month = u32::try_from(index.rem_euclid(12)).ok()?;
                midnight(NaiveDate::from_ymd_opt(year, month + 1, 1)?)
            }
        }
    }
}

fn midnight(day: NaiveDate) -> Option<DateTime<Utc>> {
    day.and_hms_opt(0, 0, 0).map(|time| time.and_utc())
}

/// Returns the label of a tick: the hour, the day, the month or the year. The second value is true if
/// it names a larger unit than its neighbors do.
fn label(at: DateTime<Utc>, step: Step) -> (String, bool) {
    let (form, new) = match step {
        Step::Minutes(minutes) if minutes < 1_440 => {
            let midnight = at.time() == NaiveTime::MIN;
            (if midnight { "%b %-d" } else { "%H:%M" }, midnight)
        }
        Step::Minutes(_) => ("%b %-d", false),
        Step::Months(months) if months < 12 => {
            let january = at.month() == 1;
            (if january { "%Y" } else { "%b" }, january)
        }
        Step::Months(_) => ("%Y", false),
    };
    (at.format(form).to_string(), new)
}

/// Returns a duration in seconds.
pub(super) fn seconds(delta: TimeDelta) -> f64 {
    delta.num_milliseconds() as f64 / 1_000.0
}
