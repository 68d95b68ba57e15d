//! Curves of times, and bars.

use std::fmt;

use super::rounds::readable;
use super::svg::{GREY, Svg};

const LEFT: f64 = 90.0;
const TOP: f64 = 46.0;
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 260.0;

/// A curve through points: what grows to the right, and seconds, or what else is told on a logarithmic scale.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) colour: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws curves over one another, times upwards by powers of ten.
pub(crate) fn curves(title: &str, across: &str, lines: &[Line]) -> Result<String, fmt::Error> {
    let points = || lines.iter().flat_map(|line| &line.points).filter(|(_, seconds)| *seconds > 0.0);
    let right = points().map(|(x, _)| *x).fold(0.0, f64::max);
    let bottom = points().map(|(_, y)| y.log10()).fold(f64::INFINITY, f64::min).floor();
    let top = points().map(|(_, y)| y.log10()).fold(f64::NEG_INFINITY, f64::max).ceil().max(bottom + 1.0);
    let place = |(x, y): (f64, f64)| {
        let up = (y.max(1e-12).log10() - bottom) / (top - bottom);
        (LEFT + WIDTH * x / right, TOP + HEIGHT * (1.0 - up.clamp(0.0, 1.0)))
    };
    let mut svg = Svg::begin(title, (LEFT + WIDTH + 40.0, TOP + HEIGHT + 70.0), LEFT)?;
    let mut power = bottom;
    while power <= top {
        let (_, y) = place((0.0, 10_f64.powf(power)));
        svg.rule((LEFT, y), (LEFT + WIDTH, y))?;
        svg.text((LEFT - 8.0, y + 4.0), "end", GREY, &readable(10_f64.powf(power)))?;
        power += 1.0;
    }
    for step in 0..=5 {
        let (x, _) = place((right * f64::from(step) / 5.0, 1.0));
        svg.rule((x, TOP), (x, TOP + HEIGHT))?;
        let label = format!("{:.3}", right * f64::from(step) / 5.0);
        svg.text(
            (x, TOP + HEIGHT + 18.0),
            "middle",
            GREY,
            label.trim_end_matches('0').trim_end_matches('.'),
        )?;
    }
    svg.text((LEFT + WIDTH, TOP + HEIGHT + 36.0), "end", GREY, across)?;
    for (number, line) in lines.iter().enumerate() {
        let Line { name, colour, points } = line;
        svg.curve(points.iter().map(|point| place(*point)), colour)?;
        let x = LEFT + f64::from(u8::try_from(number).unwrap_or_default()) * 165.0;
        svg.text((x, TOP + HEIGHT + 56.0), "start", colour, name)?;
    }
    svg.end()
}

/// A bar.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) colour: &'static str,
    pub(crate) length: f64,
    /// What is written at its end.
    pub(crate) told: String,
}

/// Draws bars under one another; a thin line across them all stands at a length, if there is one to be seen.
pub(crate) fn bars(title: &str, bars: &[Bar], mark: Option<f64>) -> Result<String, fmt::Error> {
    const NAMES: f64 = 210.0;
    const STEP: f64 = 26.0;
    let longest = bars.iter().map(|bar| bar.length).chain(mark).fold(f64::MIN_POSITIVE, f64::max);
    let right = |length: f64| LEFT + NAMES + (WIDTH - NAMES - 60.0) * length / longest;
    let bottom = TOP + STEP * f64::from(u8::try_from(bars.len()).unwrap_or(u8::MAX));
    let mut svg = Svg::begin(title, (LEFT + WIDTH + 40.0, bottom + 20.0), LEFT)?;
    let mut top = TOP;
    for Bar { name, colour, length, told } in bars {
        svg.text((LEFT + NAMES - 8.0, top + 14.0), "end", GREY, name)?;
        let (left, width) = (LEFT + NAMES, right(*length) - LEFT - NAMES);
        svg.bar((left, top), (width, 18.0), colour)?;
        svg.text((right(*length) + 6.0, top + 14.0), "start", GREY, told)?;
        top += STEP;
    }
    if let Some(mark) = mark {
        svg.rule((right(mark), TOP - 6.0), (right(mark), bottom))?;
    }
    svg.end()
}
