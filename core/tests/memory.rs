//! Peaks of memory that are promised. One test only: the allocator counts the whole process.
use peak_alloc::PeakAlloc;
use precondor_core::comm::Comm;
use precondor_core::matrix::Csr;
use precondor_core::matrix::io::matrix_market as mm;
use precondor_core::problem::{Poisson, Problem};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that `make` takes at its peak beyond what was in use before.
fn peak<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let made = make();
    (made, MEMORY.peak_usage() - before)
}

#[test]
fn assembling_and_reading_stay_within_their_memory() {
    let problem = |level| Problem::Poisson(Poisson::at_level(level));
    let ((system, rhs), bytes) = peak(|| problem(9).generate(Comm::solo()).expect("valid"));
    assert_eq!(rhs.len(), 261_121);
    assert!(bytes < 120_000_000, "level 9 takes {bytes} bytes");
    assert!(bytes > system.a().bytes(), "{bytes} bytes are less than the matrix");
    drop((system, rhs));

    let (system, _) = problem(8).generate(Comm::solo()).expect("valid");
    let symmetric = system.a().own();
    let view = symmetric.view();
    let mut values = view.values.to_vec();
    values[1] *= 1.5;
    let general = Csr::new(symmetric.n_cols(), view.row_ptr.to_vec(), view.cols.to_vec(), values);
    let general = general.expect("the same pattern");
    // Where offsets of rows weigh most.
    let n = 200_000;
    let diagonal = Csr::from_triplets(n, n, (0..n).map(|i| (i, i, 1.0))).expect("valid");

    let path = std::env::temp_dir().join(format!("precondor-memory-{}.mtx", std::process::id()));
    for (name, a) in [("symmetric", symmetric), ("general", &general), ("diagonal", &diagonal)] {
        mm::write(&path, a, "").expect("written");
        let (back, bytes) = peak(|| mm::read(&path).expect("read"));
        assert_eq!(back.view().values, a.view().values);
        let times = bytes as f64 / a.bytes() as f64;
        assert!((1.0..1.55).contains(&times), "{name}: {times} × the matrix");
    }
    std::fs::remove_file(&path).expect("removed");
}
