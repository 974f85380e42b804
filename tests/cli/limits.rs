//! Files that announce more than they hold, and an address space that is too small: an error, and never
//! an abort.
use crate::support::{Folder, Ran, matrix, program, run};
use std::path::Path;
use std::process::Command;

/// Runs the program with `kib` KiB of address space.
fn within(kib: u64, arguments: &[&str]) -> Ran {
    let plain = program();
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {kib}; exec \"$@\""), "sh"]);
    limited.arg(plain.get_program()).args(arguments);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    run(limited.env("RAYON_NUM_THREADS", "1"))
}

/// Address space of the tests, in KiB: what the program needs to start, and some 200 MB.
const SMALL: u64 = 300_000;

#[track_caller]
fn refused(ran: &Ran, why: &str) {
    ran.fails_with(&["error: ", why]);
    assert!(!ran.err.contains("memory allocation of"), "{}", ran.err);
}

/// Files in every format that announce four thousand million rows or more.
fn liars(folder: &Folder) -> Vec<(&'static str, &'static str)> {
    let coordinate = "%%MatrixMarket matrix coordinate real general\n";
    folder.file("rows.mtx", &format!("{coordinate}4000000000 1 4000000\n1 1 1\n"));
    folder.file("few.mtx", &format!("{coordinate}4000000000 4000000000 1\n1 1 1\n"));
    folder.file("wide.mtx", &format!("{coordinate}1 4000000000 1\n1 1 1\n"));
    folder.file("array.mtx", "%%MatrixMarket matrix array real general\n4000000000 1\n1\n");
    let gzip = |name: &str| {
        let packed = Command::new("gzip").arg("-k").arg(folder.path().join(name)).status();
        assert!(packed.expect("gzip").success());
    };
    ["rows.mtx", "few.mtx", "array.mtx"].into_iter().for_each(gzip);
    folder.file("m.IJ.00000", "0 3999999999 0 3999999999\n0 0 1\n");
    folder.file("v.IJ.00000", "0 3999999999\n0 1\n");
    let petsc = |name: &str, numbers: &[i32]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|k| k.to_be_bytes()).collect();
        std::fs::write(folder.path().join(name), bytes).expect("written");
    };
    petsc("m.petsc", &[1_211_216, 2_000_000_000, 2_000_000_000, 2_000_000_000, 1, 0]);
    petsc("v.petsc", &[1_211_214, 2_000_000_000, 1, 0]);
    petsc("negative.petsc", &[1_211_214, -2, 1, 0]);
    petsc("wide.petsc", &[1_211_216, 1, 2_000_000_000, 0, 0]);
    vec![
        ("rows.mtx", "4000000 entries have no room in this file"),
        ("few.mtx", "4000000000 rows with only 1 entries"),
        ("wide.mtx", "4000000000 columns with only 1 entries"),
        ("array.mtx", "4000000000 entries have no room in this file"),
        ("rows.mtx.gz", "4000000 entries have no room in this file"),
        ("few.mtx.gz", "4000000000 rows with only 1 entries"),
        ("array.mtx.gz", "4000000000 entries have no room in this file"),
        ("m.IJ", "4000000000 rows in files of"),
        ("v.IJ", "first and last row, first and last column"),
        ("m.petsc", "has no room in the 24 bytes of the file"),
        ("v.petsc", "has no room in the 16 bytes of the file"),
        ("negative.petsc", "a length of -2"),
        ("wide.petsc", "2000000000 columns with only 0 entries"),
    ]
}

