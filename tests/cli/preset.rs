//! `tiergate preset`, `config --defaults` and `completions`.

use crate::{file, tiergate};

#[test]
fn a_preset_is_a_config_whose_numbers_the_operator_fills_in() {
    for (vendor, missing) in [
        ("kimi", 0),
        ("openai", 14),
        ("anthropic", 12),
        ("gemini", 12),
        ("groq", 8),
    ] {
        let ran = tiergate(&["preset", vendor]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(ran.out.matches("\"FILL\"").count(), missing, "{vendor}");
        let is_told = ran.err.contains(&format!("{missing} numbers"));
        assert_eq!(is_told, missing > 0, "{}", ran.err);
        let raw = file(&format!("preset-{vendor}.json"), &ran.out);
        let checked = tiergate(&["check", &raw]);
        assert_eq!(checked.code, i32::from(missing > 0), "{}", checked.out);
        let whole = ran.out.replace("\"FILL\"", "1000");
        let whole = file(&format!("preset-{vendor}-whole.json"), whole);
        let checked = tiergate(&["check", &whole]);
        assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    }
    let ran = tiergate(&["preset", "kimmi"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("kimi"), "{}", ran.err);
}

#[test]
fn the_defaults_are_a_config() {
    let ran = tiergate(&["config", "--defaults"]);
    let path = file("defaults.json", &ran.out);
    assert_eq!(tiergate(&["check", &path]).code, 0);
    let explained = |args: &[&str]| tiergate(&[&["explain"], args].concat()).out;
    let named = explained(&["--config", &path, "--recharge", "20"]);
    assert_eq!(named, explained(&["--recharge", "20"]));
    assert_eq!(tiergate(&["config"]).code, 2);
}

#[test]
fn completions_name_each_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = tiergate(&["completions", shell]);
        for command in ["check", "simulate", "preset", "usage", "explain"] {
            assert!(ran.out.contains(command), "{shell}: {command}");
        }
    }
}
