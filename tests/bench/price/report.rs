//! The printed tables.

use crate::measure::Measured;
use crate::meter::median;
use crate::options::Options;
use crate::rows::{BARE, EMPTY, NO_FILTER};
use crate::traffic::EVENTS;

/// Something of a row, by the median of its measurements and by the lowest.
#[derive(Clone, Copy)]
struct Price {
    median: f64,
    lowest: f64,
}

impl Price {
    fn of(measured: &Measured) -> Self {
        let all: Vec<_> = measured.rounds.iter().flatten().copied().collect();
        Self {
            median: median(&all),
            lowest: all.into_iter().fold(f64::INFINITY, f64::min),
        }
    }

    fn with(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            median: f(self.median, other.median),
            lowest: f(self.lowest, other.lowest),
        }
    }

    fn minus(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    fn cell(self) -> String {
        format!("{:.2} ({:.2})", self.median, self.lowest)
    }

    /// The ratio to something that was added; no number where the noise is larger than that.
    fn ratio_cell(self, to: Self) -> String {
        let ratio = self.with(to, |a, b| a / b);
        match to.median > 0.0 && to.lowest > 0.0 {
            true => ratio.cell(),
            false => "-".to_owned(),
        }
    }
}

/// Prints a table, and the ratios to the module before where there is one.
pub fn print(name: &str, rows: &[Measured], options: &Options) {
    println!(
        "\n{name}: CPU of the Envoy process, us, median (minimum) of {} processes x {} rounds x {} s\n",
        options.processes,
        options.rounds,
        options.length.as_secs()
    );
    let price = |name: &str| rows.iter().find(|row| row.row.name == name).map(Price::of);
    let none = price(NO_FILTER).unwrap();
    let empty = price(EMPTY).unwrap().minus(none);
    let bare = price(BARE).unwrap().minus(none);
    let streams = name == "streams";
    match streams {
        true => println!(
            "| filter | us/stream | added | added us/event | x empty | added / bare calls |\n|---|---|---|---|---|---|"
        ),
        false => println!(
            "| filter | us/request | added | x empty | added / bare calls |\n|---|---|---|---|---|"
        ),
    }
    for row in rows {
        let us = Price::of(row);
        let added = us.minus(none);
        let mut cells = vec![row.row.name.clone(), us.cell(), added.cell()];
        if streams {
            let events = Price {
                median: EVENTS,
                lowest: EVENTS,
            };
            cells.push(added.with(events, |a, b| a / b).cell());
        }
        cells.push(added.ratio_cell(empty));
        cells.push(added.ratio_cell(bare));
        println!("| {} |", cells.join(" | "));
    }
    print_before(rows);
}

/// Prints the CPU that a row adds, by that of its module before.
fn print_before(rows: &[Measured]) {
    let none = rows.iter().find(|row| row.row.name == NO_FILTER).unwrap();
    let mut header =
        "\n| added CPU, round by round | now / before, median | from | to |\n|---|---|---|---|\n";
    for before in rows {
        let Some(now) = before.row.before_of else {
            continue;
        };
        let now = &rows[now];
        let ratios = ratios(now, before, none);
        let from = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let to = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (name, middle) = (&now.row.name, median(&ratios));
        println!("{header}| {name} | {middle:.2} | {from:.2} | {to:.2} |");
        header = "";
    }
}

/// One ratio for each round and process: the two ran one straight after the other.
fn ratios(now: &Measured, before: &Measured, none: &Measured) -> Vec<f64> {
    let rounds = now.rounds.iter().zip(&before.rounds).zip(&none.rounds);
    let ratios = rounds.flat_map(|((now, before), none)| {
        let none = median(none);
        let pairs = now.iter().zip(before);
        pairs.map(move |(now, before)| (now - none) / (before - none))
    });
    ratios.collect()
}
