//! The measurements by number of accounts, as one SVG: CPU, memory and start.

use crate::Scale;
use crate::meter::median;
use crate::options::Options;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (1100, 360);
const MEASURED: RGBColor = RGBColor(0x2b, 0x6d, 0xa8);
const AIM: RGBColor = RGBColor(0xc6, 0x28, 0x28);

/// One chart: its title, its points, and a line to compare with.
struct Chart<'a> {
    title: &'a str,
    points: Vec<(f64, f64)>,
    line: Option<(&'a str, f64)>,
}

/// Draws the plot where the options want one.
pub fn draw(scales: &[Scale], options: &Options) -> Result<(), Box<dyn Error>> {
    let Some(path) = &options.plot else {
        return Ok(());
    };
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let columns = root.split_evenly((1, 3));
    for (chart, area) in charts(scales).iter().zip(columns) {
        chart.draw(&area)?;
    }
    root.present()?;
    Ok(())
}

fn charts(scales: &[Scale]) -> [Chart<'static>; 3] {
    let points = |of: &dyn Fn(&Scale) -> Option<f64>| {
        let point = |scale: &Scale| Some((f64::from(scale.accounts?), of(scale)?));
        let usual = scales.iter().filter(|scale| !scale.joins);
        usual.filter_map(point).collect()
    };
    let none = scales.iter().find(|scale| scale.accounts.is_none());
    let fewest = scales.iter().find(|scale| scale.accounts.is_some());
    let fewest = fewest.unwrap();
    [
        Chart {
            title: "CPU of a request, us",
            points: points(&|scale| Some(median(&scale.cpu))),
            line: none.map(|scale| ("no filter", median(&scale.cpu))),
        },
        Chart {
            title: "memory of an account, bytes",
            points: points(&|scale| scale.memory_by(fewest, |memory| memory.allocated)),
            line: Some(("160 bytes", 160.0)),
        },
        Chart {
            title: "start to first answer, ms",
            points: points(&|scale| Some(median(&scale.start(|start| start.ms)))),
            line: Some(("500 ms", 500.0)),
        },
    ]
}

impl Chart<'_> {
    fn draw(&self, area: &Area) -> Result<(), Box<dyn Error>> {
        let values = self.points.iter().map(|point| point.1);
        let most = values
            .chain(self.line.map(|line| line.1))
            .fold(0.0, f64::max);
        let accounts = 500.0..2_500_000.0_f64;
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d(accounts.clone().log_scale(), 0.0..most * 1.25)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .x_desc("live accounts")
            .draw()?;
        if let Some((text, y)) = self.line {
            let ends = [(accounts.start, y), (accounts.end, y)];
            chart.draw_series(LineSeries::new(ends, AIM.stroke_width(1)))?;
            let style = ("sans-serif", 13).into_font().color(&AIM);
            let above = y + most * 0.05;
            chart.draw_series([Text::new(text.to_owned(), (600.0, above), style)])?;
        }
        let points = || self.points.iter().copied();
        chart.draw_series(LineSeries::new(points(), MEASURED.stroke_width(2)))?;
        chart.draw_series(points().map(|at| Circle::new(at, 4, MEASURED.filled())))?;
        Ok(())
    }
}
