//! What a user tells of a matrix, on ranks: spread as the rows are, in whole nodes.
use crate::support::Folder;
use crate::{fails_with, precondor};
use std::process::Command;

#[test]
fn what_is_known_of_a_matrix_is_spread_as_its_rows_are() {
    let folder = Folder::new("mpi-known");
    let plugin = folder.path().join("libprecondor_plugin_faulty.so");
    let root = env!("CARGO_MANIFEST_DIR");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-std=c11", "-DTELL_AUX", "-I"]);
    cc.arg(format!("{root}/bindings/abi/include")).arg(format!("{root}/tests/c/faulty.c"));
    assert!(cc.arg("-o").arg(&plugin).status().expect("a C compiler").success());
    let diagonal: String = (1..=10).map(|i| format!("{i} {i} 2\n")).collect();
    let text = format!("%%MatrixMarket matrix coordinate real general\n10 10 10\n{diagonal}");
    folder.file("A.mtx", &text);
    let places: String = (0..10).map(|i| format!("{i}\n")).collect();
    folder.file("x.mtx", &format!("%%MatrixMarket matrix array real general\n10 1\n{places}"));
    let places: String = (0..5).map(|i| format!("{i}\n")).collect();
    folder.file("nodes.mtx", &format!("%%MatrixMarket matrix array real general\n5 1\n{places}"));
    folder.file("short.mtx", "%%MatrixMarket matrix array real general\n3 1\n1\n2\n3\n");
    let told = |ranks: usize, keys: &str| {
        let text =
            format!("[problem]\nmatrix = 'A.mtx'\n{keys}\n[preconditioner]\nname = 'faulty'\n");
        let config = folder.file("config.toml", &text).display().to_string();
        let path = folder.path().display().to_string();
        precondor(ranks, &["solve", &config, "--plugin-path", &path])
    };
    // The first of four ranks has three rows where none belong together, one node of two where they do.
    fails_with(&told(4, "coordinates = 'x.mtx'"), "told of coordinates (1): 0 1 2");
    let blocks = told(4, "coordinates = 'nodes.mtx'\nblock_size = 2");
    fails_with(&blocks, "told of block-size (1): 2 2 coordinates (1): 0 0");
    assert!(!blocks.err.contains("coordinates (1): 0 0 1"), "{blocks:?}");
    fails_with(
        &told(2, "near_null_space = 'short.mtx'"),
        "near null space has vectors of 3 entries",
    );
    fails_with(&told(2, "block_size = 3"), "10 rows are no whole number of blocks of 3");
}
