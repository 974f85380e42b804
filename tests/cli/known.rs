//! What a user tells of a matrix beside its entries: it reaches the method, or is refused by name.
use crate::plugins::faulty;
use crate::support::{Folder, Ran, matrix, precondor, run, solve};

/// Solves `[problem]` with these keys with a plugin in C that says what came along with the matrix, and fails.
fn told(folder: &Folder, problem: &str) -> Ran {
    let config = format!("[problem]\n{problem}\n[preconditioner]\nname = 'faulty'\n");
    let path = folder.path().display().to_string();
    solve(folder, &config, &["--plugin-path", &path])
}

/// Six unknowns: three nodes of two.
fn six(name: &str) -> Folder {
    let folder = Folder::new(name);
    faulty(&folder, "TELL_AUX");
    let diagonal: Vec<_> = (1..=6).map(|i| (i, i, 2.0)).collect();
    folder.file("A.mtx", &matrix(6, 6, &diagonal));
    folder
}

fn array(rows: usize, columns: usize, values: &[f64]) -> String {
    let values: String = values.iter().map(|v| format!("{v:?}\n")).collect();
    format!("%%MatrixMarket matrix array real general\n{rows} {columns}\n{values}")
}

#[test]
fn what_is_known_of_a_matrix_in_a_file_reaches_the_method() {
    let folder = six("known");
    folder.file("x.mtx", &array(6, 1, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    folder.file("y.mtx", &array(6, 1, &[9.0, 8.0, 7.0, 6.0, 5.0, 4.0]));
    folder.file("nodes.mtx", &array(3, 2, &[1.0, 2.0, 3.0, 0.5, 0.0, -0.5]));
    let near = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0];
    folder.file("near.mtx", &array(6, 2, &near));
    let sparse = "%%MatrixMarket matrix coordinate real general\n6 1 1\n2 1 7\n";
    folder.file("one.mtx", sparse);
    folder.file("c.mtx", &array(6, 1, &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5]));
    for (keys, says) in [
        ("coordinates = 'x.mtx'", "coordinates (1): 0 1 2 3 4 5"),
        ("coordinates = ['x.mtx', 'y.mtx']", "coordinates (2): 0 9 1 8 2 7 3 6 4 5 5 4"),
        (
            "coordinates = 'nodes.mtx'\nblock_size = 2",
            "block-size (1): 2 2 2 2 2 2 coordinates (2): 1 0.5 1 0.5 2 0 2 0 3 -0.5 3 -0.5",
        ),
        ("near_null_space = 'near.mtx'", "near-nullspace (2): 1 0 0 1 1 0 0 1 1 0 0 1"),
        (
            "near_null_space = ['near.mtx', 'one.mtx']",
            "near-nullspace (3): 1 0 0 0 1 7 1 0 0 0 1 0 1 0 0 0 1 0",
        ),
        ("block_size = 3", "block-size (1): 3 3 3 3 3 3"),
        ("coefficient = 'c.mtx'", "coefficient (1): 1 1.5 2 2.5 3 3.5"),
    ] {
        // What a preconditioner's own matrix is told is the same.
        for other in ["", "preconditioner_matrix = 'A.mtx'\n"] {
            let ran = told(&folder, &format!("matrix = 'A.mtx'\n{other}{keys}"));
            ran.fails_with(&[&format!("told of {says}")]);
        }
    }
}

