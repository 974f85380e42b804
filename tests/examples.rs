//! The programs of `examples/`, run as they are built, and what they say.
use std::path::PathBuf;
use std::process::Command;

/// What the example prints.
fn run(name: &str) -> String {
    // target/…/deps/this-test → target/…/examples/name
    let here = std::env::current_exe().expect("a program");
    let built = here.ancestors().nth(2).expect("a folder of builds").join("examples").join(name);
    let empty = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("examples");
    std::fs::create_dir_all(&empty).expect("a folder");
    let mut command = Command::new(&built);
    let isolated = command.env_remove("PRECONDOR_PATH").env("XDG_DATA_HOME", &empty);
    let ran = isolated.env("HOME", &empty).output().expect("cargo test builds examples");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{name}: {out}{err}");
    out.into_owned()
}

/// The number before `word` in the line that starts with `start`.
fn number(out: &str, start: &str, word: &str) -> usize {
    let line = out.lines().find(|line| line.starts_with(start)).expect(start);
    let before = line.split(word).next().expect(word);
    before.split_whitespace().last().and_then(|n| n.parse().ok()).expect(line)
}

#[test]
fn a_system_of_ones_own_is_solved() {
    let out = run("solve_csr");
    // The factor of a chain has no fill: one iteration. x(i) = (i + 1)(n − i) / 2.
    assert!(out.starts_with("Converged after 1 iterations"), "{out}");
    assert!(out.contains("x in the middle: 125250.000000"), "{out}");
}

#[test]
fn an_operator_without_entries_is_solved_with_a_matrix_near_to_it() {
    let out = run("matrix_free");
    let iterations = number(&out, "Converged", " iterations");
    assert!((5..15).contains(&iterations), "{out}");
}

#[test]
fn a_method_of_the_program_works_by_name_and_inside_others() {
    let out = run("own_method");
    let of = |name: &str| number(&out, name, " iterations");
    // Two steps are worth about twice one, and less than that together with IC(0).
    assert!(of("two-steps:") < of("jacobi:") && of("composite:") < of("two-steps:"), "{out}");
    assert!(out.contains("two-steps: parameter 'damping': -1 must be greater than 0"), "{out}");
}

#[test]
fn a_method_made_of_another_one_takes_any_by_name() {
    let out = run("composed_method");
    let of = |name: &str| number(&out, name, " iterations");
    assert!(of("twice ic:") < of("ic:") && of("twice twice ic:") < of("twice ic:"), "{out}");
    assert!(out.contains("twice: method: ") && out.contains("'dampin'"), "{out}");
}

#[test]
fn a_family_of_problems_of_the_program_is_a_kind_like_others() {
    let out = run("own_problem");
    let of = |name: &str| number(&out, name, " iterations");
    assert!(of("amg:") < of("ic:") && of("ic:") < of("jacobi:") && of("amg:") < 30, "{out}");
    assert!(out.contains("'cels'") && out.contains("did you mean 'cells'?"), "{out}");
}

#[test]
fn methods_are_compared() {
    let out = run("compare");
    let iterations = |name: &str| {
        let line = out.lines().find(|line| line.starts_with(name)).expect(name);
        line.split_whitespace().nth(1).and_then(|n| n.parse::<usize>().ok()).expect(line)
    };
    let order = ["jacobi", "fsai", "gauss-seidel", "ic", "multigrid", "mlp-reference"];
    let counts: Vec<usize> = order.iter().map(|name| iterations(name)).collect();
    assert!(counts.is_sorted_by(|a, b| a > b), "{out}");
    assert_eq!(counts[5], 5, "{out}");
}

#[test]
fn systems_that_follow_each_other_go_on_from_the_last_one() {
    let out = run("sequence");
    let of = |line: &str, word: &str| number(&out, line, word);
    let [cold, warm] = ["refresh from zero:", "refresh from the last step:"];
    let [keep, adaptive] = ["keep from", "adaptive from"];
    for line in [cold, warm, keep, adaptive] {
        assert_eq!((of(line, " of 30 solved"), of(line, " setups")), (30, 1), "{out}");
    }
    assert_eq!([of(cold, " refreshed"), of(warm, " refreshed")], [29, 29], "{out}");
    assert_eq!(of(keep, " kept"), 29, "{out}");
    assert!(of(adaptive, " kept") > 0 && of(adaptive, " refreshed") > 0, "{out}");
    let iterations = [warm, adaptive, keep].map(|line| of(line, " iterations"));
    assert!(
        iterations.is_sorted_by(|a, b| a < b) && iterations[0] < of(cold, " iterations"),
        "{out}"
    );
}

#[test]
fn a_network_is_trained_and_used() {
    let out = run("train");
    let (here, shipped) = (number(&out, "trained here", " it"), number(&out, "shipped", " it"));
    assert!(here <= shipped + 3, "{out}");
}
