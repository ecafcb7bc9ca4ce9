//! The live screen, in a pseudo-terminal: drawn again in place, and given back.

use super::server::{Answer, STATUS, Server};
use super::terminal::Terminal;
use super::{command, hostile, status};

fn top(server: &Server, rows: u16, columns: u16) -> Terminal {
    let command = command(&server.url, &["--interval", "500ms"]);
    Terminal::run(command, rows, columns)
}

#[test]
fn it_redraws_in_place_and_q_gives_the_terminal_back() {
    let server = Server::new(status());
    let mut top = top(&server, 24, 80);
    let screen = top.shows("q quits");
    let lines: Vec<&str> = include_str!("screen_80.txt").lines().collect();
    assert_eq!(screen, [&lines[..], &["q quits"]].concat().join("\n"));
    assert!(top.is_taken() && !top.is_cooked());

    let later = STATUS
        .replace("\"count\": 5102", "\"count\": 9999")
        .replace("newcomer", "new");
    server.answers(Answer::Json(later));
    let screen = top.shows("9,999");
    assert!(
        !screen.contains("comer"),
        "nothing is left of before:\n{screen}"
    );

    top.types("x");
    top.types("q");
    assert_eq!(top.ends(), 0);
    top.is_given_back();
    assert_eq!(top.text(), "", "nothing of it stays");
}

#[test]
fn ctrl_c_and_signals_give_the_terminal_back_too() {
    let server = Server::new(status());
    for signal in [None, Some(libc::SIGTERM), Some(libc::SIGINT)] {
        let mut top = top(&server, 24, 80);
        top.shows("q quits");
        match signal {
            None => top.types("\x03"),
            Some(signal) => top.signal(signal),
        }
        assert_eq!(top.ends(), 0, "{signal:?}");
        top.is_given_back();
    }
}

#[test]
fn when_its_terminal_is_gone_it_goes_too() {
    let server = Server::new(status());
    let mut top = top(&server, 24, 80);
    top.shows("q quits");
    top.hang_up();
    assert_eq!(top.ends(), 0);
}

#[test]
fn it_follows_the_size_of_the_terminal() {
    let server = Server::new(status());
    let mut top = top(&server, 24, 80);
    top.shows("a-longer-account-id-of-somebody-who-pays");
    top.resize(40, 40);
    let screen = top.shows("a-longer…  tier1");
    let lines: Vec<&str> = include_str!("screen_40.txt").lines().collect();
    assert_eq!(screen, [&lines[..], &["q quits"]].concat().join("\n"));
    top.resize(6, 40);
    let screen = top.shows("more lines");
    assert!(screen.starts_with("tiergate   prod"), "{screen}");
    assert_eq!(screen.lines().count(), 6);
    top.types("q");
    assert_eq!(top.ends(), 0);
}

#[test]
fn a_read_that_fails_leaves_the_last_data_and_is_tried_again() {
    let server = Server::new(status());
    let top = top(&server, 30, 80);
    top.shows("newcomer");
    server.answers(Answer::Status(503, r#"{"error": {"message": "not now"}}"#));
    let screen = top.shows("s ago, trying again: answered 503 Service Unavailable: not");
    assert!(screen.contains("newcomer"), "{screen}");
    server.answers(Answer::Hangup);
    top.shows("trying again: can't connect");
    server.answers(Answer::Json(STATUS.replace("newcomer", "somebody")));
    let screen = top.shows("somebody ");
    assert!(!screen.contains("trying again"), "{screen}");
}

#[test]
fn hostile_ids_are_text_on_the_screen() {
    let server = Server::new(Answer::Json(hostile()));
    let top = top(&server, 40, 120);
    let screen = top.shows("q quits");
    assert!(screen.contains("ACCOUNT"), "nothing was cleared:\n{screen}");
    assert!(screen.contains("\\u{1b}[2J\\u{202e}"), "{screen}");
    assert!(!screen.contains('\u{202e}'));
}

#[test]
fn what_fails_at_first_ends_before_the_screen_is_taken() {
    let server = Server::new(Answer::Status(404, ""));
    let mut top = top(&server, 24, 80);
    assert_eq!(top.ends(), 2);
    let screen = top.shows("the admin path");
    assert!(screen.starts_with("tiergate: http://"), "{screen}");
    top.is_given_back();
}
