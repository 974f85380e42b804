//! A setup that the user has had enough of.
use crate::plugins::faulty;
use crate::support::{Folder, program};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// The plugin sets up until it is asked to stop, so that the signal cannot come too late.
#[test]
fn an_interrupt_ends_the_setup_with_a_word_and_status_130() {
    let folder = Folder::new("interrupt");
    faulty(&folder, "WAITS");
    let solve = "[problem]\nkind = 'poisson'\nlevel = 3\n[preconditioner]\nname = 'faulty'\n";
    let compare = "[problem]\nkind = 'poisson'\nlevel = 3\n[[run]]\npreconditioner = 'faulty'\n\
                   [[run]]\npreconditioner = 'jacobi'\n";
    for (command, text) in [("solve", solve), ("compare", compare)] {
        let config = folder.file("waits.toml", text);
        let mut child = program()
            .args([command, "--plugin-path"])
            .arg(folder.path())
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut err = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("setup has begun") {
            line.clear();
            assert!(err.read_line(&mut line).expect("text") > 0, "{command} ended without a word");
        }
        let sent = Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
        assert!(sent.expect("kill").success());
        let mut rest = String::new();
        err.read_to_string(&mut rest).expect("text");
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(130), "{command}: {rest}");
        assert!(rest.contains("interrupted"), "{command}: {rest}");
        assert!(!rest.contains("panicked"), "{command}: {rest}");
    }
}
