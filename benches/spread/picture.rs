//! Pictures of what was measured, as SVG that can be read on a light page and on a dark one.

use std::fmt::{self, Write as _};

use super::fleet::Answer;
use super::latencies::Latencies;

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
    let mut svg = begin(title, TOP + HEIGHT + 60.0)?;
    for (seconds, label) in DECADES {
        line(&mut svg, (across(seconds), TOP), (across(seconds), TOP + HEIGHT))?;
        text(&mut svg, (across(seconds), TOP + HEIGHT + 18.0), "middle", "#6b7280", label)?;
    }
    for (share, label) in [(0.0, "0 %"), (0.5, "50 %"), (0.99, "99 %")] {
        line(&mut svg, (LEFT, up(share)), (LEFT + WIDTH, up(share)))?;
        text(&mut svg, (LEFT - 8.0, up(share) + 4.0), "end", "#6b7280", label)?;
    }
    for (number, ((name, times), colour)) in series.iter().zip(COLOURS).enumerate() {
        let mut points = String::new();
        for step in 0..=200 {
            let share = f64::from(step) / 200.0;
            write!(points, "{:.1},{:.1} ", across(times.quantile(share)), up(share))?;
        }
        writeln!(svg, r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>"#)?;
        let across = LEFT + f64::from(u8::try_from(number).unwrap_or_default()) * 220.0;
        text(&mut svg, (across, TOP + HEIGHT + 44.0), "start", colour, name)?;
    }
    end(svg)
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
    let mut svg = begin(title, bottom + 64.0)?;
    for (number, row) in rows.iter().enumerate() {
        let top = TOP + 16.0 + STEP * f64::from(u8::try_from(number).unwrap_or(u8::MAX));
        text(&mut svg, (LEFT - 8.0, top + 16.0), "end", "#6b7280", &row.name)?;
        for (at, answer) in &row.answers {
            let colour = colour(*answer);
            let left = across(*at);
            writeln!(svg, r#"<rect x="{left:.1}" y="{top:.1}" width="2.2" height="22" fill="{colour}"/>"#)?;
        }
    }
    for (at, name) in marks {
        line(&mut svg, (across(*at), TOP), (across(*at), bottom))?;
        text(&mut svg, (across(*at), TOP + 6.0), "middle", "#6b7280", name)?;
    }
    let mut second = from.ceil();
    while second <= to {
        text(&mut svg, (across(second), bottom + 18.0), "middle", "#6b7280", &format!("{second:+} s"))?;
        second += 1.0;
    }
    for (number, (answer, name)) in LEGEND.into_iter().enumerate() {
        let across = LEFT + f64::from(u8::try_from(number).unwrap_or_default()) * 170.0;
        text(&mut svg, (across, bottom + 46.0), "start", colour(answer), name)?;
    }
    end(svg)
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

fn begin(title: &str, height: f64) -> Result<String, fmt::Error> {
    let width = LEFT + WIDTH + 40.0;
    let mut svg = String::new();
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">"#
    )?;
    text(&mut svg, (LEFT, 22.0), "start", "#6b7280", title)?;
    Ok(svg)
}

fn end(mut svg: String) -> Result<String, fmt::Error> {
    writeln!(svg, "</svg>")?;
    Ok(svg)
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) -> fmt::Result {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(
        svg,
        r##"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="#9ca3af" stroke-width="0.6"/>"##
    )
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, words: &str) -> fmt::Result {
    writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{words}</text>"#)
}
