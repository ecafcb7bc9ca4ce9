//! Runs side by side, as one SVG: what the upstream served by tier, what it failed, what it can
//! do, and its share of errors.

use crate::Run;
use crate::scenario::{Counts, TIERS};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (1100, 560);
/// The height of the legend, below the charts.
const LEGEND: u32 = 30;
const ERRORS: RGBColor = RGBColor(0xc6, 0x28, 0x28);
/// Tiers, lowest first; dark ones give way last.
const COLOURS: [RGBColor; TIERS] = [
    RGBColor(0xfd, 0xe0, 0x8a),
    RGBColor(0xb8, 0xd8, 0x6b),
    RGBColor(0x5f, 0xc0, 0x86),
    RGBColor(0x2f, 0x9a, 0x9a),
    RGBColor(0x2b, 0x6d, 0xa8),
    RGBColor(0x2c, 0x3c, 0x84),
];
/// The time between points.
const STEP: Duration = Duration::from_secs(1);

pub fn draw(runs: &[Run], to: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(to, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (charts, below) = root.split_vertically(SIZE.1 - LEGEND);
    legend(&below)?;
    let columns = charts.split_evenly((1, runs.len()));
    for (run, column) in runs.iter().zip(columns) {
        let (above, below) = column.split_vertically(SIZE.1 * 6 / 10);
        admissions(run, &above)?;
        errors(run, &below)?;
    }
    root.present()?;
    Ok(())
}

/// The seconds of a run, each with what was sent in it.
fn seconds(run: &Run) -> impl Iterator<Item = (f64, [Counts; TIERS])> {
    let length = run.scenario.length().as_secs();
    (0..length).map(Duration::from_secs).map(|at| {
        let counts = run.record.tiers(at, at + STEP);
        ((at + STEP / 2).as_secs_f64(), counts)
    })
}

/// Tiers on top of each other, the highest at the bottom, errors on top, under the capacity.
fn admissions(run: &Run, area: &Area) -> Result<(), Box<dyn Error>> {
    let length = run.scenario.length().as_secs_f64();
    let most = run.scenario.capacity(Duration::ZERO) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(run.name, ("sans-serif", 18))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..length, 0.0..most)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_desc("requests a second")
        .draw()?;
    // Each area covers the lower part of the one before.
    let total = |(at, counts): (f64, [Counts; TIERS])| {
        let admitted = counts.iter().map(|counts| counts.admitted()).sum::<u32>();
        (at, f64::from(admitted))
    };
    chart.draw_series(AreaSeries::new(seconds(run).map(total), 0.0, ERRORS))?;
    for tier in 0..TIERS {
        let served = |(at, counts): (f64, [Counts; TIERS])| {
            let served = counts[tier..].iter().map(|counts| counts.served);
            (at, f64::from(served.sum::<u32>()))
        };
        let colour = COLOURS[tier];
        chart.draw_series(AreaSeries::new(seconds(run).map(served), 0.0, colour))?;
    }
    let changes = [
        Duration::ZERO,
        run.scenario.warm_up,
        run.scenario.warm_up + run.scenario.halved,
        run.scenario.length(),
    ];
    let capacity = changes.windows(2).flat_map(|part| {
        let capacity = run.scenario.capacity(part[0]);
        part.iter().map(move |at| (at.as_secs_f64(), capacity))
    });
    chart.draw_series(LineSeries::new(capacity, BLACK.stroke_width(2)))?;
    Ok(())
}

/// What the colours of both charts mean.
fn legend(area: &Area) -> Result<(), Box<dyn Error>> {
    let tiers = COLOURS.iter().enumerate();
    let served = tiers.map(|(tier, colour)| (format!("tier{tier}, served"), *colour));
    let others = [
        ("failed upstream".to_owned(), ERRORS),
        ("capacity".to_owned(), BLACK),
    ];
    let mut x = 60;
    for (text, colour) in served.chain(others) {
        // The capacity is a line.
        let half = if colour == BLACK { 1 } else { 6 };
        area.draw(&Rectangle::new(
            [(x, 14 - half), (x + 14, 14 + half)],
            colour.filled(),
        ))?;
        area.draw(&Text::new(text, (x + 20, 8), ("sans-serif", 13)))?;
        x += 126;
    }
    Ok(())
}

/// The share of errors of what reached the upstream.
fn errors(run: &Run, area: &Area) -> Result<(), Box<dyn Error>> {
    let length = run.scenario.length().as_secs_f64();
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..length, 0.0..60.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .y_labels(4)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_desc("upstream errors, %")
        .x_desc("seconds")
        .draw()?;
    let share = |(at, counts): (f64, [Counts; TIERS])| {
        let mut all = Counts::default();
        counts.into_iter().for_each(|counts| all += counts);
        (at, all.error_share() * 100.0)
    };
    chart.draw_series(LineSeries::new(
        seconds(run).map(share),
        ERRORS.stroke_width(2),
    ))?;
    Ok(())
}