#[test]
fn what_is_taken_out_of_a_system_is_taken_out_of_what_is_known() {
    let folder = six("known-eliminate");
    // Row 3 has its diagonal entry only, the others hang together.
    let entries: Vec<_> = (1..=6usize)
        .flat_map(|i| (1..=6).map(move |j| (i, j, if i == j { 9.0 } else { -1.0 })))
        .filter(|&(i, j, _)| i == j || i != 3)
        .collect();
    folder.file("A.mtx", &matrix(6, 6, &entries));
    folder.file("x.mtx", &array(6, 1, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    let keys = "matrix = 'A.mtx'\neliminate = 'identity-rows'\ncoordinates = 'x.mtx'";
    told(&folder, keys).fails_with(&["told of coordinates (1): 0 1 3 4 5"]);
    told(&folder, &format!("{keys}\nblock_size = 2"))
        .fails_with(&["config.toml:5", "'block_size': does not go with 'eliminate'"]);
}

#[test]
fn what_cannot_be_known_of_a_matrix_is_refused_by_name() {
    let folder = six("known-wrong");
    folder.file("short.mtx", &array(4, 1, &[1.0; 4]));
    folder.file("four.mtx", &array(6, 4, &[1.0; 24]));
    folder.file("two.mtx", &array(6, 2, &[1.0; 12]));
    folder.file("zero.mtx", &array(6, 1, &[1.0, 1.0, 0.0, 1.0, 1.0, 1.0]));
    let text = "%%MatrixMarket matrix array real general\n6 1\n1\n1\nnan\n1\n1\n1\n";
    folder.file("nan.mtx", text);
    for (keys, parts) in [
        ("coordinates = 'none.mtx'", &["none.mtx"][..]),
        ("coordinates = 'short.mtx'", &["short.mtx", "coordinates", "4 entries", "6 rows"]),
        (
            "coordinates = 'short.mtx'\nblock_size = 2",
            &["short.mtx", "4 entries", "6 rows, 3 nodes of 2 unknowns"],
        ),
        ("coordinates = 'four.mtx'", &["four.mtx", "has 4 columns, where 1 to 3 are"]),
        ("coordinates = []", &["config.toml:3", "'coordinates': at least one file"]),
        ("coordinates = 3", &["config.toml:3", "is not of type string"]),
        ("near_null_space = 'nan.mtx'", &["nan.mtx:5", "not finite"]),
        ("near_null_space = 'short.mtx'", &["near null space", "4 entries", "6 rows"]),
        ("coefficient = 'two.mtx'", &["two.mtx", "coefficient has 2 columns, where one is"]),
        ("coefficient = 'zero.mtx'", &["zero.mtx", "coefficient is 0 in global row 2"]),
        ("block_size = 0", &["config.toml:3", "0 is not the number of unknowns of a node"]),
        ("block_size = 'two'", &["config.toml:3", "is not the number of unknowns"]),
        ("block_size = 4", &["A.mtx", "6 rows are no whole number of blocks of 4", "'block_size'"]),
        ("cordinates = 'x.mtx'", &["config.toml:3", "did you mean 'coordinates'?"]),
    ] {
        told(&folder, &format!("matrix = 'A.mtx'\n{keys}")).fails_with(parts);
    }
    // Model problems know what there is to know.
    let model = "kind = 'poisson'\nlevel = 2\ncoordinates = 'x.mtx'";
    told(&folder, model).fails_with(&["config.toml:4", "'coordinates'"]);
}

#[test]
fn a_model_problem_is_written_with_what_is_known_of_it() {
    let folder = six("known-written");
    let set = ["problem.level=2", "problem.coefficient=smooth"];
    let at = |name: &str| folder.path().join(name);
    let mut command = crate::support::program();
    command.arg("problem").args(set.iter().flat_map(|set| ["--set", set]));
    command.arg("-o").arg(at("P.mtx")).arg("--coordinates").arg(at("xy.mtx"));
    let ran = run(command.arg("--coefficient").arg(at("c.mtx")));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let keys = "matrix = 'P.mtx'\ncoordinates = 'xy.mtx'\ncoefficient = 'c.mtx'";
    let read = told(&folder, keys).err;
    let model = told(&folder, "kind = 'poisson'\nlevel = 2\ncoefficient = 'smooth'").err;
    let of = |err: &str, name: &str| {
        let from = err.find(&format!("{name} (")).unwrap_or_else(|| panic!("no {name} in {err}"));
        let numbers = err[from..].split_whitespace().skip(2);
        numbers.map_while(|word| word.parse().ok()).collect::<Vec<f64>>()
    };
    for (name, count) in [("coordinates", 18), ("coefficient", 9)] {
        let (read, model) = (of(&read, name), of(&model, name));
        assert_eq!((read.len(), &read), (count, &model), "{name}");
    }
    // One coefficient everywhere is none to write.
    let none = at("none.mtx").display().to_string();
    let output = at("Q.mtx").display().to_string();
    precondor(["problem", "-o", &output, "--coefficient", &none])
        .fails_with(&["--coefficient: nothing is known of it"]);
}
