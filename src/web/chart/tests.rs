use chrono::{DateTime, TimeDelta, Utc};

use super::scale::{Scale, TimeScale};
use super::*;

fn start() -> DateTime<Utc> {
    "2026-11-21T08:30:00Z".parse().unwrap()
}

fn hours(count: i64) -> Vec<DateTime<Utc>> {
    (0..count).map(|hour| start() + TimeDelta::hours(hour)).collect()
}

fn head(title: &str) -> Head<'_> {
    Head { title, ..Head::default() }
}

fn one_line(values: &[Option<f64>]) -> Line<'static> {
    Line {
        name: "views",
        hue: Hue::One,
        points: hours(values.len() as i64).into_iter().zip(values.iter().copied()).collect(),
    }
}

fn one_column(values: &[Option<f64>]) -> String {
    let series = [Buckets { name: "jobs", hue: Hue::Good, values: values.to_vec() }];
    columns(&head("Jobs"), &hours(values.len() as i64), &series).into_string()
}

fn period(from: i64, until: Option<i64>) -> Period<'static> {
    let at = |hour| start() + TimeDelta::hours(hour);
    Period {
        from: at(from),
        until: until.map(at),
        status: "failed",
        hue: Hue::Bad,
        label: "Run 1",
        href: None,
    }
}

/// Every chart with the same hostile or extreme input.
fn every_chart(text: &str, values: &[Option<f64>]) -> Vec<String> {
    let starts = hours(values.len() as i64);
    let points = starts.iter().copied().zip(values.iter().copied()).collect();
    let list: Vec<Bar> = values
        .iter()
        .map(|value| Bar { label: text, value: *value, href: Some(text), hue: Hue::Two })
        .collect();
    let runs = Period { status: text, label: text, href: Some(text), ..period(0, Some(2)) };
    let rows = [Row { label: text, periods: vec![runs] }];
    vec![
        columns(&head(text), &starts, &[Buckets { name: text, hue: Hue::One, values: values.to_vec() }]),
        lines(&head(text), None, &[Line { name: text, hue: Hue::One, points }]),
        bars(&head(text), &list),
        timeline(&head(text), start(), start() + TimeDelta::hours(8), &rows),
        spark(text, Unit::Count, Hue::One, values),
    ]
    .into_iter()
    .map(maud::Markup::into_string)
    .collect()
}

/// Returns the chart without its data table.
fn drawing(chart: &str) -> &str {
    chart.split("<details").next().unwrap()
}

fn assert_drawable(chart: &str) {
    for word in ["NaN", "inf", "style=", "<script", "onload"] {
        assert!(!chart.contains(word), "{word} in {chart}");
    }
}

#[test]
fn texts_are_escaped() {
    for chart in every_chart("<script>alert(\"1\")</script>&'", &[Some(1.0), Some(2.0)]) {
        assert_drawable(&chart);
        assert!(chart.contains("&lt;script&gt;alert(&quot;1&quot;)"), "{chart}");
        assert!(!chart.contains("alert(\"1\")"), "{chart}");
    }
}

#[test]
fn charts_without_values_say_so() {
    for values in [&[][..], &[None, None], &[Some(f64::NAN), Some(f64::INFINITY)]] {
        let head = Head { empty: "No jobs <yet>", ..head("Jobs") };
        let starts = hours(values.len() as i64);
        let list: Vec<Bar> = values.iter().map(|value| Bar { value: *value, ..Bar::default() }).collect();
        let charts = [
            columns(&head, &starts, &[Buckets { values: values.to_vec(), ..Buckets::default() }]),
            columns(&head, &starts, &[]),
            lines(&head, None, &[one_line(values)]),
            lines(&head, None, &[]),
            bars(&head, &list),
            timeline(&head, start(), start(), &[]),
        ];
        for chart in charts {
            let chart = chart.into_string();
            assert!(chart.contains("No jobs &lt;yet&gt;") && !chart.contains("<svg"), "{chart}");
        }
        assert!(spark("Views", Unit::Count, Hue::One, values).into_string().contains("no data"));
    }
    assert!(lines(&head("Views"), None, &[]).into_string().contains("No data in this period"));
}

#[test]
fn one_value_is_drawn() {
    for chart in every_chart("Views", &[Some(5.0)]) {
        assert_drawable(&chart);
        assert!(chart.contains("<svg"), "{chart}");
    }
    // A line needs two points, so a single one is a dot.
    let chart = lines(&head("Views"), None, &[one_line(&[Some(5.0)])]).into_string();
    assert_eq!(chart.matches("<circle").count(), 1);
}

