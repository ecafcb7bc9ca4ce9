//! The rounds of a table: each process of each row once, in random order.

use crate::options::Options;
use crate::process::Process;
use crate::rows::{Row, Table};

/// A row with its measurements.
pub struct Measured {
    pub row: Row,
    /// Microseconds of a request or stream, by round and process.
    pub rounds: Vec<Vec<f64>>,
}

/// A row and its "before" where there is one, by number: they run one straight after the other.
type Group = Vec<usize>;

/// Starts all processes of a table, and measures them. `Err` names a row that is not what its name
/// says.
pub fn measure(table: Table, options: &Options) -> Result<Vec<Measured>, String> {
    let start = |row: &Row| {
        let processes = 0..options.processes;
        processes
            .map(|_| Process::start(row, table.workers))
            .collect::<Vec<_>>()
    };
    eprintln!(
        "{}: starting {} Envoys",
        table.name,
        table.rows.len() * options.processes
    );
    let processes: Vec<_> = table.rows.iter().map(start).collect();
    let groups = groups(&table.rows);
    let measured = table.rows.into_iter().map(|row| Measured {
        row,
        rounds: Vec::new(),
    });
    let mut measured: Vec<_> = measured.collect();
    for round in 1..=options.rounds {
        eprintln!("{}: round {round} of {}", table.name, options.rounds);
        for row in &mut measured {
            row.rounds.push(vec![f64::NAN; options.processes]);
        }
        for (group, number) in order(&groups, options.processes) {
            for row in shuffled(group.clone()) {
                let us = processes[row][number].measure(options);
                let name = &measured[row].row.name;
                let us = us.map_err(|error| format!("{}: {name}: {error}", table.name))?;
                measured[row].rounds[round - 1][number] = us;
            }
        }
    }
    Ok(measured)
}

fn groups(rows: &[Row]) -> Vec<Group> {
    let firsts = (0..rows.len()).filter(|row| rows[*row].before_of.is_none());
    let group = |first: usize| {
        let before = rows.iter().position(|row| row.before_of == Some(first));
        std::iter::once(first).chain(before).collect()
    };
    firsts.map(group).collect()
}

/// Each process of each group once.
fn order(groups: &[Group], processes: usize) -> Vec<(&Group, usize)> {
    let of = |group| (0..processes).map(move |process| (group, process));
    shuffled(groups.iter().flat_map(of).collect())
}

fn shuffled<T>(mut list: Vec<T>) -> Vec<T> {
    fastrand::shuffle(&mut list);
    list
}
