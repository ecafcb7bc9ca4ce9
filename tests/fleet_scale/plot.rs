//! Requests that wait by edges an account, and calls a second, as one SVG.

use crate::{Fleet, MEASURED, Seen};
use plotters::prelude::*;
use std::error::Error;

const SIZE: (u32, u32) = (1100, 360);
const FEW: RGBColor = RGBColor(0x2b, 0x6d, 0xa8);
const MANY: RGBColor = RGBColor(0xc6, 0x28, 0x28);

/// One line of a chart: its name, its colour, and its points.
type Line = (String, RGBColor, Vec<(f64, f64)>);

/// Draws the plot that `FLEET_SCALE_PLOT` names.
pub fn draw(all: &[(Fleet, Seen)]) -> Result<(), Box<dyn Error>> {
    let Ok(path) = std::env::var("FLEET_SCALE_PLOT") else {
        return Ok(());
    };
    let root = SVGBackend::new(&path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((1, 2));
    let [left, right] = areas.as_slice() else {
        return Ok(());
    };
    let percent = |_: &Fleet, seen: &Seen| seen.in_line as f64 * 100.0 / seen.admitted as f64;
    chart(
        left,
        "admitted requests that wait for an answer, %",
        lines(all, percent),
    )?;
    let calls = |_: &Fleet, seen: &Seen| seen.calls as f64 / MEASURED as f64;
    chart(
        right,
        "calls a second to the service, all edges",
        lines(all, calls),
    )?;
    root.present()?;
    Ok(())
}

fn lines(all: &[(Fleet, Seen)], of: impl Fn(&Fleet, &Seen) -> f64) -> Vec<Line> {
    let of_accounts = |accounts: u64, colour: RGBColor| {
        let points = all.iter().filter(|(fleet, _)| fleet.accounts == accounts);
        let mut points: Vec<_> = points
            .map(|(fleet, seen)| (fleet.spread as f64, of(fleet, seen)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (
            format!("{} accounts", tiergate::text::number(accounts)),
            colour,
            points,
        )
    };
    vec![of_accounts(1_000, FEW), of_accounts(1_000_000, MANY)]
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    lines: Vec<Line>,
) -> Result<(), Box<dyn Error>> {
    let values = lines
        .iter()
        .flat_map(|(_, _, points)| points.iter().map(|point| point.1));
    let most = values.fold(1.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d((0.8..130.0_f64).log_scale(), 0.0..most)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_desc("edges that an account's requests reach")
        .draw()?;
    for (n, (name, colour, points)) in lines.into_iter().enumerate() {
        chart.draw_series(LineSeries::new(
            points.iter().copied(),
            colour.stroke_width(2),
        ))?;
        chart.draw_series(points.iter().map(|at| Circle::new(*at, 4, colour.filled())))?;
        let style = ("sans-serif", 13).into_font().color(&colour);
        let at = (1.0, most * (0.95 - n as f64 * 0.06));
        chart.draw_series([Text::new(name, at, style)])?;
    }
    Ok(())
}
