//! SVG that can be read on a light page and on a dark one.

use std::fmt::{self, Write as _};

/// What is neither a curve nor a bar.
pub(crate) const GREY: &str = "#6b7280";

/// Where something is, from the upper left corner.
pub(crate) type Place = (f64, f64);

/// A picture that is being drawn.
pub(crate) struct Svg(String);

impl Svg {
    /// One of a width and a height, whose title begins so far from the left.
    pub(crate) fn begin(title: &str, (width, height): (f64, f64), left: f64) -> Result<Self, fmt::Error> {
        let mut svg = Self(String::new());
        writeln!(
            svg.0,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">"#
        )?;
        svg.text((left, 22.0), "start", GREY, title)?;
        Ok(svg)
    }

    pub(crate) fn end(mut self) -> Result<String, fmt::Error> {
        writeln!(self.0, "</svg>")?;
        Ok(self.0)
    }

    /// A thin line.
    pub(crate) fn rule(&mut self, (x1, y1): Place, (x2, y2): Place) -> fmt::Result {
        writeln!(
            self.0,
            r##"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="#9ca3af" stroke-width="0.6"/>"##
        )
    }

    /// Words that have their start, middle or end at a place.
    pub(crate) fn text(&mut self, (x, y): Place, anchor: &str, colour: &str, words: &str) -> fmt::Result {
        writeln!(
            self.0,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{words}</text>"#
        )
    }

    pub(crate) fn curve(&mut self, points: impl Iterator<Item = Place>, colour: &str) -> fmt::Result {
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        writeln!(self.0, r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>"#)
    }

    /// A filled rectangle by its upper left corner.
    pub(crate) fn bar(&mut self, (x, y): Place, (width, height): (f64, f64), colour: &str) -> fmt::Result {
        writeln!(
            self.0,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.0}" fill="{colour}"/>"#
        )
    }
}
