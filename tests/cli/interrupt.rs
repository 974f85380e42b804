//! Signals: what is done by then is kept and told, and the status says which signal it was.
use crate::plugins::faulty;
use crate::support::{Folder, program, wait_for};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

/// The program, started; its standard error is for [`Started::until`].
struct Started {
    child: Child,
    err: BufReader<ChildStderr>,
}

/// How it ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Started {
    fn new(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it starts");
        let err = BufReader::new(child.stderr.take().expect("piped"));
        Started { child, err }
    }

    /// Reads standard error up to a line with `text`.
    fn until(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.err.read_line(&mut line).expect("text") > 0, "ended without '{text}'");
        }
    }

    fn send(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill").success());
    }

    fn end(mut self) -> Ended {
        let mut out = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
        let mut err = String::new();
        self.err.read_to_string(&mut err).expect("text");
        let code = self.child.wait().expect("it ends").code();
        assert!(!err.contains("panicked"), "{err}");
        Ended { code, out, err }
    }
}

/// A command of the program that takes a configuration, with the plugins of a folder.
fn with_plugins(command: &str, folder: &Folder, config: &Path) -> Command {
    let mut program = program();
    program.args([command, "--plugin-path"]).arg(folder.path()).arg(config);
    program
}

const SIGNALS: [(&str, i32, &str); 2] = [("-INT", 130, "SIGINT"), ("-TERM", 143, "SIGTERM")];

/// Starts a command once for each signal, sends it when all is `ready`, and hands over how that ended: with the
/// signal's status, whose name goes along.
fn at_each_signal(
    command: impl Fn() -> Command,
    ready: impl Fn(&mut Started),
    mut then: impl FnMut(&Ended, &str),
) {
    for (signal, status, name) in SIGNALS {
        let mut started = Started::new(&mut command());
        ready(&mut started);
        started.send(signal);
        let ended = started.end();
        assert_eq!(ended.code, Some(status), "{}", ended.err);
        then(&ended, name);
    }
}

/// The plugin sets up until it is asked to stop, so that the signal cannot come too late.
#[test]
fn a_signal_ends_the_setup_of_a_solve_with_a_word() {
    let folder = Folder::new("interrupt");
    faulty(&folder, "WAITS");
    let solve = "[problem]\nkind = 'poisson'\nlevel = 3\n[preconditioner]\nname = 'faulty'\n";
    let config = folder.file("waits.toml", solve);
    let solve = || with_plugins("solve", &folder, &config);
    at_each_signal(
        solve,
        |started| started.until("setup has begun"),
        |ended, _| assert!(ended.err.contains("interrupted"), "{}", ended.err),
    );
}

#[test]
fn a_signal_ends_the_iterations_of_a_solve_and_x_is_written() {
    let folder = Folder::new("interrupt-solve");
    // A tolerance that rounding keeps out of reach, and no limit worth the name.
    let solve = "[problem]\nkind = 'poisson'\nlevel = 6\n[solver]\nmethod = 'richardson'\ndamping = 1e-9\n\
                 max_iterations = 1_000_000_000\n";
    let config = folder.file("solve.toml", solve);
    let solve = || {
        let mut command = program();
        command.arg("solve").arg(&config).arg("-v").args(["--save-solution", "x.mtx"]);
        command.current_dir(folder.path());
        command
    };
    let ready = |started: &mut Started| started.until("the solve begins");
    at_each_signal(solve, ready, |ended, name| {
        assert!(ended.out.contains("interrupted after"), "{}", ended.out);
        assert!(ended.err.contains(&format!("interrupted by {name}")), "{}", ended.err);
        let x = folder.path().join("x.mtx");
        assert!(std::fs::read_to_string(&x).expect("x").lines().count() > 63 * 63);
        std::fs::remove_file(x).expect("removed");
    });
}

/// The second run of each system waits; the first is done by then.
#[test]
fn a_signal_ends_a_comparison_and_what_is_done_is_told_in_every_form() {
    let folder = Folder::new("interrupt-compare");
    faulty(&folder, "WAITS");
    let text = "[problem]\nkind = 'poisson'\nlevels = [3, 4]\nsamples = 3\n[solver]\nmethod = 'cg'\n\
                [[run]]\npreconditioner = 'jacobi'\n[[run]]\npreconditioner = 'faulty'\n";
    let config = folder.file("waits.toml", text);
    let report = folder.path().join("report");
    let ready = |started: &mut Started| started.until("setup has begun");
    for json in [false, true] {
        let compare = || {
            let mut command = with_plugins("compare", &folder, &config);
            command.arg("--report").arg(&report).args(json.then_some("--json"));
            command
        };
        at_each_signal(compare, ready, |ended, name| {
            let word = format!("INCOMPLETE: interrupted by {name} after 1 of 12 solves");
            assert!(ended.err.contains(&word), "{}", ended.err);
            let page = std::fs::read_to_string(report.join("index.html")).expect("a page");
            assert!(page.contains(&word) && page.contains("0 of 3 systems done"), "{page}");
            let results = std::fs::read_to_string(report.join("results.csv")).expect("results");
            let lines: Vec<&str> = results.lines().collect();
            assert!(lines[1].contains(",jacobi,") && lines[1].contains(",converged,"), "{results}");
            assert!(lines[2].contains(",not-run,") && lines[2].contains("2 systems from"));
            assert!(lines[3].contains("faulty,") && lines[3].contains("3 systems from"));
            assert_eq!(lines.len(), 4, "{results}");
            std::fs::remove_dir_all(&report).expect("removed");
            if !json {
                let told = ended.out.contains(&word) && ended.out.contains("not run");
                assert!(told, "{}", ended.out);
                return;
            }
            let document: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
            assert_eq!(document["complete"], false);
            assert!(document["incomplete"].as_str().is_some_and(|text| text.contains(&word)));
            let rows = document["sections"][0]["tables"][0]["rows"].as_array().expect("rows");
            assert_eq!(rows[0]["systems"].as_array().map(Vec::len), Some(1));
            assert_eq!(rows[1]["values"]["outcome"], "not run");
        });
    }
}

