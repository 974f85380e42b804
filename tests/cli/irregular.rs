//! Pipes, folders and devices where a file is named: an error that says so, and no waiting.
use crate::support::{Folder, Ran, isolate, matrix};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seconds that a command may take that should end at once.
const LIMIT: &str = "60";

/// Runs the program with these arguments; one that hangs is ended, with a status of its own.
fn ended(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new("timeout");
    command.args([LIMIT, env!("CARGO_BIN_EXE_precondor")]).args(arguments).current_dir(folder);
    isolate(&mut command);
    crate::support::run(&mut command)
}

/// What is no file, and what it is.
fn strange(folder: &Folder) -> Vec<(PathBuf, &'static str)> {
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let inside = folder.path().join("folder");
    std::fs::create_dir(&inside).expect("a folder");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&pipe, &link).expect("linked");
    vec![
        (pipe, "it is a pipe: only regular files are read"),
        (link, "it is a pipe: only regular files are read"),
        (inside, "it is a folder: only regular files are read"),
        ("/dev/zero".into(), "it is a device: only regular files are read"),
    ]
}

#[test]
fn every_file_that_a_command_reads_is_a_regular_one() {
    let folder = Folder::new("irregular");
    folder.file("a.mtx", &matrix(1, 1, &[(1, 1, 2.0)]));
    let poisson = folder.file("poisson.toml", "[problem]\nkind = 'poisson'\nlevel = 2\n");
    let poisson = poisson.to_str().expect("text");
    for (path, what) in strange(&folder) {
        let name = path.to_str().expect("text");
        let refused = |arguments: &[&str]| {
            let ran = ended(folder.path(), arguments);
            assert_eq!(ran.code, 1, "{arguments:?} {name}: {}{}", ran.out, ran.err);
            ran.fails_with(&[name, what]);
        };
        for command in ["solve", "compare", "train"] {
            refused(&[command, name]);
        }
        refused(&["matrix", name]);
        refused(&["solve", poisson, "--load-preconditioner", name]);
        for keys in [
            format!("matrix = '{name}'"),
            format!("matrix = 'a.mtx'\nrhs = '{name}'"),
            format!("matrix = 'a.mtx'\nx0 = '{name}'"),
            format!("matrix = 'a.mtx'\npreconditioner_matrix = '{name}'"),
            format!(
                "kind = 'poisson'\nlevel = 2\n[preconditioner]\nname = 'mlp-dense'\nmodel = '{name}'"
            ),
            format!(
                "kind = 'poisson'\nlevel = 2\n[preconditioner]\nname = 'fieldsplit'\nfile = '{name}'"
            ),
        ] {
            let config = folder.file("irregular.toml", &format!("[problem]\n{keys}\n"));
            refused(&["solve", config.to_str().expect("text")]);
        }
    }
}

#[test]
fn a_plugin_is_a_regular_file() {
    let folder = Folder::new("irregular-plugin");
    let library = folder.path().join("libprecondor_plugin_pipe.so");
    assert!(Command::new("mkfifo").arg(&library).status().expect("mkfifo").success());
    let path = library.to_str().expect("text");
    ended(folder.path(), &["plugins", "check", path]).fails_with(&[path, "is no regular file"]);
    let here = folder.path().to_str().expect("text");
    let ran = ended(folder.path(), &["plugins", "list", "--plugin-path", here]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("passed over") && ran.out.contains("is no regular file"),
        "{}",
        ran.out
    );
}
