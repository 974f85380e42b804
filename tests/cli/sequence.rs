//! `compare` with `sequence = true`: what runs take along, and what all systems take together.
use crate::plugins::faulty;
use crate::support::{Folder, Ran, matrix, precondor, program, run, solve, wait_for_lines};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;

fn compare(folder: &Folder, text: &str, args: &[&str]) -> Ran {
    let path = folder.file("sequence.toml", text);
    let mut command = program();
    run(command.arg("compare").arg(path).args(args).arg("--plugin-path").arg(folder.path()))
}

/// `[[run]]` of a method, under each policy.
fn policies(method: &str) -> String {
    let run = |reuse: &str| {
        format!("[[run]]\nlabel = '{reuse}'\npreconditioner = '{method}'\nreuse = '{reuse}'\n")
    };
    ["keep", "refresh", "adaptive"].map(run).concat()
}

/// So many time steps as files `A0.mtx`, `b0.mtx` and so on.
fn exported(folder: &Folder, kind: &str, systems: u64) {
    let config = folder.file("kind.toml", &format!("[problem]\nkind = '{kind}'\nnodes = 15\n"));
    let (a, b) = (folder.path().join("A.mtx"), folder.path().join("b.mtx"));
    let [config, a, b] = [&config, &a, &b].map(|path| path.to_str().expect("text"));
    let many = systems.to_string();
    let ran = precondor(["problem", config, "-o", a, "--rhs", b, "--systems", &many]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.out.lines().count() as u64, systems);
}

/// Table `id` of the first case.
fn table<'d>(document: &'d Value, id: &str) -> &'d Vec<Value> {
    let sections = document["sections"].as_array().expect("sections");
    let case = sections.iter().find(|section| section["id"] == "case_0").expect("a case");
    let tables = case["tables"].as_array().expect("tables");
    let table = tables.iter().find(|table| table["id"] == id).unwrap_or_else(|| panic!("no {id}"));
    table["rows"].as_array().expect("rows")
}

/// What is counted of a run: iterations, setups, refreshes and systems that M was kept for, system by system.
fn courses(document: &Value) -> Vec<Vec<(u64, String)>> {
    let of = |row: &Value| {
        let systems = row["systems"].as_array().expect("systems").iter();
        let one = |end: &Value| {
            let setup = end["setup"].as_str().unwrap_or("failed").to_owned();
            (end["iterations"].as_u64().unwrap_or(0), setup)
        };
        systems.map(one).collect()
    };
    table(document, "solves").iter().map(of).collect()
}

fn counts(row: &Value) -> [u64; 4] {
    ["iterations", "setups", "refreshes", "kept"].map(|key| row["values"][key].as_u64().expect(key))
}

