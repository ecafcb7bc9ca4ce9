//! docs/reference/cli.md, from clap.

use super::{assert_page, head, row};
use crate::Cli;
use clap::{Arg, Command, CommandFactory as _};

const HEAD: &str = "\
# Commands and options

`make reference` writes this page from the program's own arguments. [The command line](../cli.md)
has examples, exit codes and the rules.
";

#[test]
fn the_commands_are_those_of_clap() {
    let mut program = Cli::command();
    program.build();
    let mut page = HEAD.to_owned();
    for command in program.get_subcommands_mut() {
        add(command, &mut page);
    }
    assert!(page.contains("\n## tiergate fleet check\n"), "{page}");
    assert_page("cli.md", &page);
}

fn add(command: &mut Command, page: &mut String) {
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim_end();
    let usage = usage.replace("\n       ", "\n");
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    page.push_str(&format!("\n## {name}\n"));
    let about = command.get_long_about().or(command.get_about());
    if let Some(about) = about {
        page.push_str(&format!("\n{}\n", sentence(&about.to_string())));
    }
    page.push_str(&format!("\n```text\n{usage}\n```\n"));
    let rows: String = command.get_arguments().filter_map(argument).collect();
    if !rows.is_empty() {
        page.push('\n');
        page.push_str(&head(&["argument", "default", "meaning"]));
        page.push_str(&rows);
    }
    for inner in command.get_subcommands_mut() {
        add(inner, page);
    }
}

/// The row of an argument; `None` for those that clap adds and those that are hidden.
fn argument(arg: &Arg) -> Option<String> {
    if ["help", "version"].contains(&arg.get_id().as_str()) || arg.is_hide_set() {
        return None;
    }
    let values: Vec<_> = arg.get_value_names().unwrap_or_default().iter().collect();
    let takes = arg.get_action().takes_values();
    let mut value = String::new();
    for name in values.iter().filter(|_| takes) {
        value.push_str(&format!(" {name}"));
    }
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let mut shown = match names.is_empty() {
        true => value.trim().to_owned(),
        false => names.join(", ") + &value,
    };
    if arg.get_num_args().is_some_and(|n| n.max_values() > 1) {
        shown.push_str(" …");
    }
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|it| it.to_string_lossy()).collect();
    let default = match defaults.join(",") {
        default if takes && !default.is_empty() => format!("`{default}`"),
        _ if arg.is_required_set() => "required".to_owned(),
        _ => String::new(),
    };
    let help = arg.get_long_help().or(arg.get_help());
    let mut meaning = help.map(|help| sentence(&help.to_string()))?;
    let possible: Vec<_> = arg.get_possible_values();
    if takes && !possible.is_empty() {
        let words: Vec<_> = possible
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        meaning.push_str(&format!(" One of {}.", words.join(", ")));
    }
    Some(row(&[&format!("`{shown}`"), &default, &meaning]))
}

/// A help text as a sentence: clap's have no full stop.
fn sentence(text: &str) -> String {
    let text = text.trim().replace('<', "&lt;");
    match text.ends_with(['.', ':', '…']) {
        true => text,
        false => text + ".",
    }
}
