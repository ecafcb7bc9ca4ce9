//! The commands of docs/, run as a reader would: each `console` and `sh` block of a page, in order,
//! in a folder of the page. A block that can't run here says why: ```` ```sh no-run: REASON ````.
//! Blocks with the words `run` and `start` are left to `make first-day`.
//!
//! In a `console` block, `$ ` begins a command, and what it prints follows. `…` in it stands for any
//! text. A command without a line below it may print anything. `$ echo $?` shows an exit code; a
//! code other than 0 that is not shown is an error. `$ cat FILE` makes a file that is not there yet.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A code block.
struct Block {
    /// The line of its fence.
    line: usize,
    info: String,
    text: String,
}

/// A command, and what its block shows below it.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    shown: String,
}

#[test]
fn the_commands_of_the_docs_do_what_is_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut ran, mut wrong) = (0, Vec::new());
    for path in super::schema::files("docs", "md") {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let folder = folder(&name);
        let mut run = |block: &Block| {
            ran += 1;
            let ran = run_block(block, &folder);
            wrong.extend(ran.err().map(|why| format!("{name}:{}: {why}", block.line)));
        };
        let blocks = blocks(&text);
        blocks.iter().filter(|it| it.is_run()).for_each(&mut run);
        let unmarked = blocks.iter().filter(|block| block.is_unmarked());
        wrong.extend(unmarked.map(|block| format!("{name}:{}: ```console", block.line)));
    }
    assert!(wrong.is_empty(), "wrong commands:\n{}", wrong.join("\n"));
    assert!(ran > 5, "{ran} blocks");
}

#[test]
fn a_wrong_command_would_be_seen() {
    let folder = folder("wrong");
    let ran = |info: &str, text: &str| {
        let block = blocks(&format!("text\n\n```{info}\n{text}```\n")).remove(0);
        assert_eq!(block.line, 3);
        block
            .is_run()
            .then(|| run_block(&block, &folder).err().unwrap_or_default())
    };
    let is_right = |text: &str| assert_eq!(ran("console", text).as_deref(), Some(""), "{text}");
    let says = |text: &str, why: &str| {
        let said = ran("console", text).unwrap();
        assert!(said.contains(why), "{text}: {said}");
    };
    is_right("$ cat a.txt\none\ntwo\n$ cat a.txt\no…o\n$ wc -l < a.txt\n2\n");
    is_right("$ exit 3\n$ echo $?\n3\n$ echo $?\n0\n");
    is_right("$ tiergate explain --tier tier1\n");
    says("$ cat a.txt\none\n", "shows");
    says("$ echo a\na…b\n", "shows");
    says("$ tiergate explain --tier nobody\n", "exit code 2");
    says("text\n", "begins with no command");
    assert_eq!(ran("sh", "test -f a.txt\n").as_deref(), Some(""));
    assert!(
        ran("sh", "test -f b.txt\ntrue\n")
            .unwrap()
            .contains("exit code 1")
    );
    assert_eq!(ran("sh no-run: it needs Envoy", "false\n"), None);
    assert_eq!(ran("sh run", "false\n"), None);
    for info in ["sh no-run", "sh no-run:", "sh other"] {
        assert!(ran(info, "true\n").unwrap().contains("reason"), "{info}");
    }
    assert!(
        blocks("```\n$ tiergate check\n```\n")
            .remove(0)
            .is_unmarked()
    );
}

impl Block {
    fn is_run(&self) -> bool {
        let mut words = self.info.split(' ');
        let is_shell = matches!(words.next(), Some("console" | "sh"));
        let is_elsewhere = match words.next() {
            Some("no-run:") => words.next().is_some(),
            Some("run" | "start") => true,
            _ => false,
        };
        is_shell && !is_elsewhere
    }

    /// True for commands in a block that does not say that it has some.
    fn is_unmarked(&self) -> bool {
        self.info.is_empty() && self.text.lines().any(|line| line.starts_with("$ "))
    }
}

/// An empty folder for the files of a page.
fn folder(name: &str) -> PathBuf {
    let name = format!("documents-{}", name.replace('/', "-"));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (i, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                open = Some(Block {
                    line: i + 1,
                    info: info.trim().to_owned(),
                    text: String::new(),
                });
            }
            (None, Some(block)) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    blocks
}

/// Runs a block in a folder.
fn run_block(block: &Block, folder: &Path) -> Result<(), String> {
    match block.info.as_str() {
        "sh" => match shell(&format!("set -eu\n{}", block.text), 0, folder) {
            (0, _) => Ok(()),
            (code, printed) => Err(format!("exit code {code}: {printed}")),
        },
        "console" => run_steps(&steps(&block.text)?, folder),
        _ => Err("a block that does not run has a reason: no-run: REASON".to_owned()),
    }
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                command: command.to_owned(),
                shown: String::new(),
            }),
            (None, Some(step)) if step.command.ends_with('\\') && step.shown.is_empty() => {
                step.command.push_str(&format!("\n{line}"));
            }
            (None, Some(step)) => step.shown.push_str(&format!("{line}\n")),
            (None, None) => return Err(format!("the block begins with no command: {line}")),
        }
    }
    Ok(steps)
}

fn run_steps(steps: &[Step], folder: &Path) -> Result<(), String> {
    let mut last = 0;
    for (i, step) in steps.iter().enumerate() {
        let Step { command, shown } = step;
        if let Some(name) = command.strip_prefix("cat ") {
            let file = folder.join(name);
            if !file.exists() {
                std::fs::write(file, shown).map_err(|error| format!("{name}: {error}"))?;
                continue;
            }
        }
        let (code, printed) = shell(command, last, folder);
        if !shown.is_empty() && !is_shown(&printed, shown) {
            return Err(format!("$ {command}\nshows:\n{shown}prints:\n{printed}"));
        }
        let is_code_shown = steps
            .get(i + 1)
            .is_some_and(|next| next.command == "echo $?");
        if code != 0 && !is_code_shown {
            return Err(format!(
                "$ {command}\nexit code {code}, no $ echo $? below:\n{printed}"
            ));
        }
        last = code;
    }
    Ok(())
}

/// Runs a command behind one that ended with `last`; its exit code, and all that it printed.
fn shell(command: &str, last: i32, folder: &Path) -> (i32, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_tiergate"));
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; (exit {last})\n{command}")])
        .current_dir(folder)
        .env(
            "PATH",
            format!("{}:{path}", program.parent().unwrap().display()),
        )
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), printed)
}

/// True for a text that has what is shown, with any text in place of `…`.
fn is_shown(printed: &str, shown: &str) -> bool {
    let trimmed = |text: &str| {
        let lines = text.trim_end().lines().map(str::trim_end);
        lines.collect::<Vec<_>>().join("\n")
    };
    let (printed, shown) = (trimmed(printed), trimmed(shown));
    let mut parts = shown.split('…').map(str::trim_end);
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((end, parts)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(end)
}
