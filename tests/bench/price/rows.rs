//! The tables: which rows stand in them, and under which traffic.

use crate::filters;
use crate::options::Options;
use crate::traffic::Traffic;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Rows that are compared with each other. All their processes are up at the same time.
pub struct Table {
    pub name: &'static str,
    pub workers: usize,
    pub rows: Vec<Row>,
}

/// Filters under some traffic.
pub struct Row {
    pub name: String,
    pub filters: Vec<Value>,
    pub traffic: Traffic,
    /// How long traffic runs before a measurement.
    pub warm_up: Duration,
    /// True when nearly all replies are 429; otherwise all are 2xx.
    pub refused: bool,
    /// The number of the row that this one is the "before" of.
    pub before_of: Option<usize>,
}

/// What every other row is compared with.
pub const NO_FILTER: &str = "no filter";
pub const EMPTY: &str = "empty wasm filter";
pub const BARE: &str = "the host calls of an admitted request, alone";

/// The warm-up of rows that keep no log.
const WARM_UP: Duration = Duration::from_secs(1);

impl Table {
    fn new(name: &'static str, workers: usize, traffic: Traffic, bare: Value) -> Self {
        let rows = Vec::new();
        let mut table = Self {
            name,
            workers,
            rows,
        };
        table.push(NO_FILTER, vec![], traffic);
        table.push(EMPTY, vec![filters::empty()], traffic);
        table.push(BARE, vec![bare], traffic);
        table
    }

    fn push(&mut self, name: &str, filters: Vec<Value>, traffic: Traffic) {
        self.rows.push(Row {
            name: name.to_owned(),
            filters,
            traffic,
            warm_up: WARM_UP,
            refused: false,
            before_of: None,
        });
    }

    /// Adds a row of tiergate, and one of the module to compare with.
    fn tiergate(&mut self, options: &Options, name: &str, config: &Value, traffic: Traffic) {
        let filters = |module: &Path| vec![filters::tiergate(module, config)];
        self.push(name, filters(Path::new("tiergate.wasm")), traffic);
        if let Some(module) = &options.before {
            let now = self.rows.len() - 1;
            self.push(&format!("{name}, before"), filters(module), traffic);
            self.rows[now + 1].before_of = Some(now);
        }
    }

    /// Adds rows of tiergate that admit, whose logs are full after one window of traffic.
    fn admitted(&mut self, options: &Options, name: &str, config: &Value, traffic: Traffic) {
        let first = self.rows.len();
        let name = format!("admitted and settled, {name}");
        self.tiergate(options, &name, config, traffic);
        for row in &mut self.rows[first..] {
            row.warm_up = options.window;
        }
    }

    /// Adds rows of tiergate that refuse.
    fn refused(&mut self, options: &Options, name: &str, config: &Value) {
        let first = self.rows.len();
        let name = format!("refused (429), {name}");
        self.tiergate(options, &name, config, Traffic::ManyAccounts);
        for row in &mut self.rows[first..] {
            row.refused = true;
        }
    }

    /// Leaves out the rows that are not asked for, but not those to compare with. `None` when no
    /// row is asked for.
    fn picked(mut self, options: &Options) -> Option<Self> {
        let is_base = |row: &Row| [NO_FILTER, EMPTY, BARE].contains(&row.name.as_str());
        let wants = |row: &Row| options.wants(&format!("{}: {}", self.name, row.name));
        let wanted: Vec<_> = self.rows.iter().map(wants).collect();
        if !wanted.contains(&true) {
            return None;
        }
        let mut numbers = Vec::new();
        let mut rows = Vec::new();
        for (number, mut row) in self.rows.into_iter().enumerate() {
            let pair = row.before_of.unwrap_or(number);
            if is_base(&row) || wanted[pair] {
                row.before_of = numbers.iter().position(|n| Some(*n) == row.before_of);
                numbers.push(number);
                rows.push(row);
            }
        }
        self.rows = rows;
        Some(self)
    }
}

