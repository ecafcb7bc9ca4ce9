//! Decisions over time as an SVG: admitted requests, and on top of them those over each limit.

use super::report::moment;
use super::tally::RefusalReason;
use super::timeline::Timeline;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (1100, 420);
/// The height of the legend, below the chart.
const LEGEND: u32 = 30;
const ADMITTED: RGBColor = RGBColor(0x9f, 0xc5, 0xe0);
/// The colours of limits, in the order of their first refusal; further ones begin anew.
const LIMITS: [RGBColor; 8] = [
    RGBColor(0xc6, 0x28, 0x28),
    RGBColor(0xef, 0x8a, 0x17),
    RGBColor(0x6a, 0x3d, 0x9a),
    RGBColor(0xe6, 0xc2, 0x29),
    RGBColor(0x2b, 0x6d, 0xa8),
    RGBColor(0x8d, 0x5a, 0x3b),
    RGBColor(0x2f, 0x9a, 0x9a),
    RGBColor(0x55, 0x55, 0x55),
];
/// The time from which the axis tells days.
const TWO_DAYS: f64 = 172_800_000.0;

/// Draws a timeline as the text of an SVG.
///
/// # Errors
/// Those of the drawing library.
pub fn draw(timeline: &Timeline) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    draw_into(timeline, &mut text)?;
    Ok(text)
}

fn draw_into(timeline: &Timeline, text: &mut String) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (chart, below) = root.split_vertically(SIZE.1.saturating_sub(LEGEND));
    legend(timeline.reasons(), &below)?;
    decisions(timeline, &chart)?;
    root.present()?;
    Ok(())
}

/// Returns the outline of the lowest columns of each step, in requests a second.
fn outline(timeline: &Timeline, columns: usize) -> Vec<(f64, f64)> {
    let length = float(timeline.step());
    let steps = timeline.steps().enumerate();
    let points = steps.flat_map(|(place, counts)| {
        let counts = counts.iter().take(columns);
        let sum = counts.fold(0_u64, |sum, count| sum.saturating_add(*count));
        let rate = float(sum) * 1000.0 / length;
        let begins = float(u64::try_from(place).unwrap_or(u64::MAX)) * length;
        [(begins, rate), (begins + length, rate)]
    });
    points.collect()
}

fn decisions(timeline: &Timeline, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let columns = timeline.reasons().len().saturating_add(1);
    let all = outline(timeline, columns);
    let length = all.last().map_or(1.0, |(end, _)| *end);
    let most = all.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let begins = timeline.begins();
    let time = |offset: &f64| {
        let text = moment(begins.saturating_add(whole(*offset)));
        let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
        match length > TWO_DAYS {
            true => date.to_owned(),
            false => clock.split('.').next().unwrap_or_default().to_owned(),
        }
    };
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(30)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..length, 0.0..(most * 1.1).max(0.001))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&time)
        .y_desc("requests a second")
        .x_desc(format!("time in UTC, from {}", moment(begins)))
        .draw()?;
    // Each area covers the lower part of the one before.
    for column in (0..columns).rev() {
        let points = outline(timeline, column.saturating_add(1));
        chart.draw_series(AreaSeries::new(points, 0.0, colour(column)))?;
    }
    Ok(())
}

/// Returns the colour of a column: admitted requests come first.
fn colour(column: usize) -> RGBColor {
    let limit = column.checked_sub(1);
    let limit = limit.and_then(|place| LIMITS.iter().cycle().nth(place));
    limit.copied().unwrap_or(ADMITTED)
}

/// Draws what the colours mean.
fn legend(reasons: &[RefusalReason], area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let names = reasons.iter().map(|reason| match reason {
        RefusalReason::Limit(kind) => format!("over {kind}"),
        _ => reason.name(),
    });
    let mut x = 66_i32;
    for (column, name) in std::iter::once("admitted".to_owned())
        .chain(names)
        .enumerate()
    {
        let room = i32::try_from(name.len())
            .unwrap_or(0)
            .saturating_mul(8)
            .saturating_add(40);
        let corner = (x.saturating_add(14), 20);
        area.draw(&Rectangle::new([(x, 8), corner], colour(column).filled()))?;
        area.draw(&Text::new(
            name,
            (x.saturating_add(20), 8),
            ("sans-serif", 13),
        ))?;
        x = x.saturating_add(room);
    }
    Ok(())
}

/// Converts a count; one beyond 2^53 loses its last digits.
#[allow(clippy::cast_precision_loss, reason = "a picture has no such digits")]
const fn float(n: u64) -> f64 {
    n as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an offset of the axis is not negative"
)]
const fn whole(offset: f64) -> u64 {
    offset as u64
}
