//! `plugins check` on plugins that do not keep their word, and on those that cannot be trusted to end.
use crate::plugins::faulty;
use crate::support::{Folder, Ran, program, run};
use std::path::Path;

fn check(library: &Path, more: &[&str]) -> Ran {
    run(program().args(["plugins", "check"]).arg(library).args(more))
}

/// What `plugins check` says of a plugin in C with these faults, and that it fails for them.
fn failed(faults: &str) -> String {
    let folder = Folder::new(&format!("check-{}", faults.replace(' ', "-")));
    let ran = check(&faulty(&folder, faults), &[]);
    assert_eq!(ran.code, 1, "{faults}: {}{}", ran.out, ran.err);
    ran.out
}

#[test]
fn words_that_are_not_kept_are_told() {
    for (faults, why) in [
        ("RANK_DEPENDENT", "FAILED: M is the same on 2 ranks as declared: it is off by"),
        ("RANK_DEPENDENT", "FAILED: M is the same on 3 ranks as declared: it is off by"),
        (
            "DEFAULT_OUT_OF_RANGE",
            "FAILED: every default is within its own range: parameter 'damping': 2.0 must be at most 1",
        ),
        ("INNER NOT_LINEAR", "FAILED: M is linear"),
        ("GENERATE_STATUS=PRECONDOR_PANICKED", "FAILED: sets up: "),
        (
            "GENERATE_STATUS=PRECONDOR_UNSUPPORTED",
            "NOT TRIED on a matrix: told to fail in generate",
        ),
    ] {
        let out = failed(faults);
        assert!(out.contains(why), "{faults}: {out}");
    }
}

/// A method that needs another one inside gets one, and is applied with it.
#[test]
fn a_method_with_another_inside_is_really_applied() {
    let folder = Folder::new("check-inner");
    let ran = check(&faulty(&folder, "INNER"), &["--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let report = ran.json();
    let method = &report["methods"][0];
    assert_eq!((&report["sound"], &method["not_tried"]), (&true.into(), &().into()), "{report}");
    let passed = method["passed"].as_array().unwrap();
    assert!(passed.iter().any(|what| what == "M is linear"), "{report}");
}

#[test]
fn what_a_plugin_prints_is_told_and_does_no_harm() {
    let out = failed("PRINTS");
    let told =
        r"FAILED: it prints to standard output in 'generate' of 'faulty': 'hello\u{1b}[31m from";
    assert!(out.contains(told) && !out.contains('\u{1b}'), "{out}");
    let folder = Folder::new("check-prints");
    let ran = check(&faulty(&folder, "PRINTS"), &["--json"]);
    let report = ran.json();
    assert!(report["printed"].as_str().unwrap().contains("in 'generate' of 'faulty'"), "{report}");
    assert_eq!((ran.code, &report["sound"]), (1, &false.into()));
    assert!(report["methods"][0]["passed"].as_array().unwrap().len() > 4, "{report}");
}

#[test]
fn what_hangs_is_ended_after_the_limit_and_named() {
    for (fault, step) in [
        ("HANGS_IN_LOAD", "while it is loaded"),
        ("HANGS_IN_DESCRIBE", "in 'describe' of 'faulty'"),
        ("HANGS_IN_GENERATE", "in 'generate' of 'faulty'"),
        ("HANGS_IN_APPLY", "in 'apply' of 'faulty'"),
        ("HANGS_AT_THE_END", "when its process ends"),
    ] {
        let folder = Folder::new(&format!("check-{fault}"));
        let ran = check(&faulty(&folder, fault), &["--time-limit", "1"]);
        let told =
            format!("libprecondor_plugin_faulty.so: it hangs {step}, and was ended after 1 s");
        ran.fails_with(&[&told]);
    }
    let help = run(program().args(["plugins", "check", "--help"])).out;
    assert!(help.contains("--time-limit <SECONDS>") && help.contains("[default: 60]"), "{help}");
}

#[test]
fn what_ends_the_process_is_told_with_its_last_words() {
    let folder = Folder::new("check-exits");
    check(&faulty(&folder, "EXITS_IN_GENERATE"), &[]).fails_with(&[
        "it ends the process in 'generate' of 'faulty' (exit status: 3; no licence)",
    ]);
    let folder = Folder::new("check-cyclic");
    check(&faulty(&folder, "SCHEMA_IS_CYCLIC"), &[]).fails_with(&[
        "libprecondor_plugin_faulty.so: method 0: its schema refers to itself: #/$defs/A → #/$defs/A",
    ]);
    let folder = Folder::new("check-foreign");
    let library = faulty(&folder, "CRASH");
    // A name is looked up without loading anything here.
    let by_name = run(program()
        .args(["plugins", "check", "jacobi", "--plugin-path"])
        .arg(library.parent().unwrap()));
    assert_eq!(by_name.code, 0, "{}", by_name.err);
    run(program().args(["plugins", "check", "jacoby"]))
        .fails_with(&["did you mean 'jacobi'?", "looked for plugins in /"]);
}