/// The tables that are asked for; `Err` lists all rows when there is none.
pub fn tables(options: &Options) -> Result<Vec<Table>, String> {
    let all = [
        one_worker(options),
        two_workers(options),
        streams(options),
        bodies(options),
    ];
    let names = |table: &Table| {
        let lines = table.rows.iter();
        let lines = lines.map(|row| format!("{}: {}\n", table.name, row.name));
        lines.collect::<String>()
    };
    let known: String = all.iter().map(names).collect();
    let picked: Vec<_> = all.into_iter().filter_map(|t| t.picked(options)).collect();
    match picked.is_empty() {
        true => Err(format!("BENCH_ROWS names none of\n{known}")),
        false => Ok(picked),
    }
}

fn one_worker(options: &Options) -> Table {
    let many = Traffic::ManyAccounts;
    let mut table = Table::new("one worker", 1, many, filters::bare());
    table.push(
        "Envoy's local_ratelimit, one bucket",
        vec![filters::local_rate_limit()],
        many,
    );
    table.push(
        "Envoy's local_ratelimit, a bucket for each account",
        vec![filters::local_rate_limit_by_account()],
        many,
    );
    let admits = |headers: &[&str]| filters::admits(options.window, headers);
    let joins = filters::joins;
    let directory = json!({"tier": ["directory"], "not_ready": "t"});
    for (name, config, traffic) in [
        ("headers: []", admits(&[]), many),
        ("openai headers", admits(&["openai"]), many),
        ("anthropic headers", admits(&["anthropic"]), many),
        ("ietf headers", admits(&["ietf"]), many),
        ("groq headers", admits(&["groq"]), many),
        ("mistral headers", admits(&["mistral"]), many),
        // A look-up costs the same whether it finds an account or not.
        (
            "tier by the directory",
            filters::with(admits(&[]), &directory),
            many,
        ),
        ("1 route", filters::with(admits(&[]), &routes(1)), many),
        ("20 routes", filters::with(admits(&[]), &routes(20)), many),
        ("one hot account", admits(&[]), Traffic::OneAccount),
        ("settlements join", joins(admits(&[])), many),
        (
            "one hot account, settlements join",
            joins(admits(&[])),
            Traffic::OneAccount,
        ),
    ] {
        table.admitted(options, name, &config, traffic);
    }
    for (name, headers) in [("headers: []", vec![]), ("openai headers", vec!["openai"])] {
        table.refused(options, name, &filters::refuses(&headers));
    }
    table
}

/// So many rules, of all kinds, none of which matches the traffic: each is tried.
fn routes(n: usize) -> Value {
    let rule = |i: usize| {
        let matches = match i % 4 {
            0 => json!({"path_prefix": format!("/v1/files/{i}")}),
            1 => json!({"path": format!("/healthz/{i}"), "method": "GET"}),
            2 => json!({"path_suffix": format!(":count{i}")}),
            _ => json!({"header": {"name": format!("x-route-{i}"), "value": "yes"}}),
        };
        json!({"match": matches, "limits": "none"})
    };
    let rules: Vec<Value> = (0..n).map(rule).collect();
    json!({"routes": rules})
}

fn two_workers(options: &Options) -> Table {
    let bare = filters::bare_on_one_page();
    let mut table = Table::new("two workers", 2, Traffic::OneAccount, bare);
    let config = filters::admits(options.window, &[]);
    let joins = filters::joins(config.clone());
    for (name, config, traffic) in [
        ("one hot account", &config, Traffic::OneAccount),
        (
            "one hot account, settlements join",
            &joins,
            Traffic::OneAccount,
        ),
        ("1,000 accounts", &config, Traffic::ManyAccounts),
        (
            "1,000 accounts, settlements join",
            &joins,
            Traffic::ManyAccounts,
        ),
    ] {
        table.admitted(options, name, config, traffic);
    }
    table
}

fn streams(options: &Options) -> Table {
    let mut table = Table::new("streams", 1, Traffic::Streams, filters::bare());
    let config = filters::admits(options.window, &[]);
    let tokens = json!({"tokens": {"read_body": true, "include_usage": true}});
    let reads = filters::with(config.clone(), &tokens);
    for (name, config) in [
        ("usage read", config),
        ("body and usage read, usage hidden", reads),
    ] {
        table.tiergate(options, name, &config, Traffic::Streams);
    }
    table
}

fn bodies(options: &Options) -> Table {
    let mut table = Table::new("bodies", 1, Traffic::Bodies, filters::bare());
    let config = filters::admits(options.window, &[]);
    table.tiergate(options, "64 KiB of JSON read", &config, Traffic::Bodies);
    table
}
