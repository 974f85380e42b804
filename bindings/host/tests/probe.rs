//! Looking at libraries in a child process: this test is a program that is called again as the
//! child.
use precondor_host::{LibraryInfo, PATIENCE, PROBE, probe, probe_child};
use precondor_testkit::compile::compile;
use precondor_testkit::program::Folder;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|first| first == PROBE) {
        return probe_child(args[2].as_ref());
    }
    let folder = Folder::unnamed();
    let include = "bindings/abi/include";
    let source = "tests/c/faulty.c";

    let file = compile(folder.path(), "jacobi_c", "tests/c/jacobi.c", include, &[]);
    let LibraryInfo { methods, problems } = probe(&file, PATIENCE).expect("a sound plugin");
    assert_eq!(problems, []);
    assert_eq!(methods.len(), 1);
    assert_eq!(methods[0].name, "jacobi-c");
    assert_eq!(methods[0].version, "1.0.0");
    assert_eq!(methods[0].extensions, ["persist/1"]);
    assert_eq!(methods[0].schema["properties"]["damping"]["exclusiveMaximum"], 2.0);

    let crash = ["-DCRASH", "-DNAME=precondor_plugin_crash"];
    let file = compile(folder.path(), "crash", source, include, &crash);
    let text = probe(&file, PATIENCE).expect_err("it aborts").to_string();
    assert!(text.contains("it crashes while it is loaded (signal 6)"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");

    let newer = ["-DNEWER_ABI", "-DNAME=precondor_plugin_newer"];
    let file = compile(folder.path(), "newer", source, include, &newer);
    let text = probe(&file, PATIENCE).expect_err("another ABI").to_string();
    assert!(text.contains("it speaks plugin ABI 2.3"), "{text}");
    assert_eq!(text.matches("libprecondor_plugin_newer.so").count(), 1, "{text}");

    for (fault, name, step) in [
        ("-DHANGS_IN_LOAD", "load", "while it is loaded"),
        ("-DHANGS_IN_DESCRIBE", "describe", "in 'describe' of 'faulty'"),
        ("-DHANGS_AT_THE_END", "end", "when its process ends"),
    ] {
        let symbol = format!("-DNAME=precondor_plugin_{name}");
        let file = compile(folder.path(), name, source, include, &[fault, &symbol]);
        let text = probe(&file, Duration::from_secs(1)).expect_err("it hangs").to_string();
        let told = format!("it hangs {step}, and was ended after 1 s");
        assert!(text.contains(&told) && text.contains(&format!("_{name}.so")), "{text}");
    }
    println!("test probe ... ok");
    ExitCode::SUCCESS
}