#[test]
fn what_a_file_announces_is_not_believed() {
    let folder = Folder::new("liars");
    folder.file("A.mtx", &matrix(3, 3, &[(1, 1, 1.0), (2, 2, 1.0), (3, 3, 1.0)]));
    let config = folder.file("solve.toml", "[problem]\nmatrix = 'A.mtx'\n");
    let config = config.display().to_string();
    let here = |name: &str| folder.path().join(name).display().to_string();
    for (file, why) in liars(&folder) {
        refused(&within(SMALL, &["matrix", &here(file)]), why);
        for key in ["matrix", "rhs", "x0", "preconditioner_matrix", "null_space"] {
            let set = format!("problem.{key}={}", here(file));
            refused(&within(SMALL, &["solve", &config, "--set", &set]), file);
        }
    }
    for parameter in ["fieldsplit.file", "fieldsplit.matrix", "mlp-reference.model", "auto.model"] {
        let (name, key) = parameter.split_once('.').expect("a key");
        let set = [format!("preconditioner.name={name}"), format!("preconditioner.{key}=few.mtx")];
        let more =
            ["preconditioner.ranges=[[0,2],[2,3]]".to_owned(), "preconditioner.kind=schur".into()];
        let of_schur = if parameter == "fieldsplit.matrix" { &more[..] } else { &[] };
        let flags = set.iter().chain(of_schur).flat_map(|set| ["--set", set]);
        let ran = within(SMALL, &["solve", &config].into_iter().chain(flags).collect::<Vec<_>>());
        refused(&ran, "");
    }
}

/// Safetensors whose header announces more than there is.
fn tensors(folder: &Folder, name: &str, metadata: &str, array: &str, shape: u64) -> String {
    let bytes = 8 * u128::from(shape);
    let header = format!(
        "{{\"__metadata__\":{{{metadata}}},\"{array}\":{{\"dtype\":\"U64\",\"shape\":[{shape}],\
         \"data_offsets\":[0,{bytes}]}}}}"
    );
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header.bytes());
    content.extend([0; 16]);
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    path.display().to_string()
}

#[test]
fn what_a_model_or_a_saved_preconditioner_announces_is_not_believed() {
    let folder = Folder::new("liars-tensors");
    let config = folder.file("solve.toml", "[problem]\nkind = 'poisson'\nlevel = 3\n");
    let config = config.display().to_string();
    for shape in [4_000_000_000, 1 << 60] {
        let model = tensors(&folder, "m.safetensors", "\"precondor\":\"{}\"", "a", shape);
        let set = [
            "preconditioner.name=mlp-reference".to_owned(),
            format!("preconditioner.model={model}"),
        ];
        refused(&within(SMALL, &["solve", &config, "--set", &set[0], "--set", &set[1]]), "model");
        let saved = tensors(&folder, "saved", "\"precondor-preconditioner\":\"{}\"", "cols", shape);
        refused(&within(SMALL, &["solve", &config, "--load-preconditioner", &saved]), "saved");
    }
    let long = folder.path().join("long");
    std::fs::write(&long, [u64::MAX.to_le_bytes(), [0; 8]].concat()).expect("written");
    let long = long.display().to_string();
    refused(&within(SMALL, &["solve", &config, "--load-preconditioner", &long]), "damaged");
}

/// A file with a length and nothing in it, which takes no room on the disk.
fn holes(path: &Path, start: &[i32], bytes: u64) {
    let head: Vec<u8> = start.iter().flat_map(|k| k.to_be_bytes()).collect();
    std::fs::write(path, head).expect("written");
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("a file");
    file.set_len(bytes).expect("a length");
}

#[test]
fn a_file_that_does_not_fit_into_the_address_space_is_an_error() {
    let folder = Folder::new("no-room");
    let here = |name: &str| folder.path().join(name);
    let n = 100_000_000;
    // 100 million rows, backed by the length of the file; a vector as long.
    holes(&here("m.petsc"), &[1_211_216, n, n, 0], 16 + 4 * n as u64);
    holes(&here("v.petsc"), &[1_211_214, n], 8 + 8 * n as u64);
    let head = format!("%%MatrixMarket matrix array real general\n{} 1\n", 30_000_000);
    folder.file("v.mtx", &(head + &"1\n".repeat(30_000_000)));
    folder.file("A.mtx", &matrix(3, 3, &[(1, 1, 1.0)]));
    for file in ["m.petsc", "v.mtx"] {
        let path = here(file).display().to_string();
        refused(&within(SMALL, &["matrix", &path]), "bytes are needed");
    }
    let config = folder.file("solve.toml", "[problem]\nmatrix = 'm.petsc'\n").display().to_string();
    let ran = within(SMALL, &["solve", &config]);
    refused(&ran, "m.petsc: the entries of this file: ");
}