#[test]
fn totals_are_the_sums_of_the_solves_in_every_form_of_the_report() {
    let folder = Folder::new("sequence-totals");
    let report = folder.path().join("report");
    let text = format!(
        "[problem]\nkind = 'heat'\nnodes = 15\nsamples = 12\nsequence = true\n[solver]\nmethod = 'cg'\n{}\
         [[run]]\nlabel = 'its own'\npreconditioner = 'fsai'\nwarm_start = true\n",
        policies("fsai")
    );
    let ran = compare(&folder, &text, &["--json", "--report", report.to_str().expect("text")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    let (solves, totals) = (table(&document, "solves"), table(&document, "totals"));
    assert_eq!(totals.len(), 4);
    for (solves, total) in solves.iter().zip(totals) {
        let systems = solves["systems"].as_array().expect("systems");
        let sum = |key: &str| systems.iter().map(|s| s[key].as_f64().expect(key)).sum::<f64>();
        let made = |how: &str| systems.iter().filter(|s| s["setup"] == how).count() as u64;
        let told = ["set-up", "refreshed", "kept"].map(made);
        assert_eq!(counts(total), [sum("iterations") as u64, told[0], told[1], told[2]]);
        assert_eq!(
            ["setups", "refreshes", "kept"].map(|key| &solves[key]),
            told.map(Value::from).each_ref()
        );
        let values = &total["values"];
        assert_eq!(values["unsolved"], 0);
        let close = |key: &str, sum: f64| {
            let value = values[key].as_f64().expect(key);
            assert!((value - sum).abs() <= 1e-12 * sum, "{key}: {value} is not {sum}");
        };
        close("products", sum("products"));
        close("setup_seconds", sum("setup_seconds"));
        close("solve_seconds", sum("solve_seconds"));
        close("seconds", sum("setup_seconds") + sum("solve_seconds"));
    }
    let made = |k: usize| counts(&totals[k])[1..].to_vec();
    assert_eq!([made(0), made(1), made(3)], [[1, 0, 11], [1, 11, 0], [12, 0, 0]].map(Vec::from));
    let adaptive = made(2);
    assert!(adaptive[0] == 1 && adaptive[1] > 0 && adaptive[2] > 0, "{adaptive:?}");
    // Refreshed and set up are the same M.
    assert!(counts(&totals[3])[0] < counts(&totals[1])[0], "a warm start is worth something here");
    let csv = std::fs::read_to_string(report.join("sequences.csv")).expect("a file");
    let mut lines = csv.lines();
    let head = "case,label,group,solver,unsolved,setups,refreshes,kept,iterations,products,";
    assert!(lines.next().expect("a head").starts_with(head), "{csv}");
    for (line, total) in lines.zip(totals) {
        let [iterations, setups, refreshes, kept] = counts(total);
        let label = total["label"].as_str().expect("text");
        let start = format!("heat,{label},methods,cg,0,{setups},{refreshes},{kept},{iterations},");
        assert!(line.starts_with(&start), "{line} and {start}");
    }
    let page = std::fs::read_to_string(report.join("index.html")).expect("a page");
    assert!(page.contains("In all") && page.contains("sequences.csv"));
    let words = compare(&folder, &text, &[]).out;
    let line = words.split("### In all").nth(1).and_then(|all| all.lines().nth(5)).expect("a row");
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    assert_eq!(fields[1], "refresh", "{line}");
    assert_eq!(fields[4..7], ["1", "11", "0"], "{line}");
}

#[test]
fn files_in_natural_order_are_the_sequence_that_they_were_written_from() {
    for (kind, method) in [("heat", "fsai"), ("minimal-surface", "ic")] {
        let folder = Folder::new(&format!("sequence-{kind}"));
        exported(&folder, kind, 12);
        let text = |problem: &str| {
            format!(
                "warm_start = true\n[problem]\n{problem}\nsequence = true\n[solver]\nmethod = 'cg'\n{}",
                policies(method)
            )
        };
        let of_kind = format!("kind = '{kind}'\nnodes = 15\nsamples = 12");
        let made = compare(&folder, &text(&of_kind), &["--json"]);
        assert_eq!(made.code, 0, "{}", made.err);
        let expected = courses(&made.json());
        assert!(expected.iter().all(|course| course.len() == 12));
        let listed = (0..12).map(|k| format!("{{ matrix = 'A{k}.mtx', rhs = 'b{k}.mtx' }}"));
        let listed = format!("matrices = [{}]", listed.collect::<Vec<_>>().join(", "));
        for problem in ["matrices = 'A*.mtx'\nrhs = 'b*.mtx'", &listed] {
            let read = compare(&folder, &text(problem), &["--json"]);
            assert_eq!(read.code, 0, "{}", read.err);
            let document = read.json();
            assert_eq!(courses(&document), expected, "{problem}");
            let case = &document["sections"][0];
            assert_eq!((&case["names"][9], &case["names"][10]), (&"A9".into(), &"A10".into()));
        }
    }
}

/// Identical systems: M is made once, and a solve from the solution has nothing to do.
#[test]
fn what_does_not_change_is_set_up_once_and_solved_once() {
    let folder = Folder::new("sequence-same");
    exported(&folder, "heat", 1);
    let text = format!(
        "warm_start = true\n[problem]\nmatrices = ['A0.mtx', 'A0.mtx', 'A0.mtx']\nrhs = 'random'\nsequence = true\n\
         [solver]\nmethod = 'cg'\n{}",
        policies("fsai")
    );
    let document = compare(&folder, &text, &["--json"]).json();
    let course = courses(&document);
    let made = |how: [&str; 3]| how.map(str::to_owned).to_vec();
    for (course, how) in course.iter().zip([
        made(["set-up", "kept", "kept"]),
        made(["set-up", "refreshed", "refreshed"]),
        made(["set-up", "kept", "kept"]),
    ]) {
        assert!(course[0].0 > 0 && course[1].0 == 0 && course[2].0 == 0, "{course:?}");
        assert_eq!(course.iter().map(|(_, how)| how.clone()).collect::<Vec<_>>(), how);
    }
}

#[test]
fn units_of_the_matrices_change_neither_counts_nor_decisions() {
    let folder = Folder::new("sequence-units");
    exported(&folder, "heat", 12);
    let text = |units: &str| {
        format!(
            "warm_start = true\n[problem]\nmatrices = '{units}*.mtx'\nsequence = true\n[solver]\nmethod = 'cg'\n\
             tolerance = 1e-8\n{}",
            policies("ic")
        )
    };
    for k in 0..12 {
        let a = std::fs::read_to_string(folder.path().join(format!("A{k}.mtx"))).expect("a file");
        let scaled = a.lines().map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [i, j, value] if value.contains(['.', 'e']) => {
                format!("{i} {j} {:e}\n", 3.6e12 * value.parse::<f64>().expect("a number"))
            }
            _ => format!("{line}\n"),
        });
        folder.file(&format!("C{k}.mtx"), &scaled.collect::<String>());
    }
    let [one, other] = ["A", "C"].map(|units| compare(&folder, &text(units), &["--json"]).json());
    assert_eq!(courses(&one), courses(&other));
    let kept: Vec<u64> = table(&one, "totals").iter().map(|row| counts(row)[3]).collect();
    assert!(kept[2] > 0 && kept[2] < 11, "{kept:?}: the decisions are of both kinds");
}

