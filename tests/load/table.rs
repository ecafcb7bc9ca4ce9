//! Two runs side by side, as text.

use crate::Run;
use crate::scenario::{Summary, TIERS};
use std::time::Duration;

/// Each second: admissions by tier, then all tiers together.
pub fn seconds(runs: &[Run]) {
    print!("{:>6}", "");
    for run in runs {
        print!(" | {:<59}", run.name);
    }
    print!("\n{:>6}", "second");
    for _ in runs {
        print!(" |");
        for tier in 0..TIERS {
            print!(" {:>4}", format!("t{tier}"));
        }
        print!(
            " {:>5} {:>6} {:>6} {:>4} {:>4}",
            "sent", "limit", "load", "5xx", "%"
        );
    }
    println!();
    let Some(first) = runs.first() else {
        return;
    };
    let second = Duration::from_secs(1);
    for at in (0..first.scenario.length().as_secs()).map(Duration::from_secs) {
        print!("{:>6}", at.as_secs());
        for run in runs {
            print!(" |");
            for counts in run.record.tiers(at, at + second) {
                print!(" {:>4}", counts.admitted());
            }
            let all = run.record.all(at, at + second);
            print!(
                " {:>5} {:>6} {:>6} {:>4} {:>4.1}",
                all.sent(),
                all.limited,
                all.overloaded,
                all.failed,
                all.error_share() * 100.0
            );
        }
        println!();
    }
}

/// What both runs show.
pub fn summary(runs: &[Run]) {
    let summaries: Vec<_> = runs
        .iter()
        .map(|run| Summary::of(&run.scenario, &run.record))
        .collect();
    let row = |what: &str, of: &dyn Fn(&Summary) -> String| {
        print!("{what:<58}");
        for summary in &summaries {
            print!(" | {:<16}", of(summary));
        }
        println!();
    };
    println!();
    print!("{:<58}", "");
    for run in runs {
        print!(" | {:<16}", run.name);
    }
    println!();
    row("upstream errors in the warm-up", &|s| {
        percent(s.errors_before)
    });
    row("upstream errors at half capacity, in all", &|s| {
        percent(s.errors_halved)
    });
    row(
        "upstream errors below 2 % for the first time, after",
        &|s| time(s.first_well),
    );
    row("upstream errors from then to the restoration", &|s| {
        percent(s.errors_then)
    });
    row("below 2 % in each 3 s until the restoration, after", &|s| {
        time(s.well)
    });
    row(
        "admissions back at 95 % after the restoration, after",
        &|s| time(s.back),
    );
    for tier in 0..TIERS {
        row(&format!("tier{tier}: admissions below 90 %, after"), &|s| {
            time(s.fell[tier])
        });
        row(
            &format!("tier{tier}: admitted at half capacity, of the warm-up's"),
            &|s| percent(s.admitted[tier]),
        );
        row(
            &format!("tier{tier}: served at half capacity, of the warm-up's"),
            &|s| percent(s.served[tier]),
        );
    }
    row("other replies", &|s| s.other.to_string());
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn time(time: Option<Duration>) -> String {
    time.map_or_else(
        || "never".to_owned(),
        |time| format!("{:.1} s", time.as_secs_f64()),
    )
}
