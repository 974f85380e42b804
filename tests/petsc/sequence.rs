//! Newton's systems of PETSc's own driven cavity (SNES ex19): our methods in it, and its Jacobians as files.
use crate::support::{Petsc, Ran, folder, run};
use precondor_testkit::program::{isolated, run as finish};
use serde_json::Value;
use std::path::Path;

/// The cavity whose lid moves, with heat; GMRES as our own solver has it.
const CAVITY: &str = "-da_grid_x 17 -da_grid_y 17 -da_processors_x 1 -lidvelocity 20 -grashof 5000 -ksp_type gmres \
                      -ksp_rtol 1e-6 -ksp_pc_side right -ksp_norm_type unpreconditioned -ksp_converged_reason -snes_view";

/// Iterations of every solve.
fn counts(ran: &Ran) -> Vec<u64> {
    let count = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    ran.says(&["Nonlinear solve converged"]);
    ran.text.split("CONVERGED_RTOL iterations ").skip(1).map(count).collect()
}

fn with(ranks: usize, program: &Path, method: &str, options: &str) -> Ran {
    let options = format!("{CAVITY} -snes_converged_reason -pc_type {method} {options}");
    run(ranks, program, &options)
}

#[test]
fn jacobians_of_ex19_are_solved_under_each_policy() {
    for petsc in [Petsc::Narrow, Petsc::Wide] {
        let Some(ex19) = petsc.nonlinear_tutorial("ex19") else { continue };
        for ranks in 1..=3 {
            let of = |reuse: &str| {
                let options = format!("-pc_precondor_reuse {reuse}");
                let ran = with(ranks, &ex19, "precondor_ilu", &options);
                ran.says(&[&format!("reuse = {reuse}\n")]);
                let kept = ran.number_after(" refreshed,");
                let refreshed = ran.number_after(" from nothing,");
                assert_eq!(ran.number_after("setups:"), 1, "{}", ran.text);
                (counts(&ran), refreshed, kept)
            };
            let (keep, refresh, adaptive) = (of("keep"), of("refresh"), of("adaptive"));
            let sum = |counts: &[u64]| counts.iter().sum::<u64>();
            assert_eq!((keep.1, keep.2), (0, keep.0.len() - 1));
            assert_eq!((refresh.1, refresh.2), (refresh.0.len() - 1, 0));
            assert_eq!(adaptive.1 + adaptive.2, adaptive.0.len() - 1);
            assert!(adaptive.2 > 0);
            let mean = |counts: &[u64]| sum(counts) as f64 / counts.len() as f64;
            assert!(mean(&refresh.0) <= mean(&adaptive.0) && mean(&adaptive.0) <= mean(&keep.0));
        }
    }
}

#[test]
fn policies_that_are_none_are_refused() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    for (options, why) in [
        ("-pc_precondor_reuse sometimes", "no such policy (there are: keep, refresh, adaptive)"),
        ("-pc_precondor_setup_cost 3", "-pc_precondor_setup_cost 3: goes with adaptive only"),
        (
            "-pc_precondor_reuse adaptive -pc_precondor_setup_cost none",
            "none: it is no number above 0",
        ),
        ("-pc_precondor_reuse adaptive -pc_precondor_setup_cost -1", "it is no number above 0"),
    ] {
        run(1, &ex2, &format!("-pc_type precondor_ic {options}")).fails_with(&[why]);
    }
    run(1, &ex2, "-pc_type precondor_ic -help")
        .says(&["-pc_precondor_reuse", "-pc_precondor_setup_cost"]);
}

/// The matrices, or the vectors, of a file in PETSc's binary format, one after the other.
fn objects(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).expect("what ex19 wrote");
    let (mut rest, mut all) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let int = |k: usize| {
            let four = rest[4 * k..4 * k + 4].try_into().expect("four bytes");
            usize::try_from(i32::from_be_bytes(four)).expect("a size")
        };
        let length = match int(0) {
            // Rows, columns, entries; lengths of the rows, columns and values of the entries.
            1_211_216 => 16 + 4 * int(1) + 12 * int(3),
            1_211_214 => 8 + 8 * int(1),
            other => panic!("{other} is neither a matrix nor a vector"),
        };
        let (one, others) = rest.split_at(length);
        all.push(one.to_vec());
        rest = others;
    }
    all
}

/// The program solves what ex19 solved, in as many iterations.
#[test]
fn jacobians_of_ex19_are_a_sequence_of_files() {
    let Some(ex19) = Petsc::Narrow.nonlinear_tutorial("ex19") else { return };
    let folder = folder("ex19");
    let (matrices, vectors) = (folder.join("matrices"), folder.join("vectors"));
    let view =
        |what: &str, path: &Path| format!("-ksp_view_{what} binary:{}::append", path.display());
    let views = format!("{} {}", view("mat", &matrices), view("rhs", &vectors));
    let ran = with(1, &ex19, "precondor_ilu", &format!("-pc_precondor_reuse keep {views}"));
    let inside = counts(&ran);
    let (matrices, vectors) = (objects(&matrices), objects(&vectors));
    let systems = inside.len();
    assert_eq!((matrices.len(), vectors.len()), (systems, systems));
    for (k, (a, b)) in matrices.iter().zip(&vectors).enumerate() {
        let path = folder.join(format!("J{k}.petsc"));
        std::fs::write(path, [a.as_slice(), b].concat()).expect("written");
    }
    let run_of = |reuse: &str| {
        format!("[[run]]\nlabel = '{reuse}'\nreuse = '{reuse}'\npreconditioner = 'ilu'\n")
    };
    let text = format!(
        "[problem]\nmatrices = 'J*.petsc'\nsequence = true\n[solver]\nmethod = 'gmres'\ntolerance = 1e-6\n{}",
        ["keep", "refresh", "adaptive"].map(run_of).concat()
    );
    let config = folder.join("ex19.toml");
    std::fs::write(&config, text).expect("written");
    let mut program = isolated(Path::new(env!("CARGO_BIN_EXE_precondor")));
    let document = finish(program.arg("compare").arg(&config).arg("--json")).json();
    let tables = document["sections"][0]["tables"].as_array().expect("tables");
    let rows = |id: &str| {
        let table = tables.iter().find(|table| table["id"] == id).expect(id);
        table["rows"].as_array().expect("rows").clone()
    };
    let iterations = |row: &Value| -> Vec<u64> {
        let systems = row["systems"].as_array().expect("systems").iter();
        systems.map(|end| end["iterations"].as_u64().expect("a count")).collect()
    };
    assert_eq!(iterations(&rows("solves")[0]), inside, "kept here and there");
    for total in rows("totals") {
        assert_eq!(total["values"]["unsolved"], 0, "{total}");
    }
    let made =
        |k: usize| rows("totals")[k]["values"]["refreshes"].as_u64().expect("a count") as usize;
    assert_eq!((made(0), made(1)), (0, systems - 1));
    assert!(made(2) < systems - 1);
}
