//! Standard input among the files of a command: it can be read once, whatever its name is.

use crate::{file, tiergate_reads};

#[test]
fn no_command_takes_standard_input_twice() {
    let config = file("standard-input.json", "{}");
    let log = file("standard-input.log", "");
    for other in ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        for (args, says) in [
            (
                &["check", "-", &config, other][..],
                "standard input is there twice, and can be read once",
            ),
            (
                &["diff", other, "-"],
                "OLD and NEW are both standard input, which can be read once",
            ),
            (
                &["simulate", &log, "-", "--config", other],
                "standard input can't be a log and the config: name a file for one of them",
            ),
        ] {
            let ran = tiergate_reads(args, b"{}");
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
            assert_eq!(ran.err, format!("tiergate: {says}\n"), "{args:?}");
        }
    }
}