#[test]
fn another_size_or_pattern_in_the_middle_is_set_up_anew_and_noted() {
    let folder = Folder::new("sequence-changed");
    exported(&folder, "heat", 2);
    let tridiagonal: Vec<(usize, usize, f64)> = (1..=225)
        .flat_map(|i| {
            let beside = [(i, i + 1, -1.0), (i + 1, i, -1.0)];
            std::iter::once((i, i, 3.0)).chain(beside.into_iter().filter(move |_| i < 225))
        })
        .collect();
    folder.file("T.mtx", &matrix(225, 225, &tridiagonal));
    folder.file("small.mtx", &matrix(2, 2, &[(1, 1, 2.0), (2, 2, 3.0)]));
    let text = format!(
        "warm_start = true\n[problem]\nmatrices = ['A0.mtx', 'A1.mtx', 'T.mtx', 'T.mtx', 'small.mtx', 'A0.mtx']\n\
         sequence = true\n[solver]\nmethod = 'cg'\n{}",
        policies("ic")
    );
    let ran = compare(&folder, &text, &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    for (k, second) in ["kept", "refreshed", "kept"].into_iter().enumerate() {
        let course = &courses(&document)[k];
        let how: Vec<&str> = course.iter().map(|(_, how)| how.as_str()).collect();
        assert_eq!(how, ["set-up", second, "set-up", second, "set-up", "set-up"], "run {k}");
        let systems = table(&document, "solves")[k]["systems"].as_array().expect("systems");
        let noted = |end: &Value| {
            let notes = end["notes"].as_array().expect("notes").iter();
            notes.filter_map(Value::as_str).any(|note| note.contains("set up anew"))
        };
        let noted: Vec<bool> = systems.iter().map(noted).collect();
        assert_eq!(noted, [false, false, true, false, true, true], "run {k}");
    }
}

#[test]
fn a_system_that_fails_is_counted_and_the_next_goes_on_from_the_last_good_solution() {
    let folder = Folder::new("sequence-failing");
    exported(&folder, "heat", 1);
    folder.file("nonsense.mtx", "nonsense\n");
    // No factor: a pivot is negative.
    let entries: Vec<_> = (1..=225).map(|i| (i, i, if i == 7 { -1.0 } else { 1.0 })).collect();
    folder.file("negative.mtx", &matrix(225, 225, &entries));
    let text = format!(
        "warm_start = true\n[problem]\nmatrices = ['A0.mtx', 'nonsense.mtx', 'A0.mtx', 'negative.mtx', 'A0.mtx']\n\
         sequence = true\n[solver]\nmethod = 'cg'\n{}",
        policies("ic")
    );
    let ran = compare(&folder, &text, &["--json"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let document = ran.json();
    for (k, course) in courses(&document).iter().enumerate() {
        let total = &table(&document, "totals")[k];
        assert_eq!(total["values"]["unsolved"], 2, "{total}");
        assert_eq!((course[1].1.as_str(), course[3].1.as_str()), ("failed", "failed"));
        assert!(course[0].0 > 0 && course[2].0 == 0 && course[4].0 == 0, "{course:?}");
    }
    // An M that is kept for too long is made anew, and the solve goes on.
    let text = "[problem]\nmatrices = ['A0.mtx', 'B.mtx', 'B.mtx']\nsequence = true\n[solver]\nmethod = 'cg'\n\
                max_iterations = 40\n[[run]]\npreconditioner = 'ic'\nreuse = 'keep'\n";
    let a = std::fs::read_to_string(folder.path().join("A0.mtx")).expect("a file");
    let scaled = a.lines().map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        // Rows and columns of one half in other units.
        [i, j, value] if value.contains(['.', 'e']) => {
            let unit = |k: &str| if k.parse::<u32>().expect("a row") > 112 { 1e3 } else { 1.0 };
            let value = unit(i) * unit(j) * value.parse::<f64>().expect("a number");
            format!("{i} {j} {value:e}\n")
        }
        _ => format!("{line}\n"),
    });
    folder.file("B.mtx", &scaled.collect::<String>());
    let ran = compare(&folder, text, &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document = ran.json();
    let course = &courses(&document)[0];
    assert_eq!([&course[1].1, &course[2].1], ["refreshed", "kept"], "{course:?}");
    assert!(course[1].0 > 40, "iterations of both are counted: {course:?}");
    let notes = table(&document, "solves")[0]["systems"][1]["notes"].to_string();
    assert!(notes.contains("failed after 40 iterations (iteration-limit)"), "{notes}");
}

/// Neither preconditioner nor solution of a process that was killed is left: its sequence is begun again.
#[test]
fn totals_after_a_kill_and_a_resumption_are_those_of_one_run() {
    let folder = Folder::new("sequence-killed");
    exported(&folder, "heat", 6);
    faulty(&folder, "WAITS");
    let text = "warm_start = true\n[[problem]]\nlabel = 'done'\nmatrices = 'A[01].mtx'\nsequence = true\n\
                [[problem]]\nmatrices = 'A[2345].mtx'\nsequence = true\n[solver]\nmethod = 'gmres'\n\
                [[run]]\npreconditioner = 'fsai'\nreuse = 'adaptive'\n[[run]]\npreconditioner = 'faulty'\n";
    let (report, again) = (folder.path().join("report"), folder.path().join("again"));
    let config = folder.file("sequence.toml", text);
    let begin = |report: &Path, resume: bool| {
        let mut command = program();
        command.arg("compare").arg(&config).arg("--plugin-path").arg(folder.path()).arg("--json");
        command.arg("--report").arg(report).args(resume.then_some("--resume"));
        command
    };
    let mut child = begin(&report, false)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    // What was asked for, the first system, its first run; the second waits for ever.
    let journal = report.join("solves.jsonl");
    wait_for_lines(&journal, 3);
    child.kill().and_then(|()| child.wait()).expect("killed");
    faulty(&folder, "NO_FAULT_BUT_NAN");
    let resumed = run(&mut begin(&report, true));
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let whole = run(&mut begin(&again, false));
    let (resumed, whole) = (resumed.json(), whole.json());
    assert_eq!(courses(&resumed), courses(&whole));
    let told = |document: &Value| table(document, "totals").iter().map(counts).collect::<Vec<_>>();
    assert_eq!(told(&resumed), told(&whole));
    let lines = |report: &Path| {
        let text = std::fs::read_to_string(report.join("results.csv")).expect("results");
        text.lines().count()
    };
    assert_eq!((lines(&report), lines(&again)), (1 + 6 * 2, 1 + 6 * 2));
}

/// A method that ends its process takes nothing away from the others.
#[test]
fn a_process_that_ends_changes_nothing_for_other_runs() {
    for fault in ["EXITS_IN_GENERATE", "HANGS_IN_GENERATE"] {
        let folder = Folder::new(&format!("sequence-{fault}"));
        exported(&folder, "heat", 5);
        faulty(&folder, fault);
        let text = |more: &str| {
            format!(
                "warm_start = true\n[problem]\nmatrices = 'A*.mtx'\nsequence = true\n[solver]\nmethod = 'cg'\n{}{more}",
                policies("fsai")
            )
        };
        let alone = compare(&folder, &text(""), &["--json"]);
        assert_eq!(alone.code, 0, "{}", alone.err);
        let more = "[[run]]\npreconditioner = 'faulty'\ntime_limit = 0.3\n";
        let beside = compare(&folder, &text(more), &["--json"]);
        assert_eq!(beside.code, 1, "{}", beside.err);
        let beside = beside.json();
        assert_eq!(courses(&beside)[..3], courses(&alone.json())[..], "{fault}");
        assert_eq!(table(&beside, "totals")[3]["values"]["unsolved"], 5);
        let last = &table(&beside, "solves")[3]["systems"][4];
        let why = last["error"].as_str().expect("why");
        assert_eq!(why, "not tried: it had to be ended at system 0", "{fault}");
    }
}

#[test]
fn mistakes_in_sequences_are_shown_where_they_are() {
    let folder = Folder::new("sequence-mistakes");
    exported(&folder, "heat", 2);
    let runs = "[[run]]\npreconditioner = 'ic'\n";
    for (problem, why) in [
        ("kind = 'heat'\nsequence = 'yes'", "3:12: \"yes\" is neither true nor false"),
        ("matrix = 'A0.mtx'\nsequence = true", "'sequence': one matrix is none"),
        ("matrices = 'A*.mtx'\nrhs = 'b1*.mtx'", "finds 1 files for 2 matrices"),
        ("matrices = 'A*.mtx'\nrhs = 'c*.mtx'", "finds no file"),
        (
            "matrices = [{ matrix = 'A0.mtx' }]\nrhs = 'b*.mtx'",
            "a pattern goes with patterns and names",
        ),
        ("kind = 'heat'\nstep = 0.0", "step"),
        ("kind = 'minimal-surface'\nsteps = 0", "steps"),
        ("kind = 'minimal-surface'\nheight = -1.0", "height"),
    ] {
        compare(&folder, &format!("[problem]\n{problem}\n{runs}"), &[]).fails_with(&[why]);
    }
    for (keys, why) in [
        ("reuse = 'sometimes'", "reuse is true, false, \"keep\", \"refresh\" or \"adaptive\""),
        ("reuse = 'keep'\nsetup_cost = 3", "'setup_cost': goes with reuse = \"adaptive\" only"),
        ("reuse = 'adaptive'\nsetup_cost = 0", "0 is not a number of iterations above 0"),
        ("warm_start = 1", "1 is neither true nor false"),
    ] {
        let text = format!("[problem]\nkind = 'heat'\nsequence = true\n{runs}{keys}\n");
        compare(&folder, &text, &[]).fails_with(&[why]);
    }
    compare(&folder, &format!("warm_start = true\n[problem]\nmatrices = 'A*.mtx'\n{runs}"), &[])
        .fails_with(&["'ic' has 'reuse' or 'warm_start', and no system follows another"]);
    solve(&folder, "[problem]\nkind = 'heat'\nsequence = true\n", &[])
        .fails_with(&["'sequence': only `compare` and `tune` take several systems"]);
    precondor(["problem", "-o", "A.mtx", "--systems", "0"])
        .fails_with(&["--systems", "0 is not in 1..="]);
}

/// A setup that is said to be dear is done less often.
#[test]
fn the_cost_of_a_setup_can_be_told() {
    let folder = Folder::new("sequence-cost");
    let text = |cost: f64| {
        format!(
            "[problem]\nkind = 'heat'\nnodes = 15\nsamples = 25\nsequence = true\n[solver]\nmethod = 'cg'\n\
             [[run]]\npreconditioner = 'fsai'\nreuse = 'adaptive'\nsetup_cost = {cost}\n"
        )
    };
    let refreshes = |cost: f64| {
        let document = compare(&folder, &text(cost), &["--json"]).json();
        counts(&table(&document, "totals")[0])[2]
    };
    let [cheap, dear] = [0.01, 1e6].map(refreshes);
    assert!(cheap > 15 && dear == 0, "{cheap} and {dear}");
}