#[test]
fn extreme_values_are_drawn() {
    let extremes = [
        Some(f64::MAX),
        Some(f64::MIN),
        Some(f64::MIN_POSITIVE),
        Some(f64::NAN),
        None,
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(0.0),
        Some(-0.0),
    ];
    for chart in every_chart("Views", &extremes) {
        assert_drawable(&chart);
        assert!(chart.contains("<svg"), "{chart}");
    }
    for value in [1e-300, 1e-9, 0.3, 1e9, 1e18, 1e300] {
        for chart in every_chart("Views", &[Some(value), Some(-value)]) {
            assert_drawable(&chart);
        }
    }
}

#[test]
fn negative_columns_hang_below_zero() {
    let chart = one_column(&[Some(10.0), Some(-10.0)]);
    // The axis runs from -10 to 10, so zero is in the middle of 180 pixels.
    assert!(chart.contains("d=\"M40 0h4920v90H40zM5040 90h4920v90H5040z\""), "{chart}");
    assert!(chart.contains("−10"), "{chart}");
}

#[test]
fn a_small_value_stays_visible() {
    assert!(one_column(&[Some(1_000_000.0), Some(1.0)]).contains("v1H"));
}

#[test]
fn gaps_split_a_line() {
    let chart = lines(&head("Views"), None, &[one_line(&[Some(1.0), Some(2.0), None, Some(3.0), Some(4.0)])])
        .into_string();
    let path = chart.split("class=\"line hue-1\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(path.matches('M').count(), 2, "{path}");
}

#[test]
fn ten_thousand_points_stay_small() {
    let values: Vec<Option<f64>> =
        (0..10_000_u32).map(|i| Some(f64::from(i.wrapping_mul(2_654_435_761) % 1_000))).collect();
    for chart in every_chart("Views", &values).into_iter().take(2) {
        assert!(drawing(&chart).len() < 200_000, "{} bytes", drawing(&chart).len());
        assert!(chart.len() < 250_000, "{} bytes", chart.len());
    }
    let periods = (0..10_000).map(|hour| period(hour, Some(hour + 1))).collect();
    let rows = [Row { label: "Cats", periods }];
    let chart = timeline(&head("Runs"), start(), start() + TimeDelta::hours(10_000), &rows).into_string();
    assert!(drawing(&chart).len() < 200_000, "{} bytes", drawing(&chart).len());
    assert!(spark("Views", Unit::Count, Hue::One, &values).into_string().len() < 2_000);
}

#[test]
fn merged_columns_keep_their_sum() {
    let chart = one_column(&vec![Some(1.0); 10_000]);
    assert!(chart.contains("jobs: 10,000 in total"), "{}", drawing(&chart));
    assert!(chart.contains("Each row adds up 42 intervals."));
}

#[test]
fn long_lines_keep_their_peaks() {
    let mut values = vec![Some(1.0); 10_000];
    values[5_003] = Some(100.0);
    let chart = lines(&head("Views"), None, &[one_line(&values)]).into_string();
    let path = chart.split("class=\"line hue-1\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(path.contains("L5004 0L"), "the peak is missing");
}

#[test]
fn the_same_input_gives_the_same_output() {
    let draw = || every_chart("Views", &[Some(1.0), None, Some(3.5)]);
    assert_eq!(draw(), draw());
}

#[test]
fn charts_have_text_alternatives() {
    let chart = one_column(&[Some(3.0), Some(4.0)]);
    assert!(chart.contains("role=\"img\" aria-label=\"Jobs. Columns from Nov 21, 2026 08:30 to Nov 21, 2026 10:30 UTC; jobs: 7 in total."));
    assert!(chart.contains("<title>Nov 21, 2026 08:30–09:30\njobs: 3</title>"), "{chart}");
    assert!(
        chart.contains("<th scope=\"row\">Nov 21, 2026 09:30–10:30</th><td class=\"num\">4</td>"),
        "{chart}"
    );
}

#[test]
fn timelines_cut_periods_at_their_edges() {
    let rows =
        [Row { label: "Cats", periods: vec![period(-5, Some(2)), period(6, None), period(20, Some(21))] }];
    let chart = timeline(&head("Runs"), start(), start() + TimeDelta::hours(8), &rows).into_string();
    assert!(chart.contains("x=\"0%\" y=\"19\" width=\"25%\""), "{chart}");
    assert!(chart.contains("x=\"75%\" y=\"19\" width=\"25%\""), "{chart}");
    assert!(chart.contains("<b>2</b>"), "{chart}");
}

#[test]
fn linked_timelines_can_be_reached_by_keyboard() {
    let linked = Period { href: Some("/runs/1"), ..period(0, Some(1)) };
    let draw = |periods| {
        timeline(&head("Runs"), start(), start() + TimeDelta::hours(8), &[Row { label: "Cats", periods }])
            .into_string()
    };
    assert!(draw(vec![linked]).contains("role=\"group\""));
    assert!(draw(vec![period(0, Some(1))]).contains("role=\"img\""));
}

#[test]
fn numbers_are_short() {
    let short = |unit: Unit, values: &[f64]| {
        values.iter().map(|value| unit.short(*value)).collect::<Vec<_>>().join(" | ")
    };
    assert_eq!(
        short(
            Unit::Count,
            &[
                0.0,
                7.0,
                0.05,
                999.0,
                999.7,
                1_000.0,
                1_234.0,
                999_949.0,
                3_400_000.0,
                5e9,
                2e12,
                1e18,
                -1_500.0
            ]
        ),
        "0 | 7 | 0.05 | 999 | 1k | 1k | 1.2k | 1M | 3.4M | 5B | 2T | 1e18 | −1.5k"
    );
    assert_eq!(
        short(Unit::Dollars, &[0.0, 0.35, 12.0, 12.5, 1_200.0, -3.0]),
        "$0 | $0.35 | $12 | $12.50 | $1.2k | −$3"
    );
    assert_eq!(
        short(Unit::Seconds, &[0.0, 0.25, 1.0, 59.0, 60.0, 90.0, 3_600.0, 86_400.0, 200_000.0]),
        "0 s | 250 ms | 1 s | 59 s | 1 min | 1.5 min | 1 h | 1 d | 2.3 d"
    );
    assert_eq!(
        short(Unit::Bytes, &[0.0, 512.0, 1_024.0, 1_572_864.0, 1e12]),
        "0 B | 512 B | 1 KiB | 1.5 MiB | 931 GiB"
    );
    assert_eq!(short(Unit::Percent, &[0.0, 12.5, 100.0]), "0% | 12.5% | 100%");
    assert_eq!(short(Unit::Count, &[f64::NAN, f64::INFINITY]), "– | –");
    assert_eq!(Unit::Count.full(1_234_567.0), "1,234,567");
    assert_eq!(Unit::Count.full(1_234.5), "1,234.50");
    assert_eq!(Unit::Dollars.full(-1_234.5), "−$1,234.50");
    assert_eq!(Unit::Count.full(123.0), "123");
}

#[test]
fn number_axes_have_round_ticks() {
    let ticks = |low, high, unit: Unit| -> String {
        let ticks = Scale::around(low, high, unit).ticks();
        ticks.into_iter().map(|tick| unit.short(tick)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ticks(0.0, 1.0, Unit::Count), "0 1");
    assert_eq!(ticks(0.0, 3.0, Unit::Count), "0 1 2 3");
    assert_eq!(ticks(0.0, 1_234.0, Unit::Count), "0 500 1k 1.5k");
    assert_eq!(ticks(0.0, 90.0, Unit::Seconds), "0 s 30 s 1 min 1.5 min");
    assert_eq!(ticks(0.0, 1.3e9, Unit::Bytes), "0 B 512 MiB 1 GiB 1.5 GiB");
    assert_eq!(ticks(-4.0, 9.0, Unit::Dollars), "−$5 $0 $5 $10");
    for exponent in -300..300 {
        let high = 10_f64.powi(exponent) * 3.7;
        for low in [0.0, -high, high * 0.99] {
            let ticks = Scale::around(low, high, Unit::Count).ticks();
            assert!((2..=9).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
        }
    }
}

#[test]
fn time_axes_have_round_ticks() {
    let ticks = |length: TimeDelta| -> String {
        let ticks = TimeScale::new(start(), start() + length).ticks();
        ticks.into_iter().map(|tick| tick.label).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ticks(TimeDelta::minutes(30)), "08:30 08:35 08:40 08:45 08:50 08:55 09:00");
    assert_eq!(ticks(TimeDelta::hours(24)), "12:00 18:00 Nov 22 06:00");
    assert_eq!(ticks(TimeDelta::days(7)), "Nov 22 Nov 23 Nov 24 Nov 25 Nov 26 Nov 27 Nov 28");
    assert_eq!(ticks(TimeDelta::days(365)), "2027 Mar May Jul Sep Nov");
    assert_eq!(ticks(TimeDelta::days(3_650)), "2028 2030 2032 2034 2036");
    for exponent in 0..45 {
        let Some(length) = TimeDelta::try_seconds(1 << exponent) else { continue };
        let Some(end) = start().checked_add_signed(length) else { continue };
        let ticks = TimeScale::new(start(), end).ticks();
        assert!(ticks.len() <= 9, "{length}: {ticks:?}");
        assert!(length < TimeDelta::minutes(2) || !ticks.is_empty(), "{length}");
    }
}

#[test]
fn narrow_axes_keep_the_labels_of_days() {
    let ticks = TimeScale::new(start(), start() + TimeDelta::hours(48)).ticks();
    let major: Vec<&str> = ticks.iter().filter(|tick| !tick.minor).map(|tick| tick.label.as_str()).collect();
    assert_eq!(major, ["Nov 22", "Nov 23"]);
}