/// A plugin that takes no notice of the first signal: a second one ends the program all the same.
#[test]
fn a_second_signal_ends_at_once() {
    let folder = Folder::new("interrupt-twice");
    faulty(&folder, "DEAF");
    let solve = "[problem]\nkind = 'poisson'\nlevel = 3\n[preconditioner]\nname = 'faulty'\n";
    let config = folder.file("waits.toml", solve);
    let ready = |started: &mut Started| {
        started.until("setup has begun");
        started.send("-INT");
        // The plugin tells when it is asked to stop, and goes on.
        started.until("asked to stop");
    };
    at_each_signal(|| with_plugins("solve", &folder, &config), ready, |_, _| ());
}

const TRAIN: &str = "[model]\nmethod = 'METHOD'\noutput = 'a model.safetensors'\ncheckpoint_every = 5\n\
                     [data]\nkind = 'poisson'\nlevels = [3]\n[train]\n";

#[test]
fn a_signal_ends_the_making_of_training_data() {
    let folder = Folder::new("interrupt-data");
    for (method, parameters) in [
        ("mlp-reference", "pool = 1000000\n"),
        ("mlp-dense", "pool = 180000\nvalidation = 20000\n"),
        ("mlp-fsai", "pool = 100000\n"),
    ] {
        let config = folder.file("train.toml", &(TRAIN.replace("METHOD", method) + parameters));
        let train = || {
            let mut command = program();
            command.arg("train").arg(&config).arg("-v");
            command
        };
        let ready = |started: &mut Started| started.until("making training systems");
        at_each_signal(train, ready, |ended, name| {
            let word = format!("interrupted by {name}; nothing was trained yet");
            assert!(ended.err.contains(&word), "{method}: {}", ended.err);
        });
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 1, "{method}");
    }
}

/// The command that is told is run as it stands, by a shell.
#[test]
fn a_signal_ends_a_training_with_a_checkpoint_and_the_command_told_goes_on() {
    let folder = Folder::new("interrupt train");
    let small = "steps = 10000000\nhidden = [4]\npool = 20\nbatch = 2\nvectors = 1\n";
    let config = folder.file("it's.toml", &(TRAIN.replace("METHOD", "mlp-reference") + small));
    let checkpoint = folder.path().join("my $model.checkpoint");
    let train = || {
        let mut command = program();
        command.arg("train").arg(&config).arg("-o").arg(folder.path().join("my $model"));
        command.args(["--set", "train.rate=0.01"]);
        command
    };
    at_each_signal(
        train,
        |_| wait_for(&checkpoint),
        |ended, name| {
            let word = format!("interrupted by {name}; go on with `");
            let told = ended.err.split(&word).nth(1).and_then(|rest| rest.split('`').next());
            let told = told.unwrap_or_else(|| panic!("{}", ended.err));
            let shell = format!(
                "precondor() {{ '{}' \"$@\"; }}; {told} --dry-run",
                env!("CARGO_BIN_EXE_precondor")
            );
            let mut bash = Command::new("bash");
            crate::support::isolate(&mut bash);
            let ran = crate::support::run(bash.args(["-c", &shell]));
            assert_eq!(ran.code, 0, "{told}: {}", ran.err);
            std::fs::remove_file(&checkpoint).expect("a checkpoint");
        },
    );
}

/// Two into one folder: the second is refused, the first is not disturbed.
#[test]
fn a_report_has_one_writer() {
    let folder = Folder::new("interrupt-two");
    faulty(&folder, "WAITS");
    let waits = "[problem]\nkind = 'poisson'\nlevel = 3\n[[run]]\npreconditioner = 'faulty'\n";
    let waits = folder.file("waits.toml", waits);
    let quick = folder.file("quick.toml", "[problem]\nkind = 'poisson'\nlevel = 2\n[[run]]\n");
    let report = folder.path().join("report");
    let compare = |config: &Path| {
        let mut command = with_plugins("compare", &folder, config);
        command.arg("--report").arg(&report);
        command
    };
    let mut first = Started::new(&mut compare(&waits));
    first.until("setup has begun");
    let second = crate::support::run(&mut compare(&quick));
    second.fails_with(&["report: another run of precondor writes there"]);
    first.send("-TERM");
    assert_eq!(first.end().code, Some(143));
    // It is free again, and nothing but the report is there.
    assert_eq!(crate::support::run(&mut compare(&quick)).code, 0);
    let mut names: Vec<_> = std::fs::read_dir(&report).expect("there").flatten().collect();
    names.retain(|entry| entry.file_name().to_string_lossy().starts_with('.'));
    assert!(names.is_empty(), "{names:?}");
}
