//! Pictures of how soon a revocation is felt, and of what each cache answers around it.

use std::fmt;

use super::fleet::Answer;
use super::latencies::Latencies;
use crate::measure::svg::{GREY, Svg};

const COLOURS: [&str; 4] = ["#2563eb", "#059669", "#d97706", "#db2777"];
const LEFT: f64 = 150.0;
const TOP: f64 = 46.0;
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 240.0;

/// From 0.1 ms to 10 s, a power of ten each.
const DECADES: [(f64, &str); 6] =
    [(1e-4, "0.1 ms"), (1e-3, "1 ms"), (1e-2, "10 ms"), (1e-1, "100 ms"), (1.0, "1 s"), (10.0, "10 s")];

/// Which share of the times lies below which time.
pub(crate) fn shares(title: &str, series: &[(&str, &Latencies)]) -> Result<String, fmt::Error> {
    let across = |seconds: f64| LEFT + WIDTH * (seconds.max(1e-4) / 1e-4).log10() / 5.0;
    let up = |share: f64| TOP + HEIGHT * (1.0 - share);
    let mut svg = Svg::begin(title, (LEFT + WIDTH + 40.0, TOP + HEIGHT + 60.0), LEFT)?;
    for (seconds, label) in DECADES {
        svg.rule((across(seconds), TOP), (across(seconds), TOP + HEIGHT))?;
        svg.text((across(seconds), TOP + HEIGHT + 18.0), "middle", GREY, label)?;
    }
    for (share, label) in [(0.0, "0 %"), (0.5, "50 %"), (0.99, "99 %")] {
        svg.rule((LEFT, up(share)), (LEFT + WIDTH, up(share)))?;
        svg.text((LEFT - 8.0, up(share) + 4.0), "end", GREY, label)?;
    }
    for (number, ((name, times), colour)) in series.iter().zip(COLOURS).enumerate() {
        let shares = (0..=200).map(|step| f64::from(step) / 200.0);
        svg.curve(shares.map(|share| (across(times.quantile(share)), up(share))), colour)?;
        let across = LEFT + f64::from(u8::try_from(number).unwrap_or_default()) * 220.0;
        svg.text((across, TOP + HEIGHT + 44.0), "start", colour, name)?;
    }
    svg.end()
}

/// What one cache answered, and when, in seconds after the revocation was acknowledged.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) answers: Vec<(f64, Answer)>,
}

/// What each cache answered, from some seconds before to some after; `marks` are moments with a name.
pub(crate) fn answers(
    title: &str,
    rows: &[Row],
    (from, to): (f64, f64),
    marks: &[(f64, &str)],
) -> Result<String, fmt::Error> {
    const STEP: f64 = 34.0;
    let across = |seconds: f64| LEFT + WIDTH * (seconds - from) / (to - from);
    let bottom = TOP + 16.0 + STEP * f64::from(u8::try_from(rows.len()).unwrap_or(u8::MAX));
    let mut svg = Svg::begin(title, (LEFT + WIDTH + 40.0, bottom + 64.0), LEFT)?;
    for (number, row) in rows.iter().enumerate() {
        let top = TOP + 16.0 + STEP * f64::from(u8::try_from(number).unwrap_or(u8::MAX));
        svg.text((LEFT - 8.0, top + 16.0), "end", GREY, &row.name)?;
        for (at, answer) in &row.answers {
            svg.bar((across(*at), top), (2.2, 22.0), colour(*answer))?;
        }
    }
    for (at, name) in marks {
        svg.rule((across(*at), TOP), (across(*at), bottom))?;
        svg.text((across(*at), TOP + 6.0), "middle", GREY, name)?;
    }
    let mut second = from.ceil();
    while second <= to {
        svg.text((across(second), bottom + 18.0), "middle", GREY, &format!("{second:+} s"))?;
        second += 1.0;
    }
    for (number, (answer, name)) in LEGEND.into_iter().enumerate() {
        let across = LEFT + f64::from(u8::try_from(number).unwrap_or_default()) * 170.0;
        svg.text((across, bottom + 46.0), "start", colour(answer), name)?;
    }
    svg.end()
}

const LEGEND: [(Answer, &str); 3] = [
    (Answer::Accepted, "■ accepted"),
    (Answer::Denied, "■ active: false"),
    (Answer::Undecided, "■ UNAVAILABLE"),
];

const fn colour(answer: Answer) -> &'static str {
    match answer {
        Answer::Accepted => "#059669",
        Answer::Denied => "#dc2626",
        Answer::Undecided => "#9ca3af",
    }
}
