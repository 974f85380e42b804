//! Speed of what everything else stands on: products with A beside a plain copy of memory, and
//! reading Matrix Market files.
//!
//!     cargo bench --bench matrix
use precondor_core::Result;
use precondor_core::comm::Comm;
use precondor_core::matrix::io::matrix_market;
use precondor_core::problem::{Poisson, Problem};
use std::hint::black_box;
use std::time::Instant;

/// Seconds: the median of `runs` calls.
fn median(runs: usize, mut f: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let begin = Instant::now();
        f()?;
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[runs / 2])
}

fn main() -> Result<()> {
    for level in [7, 9] {
        let (system, b) = Problem::Poisson(Poisson::at_level(level)).generate(Comm::solo())?;
        let a = system.a();
        let (n, nnz) = (a.n_own(), a.nnz_own());
        // Matrix once, result once, and the vector at least once.
        let bytes = (a.own().bytes() + 16 * n) as f64;
        let mut y = vec![0.0; n];
        let product = median(51, || a.spmv(black_box(&b), black_box(&mut y)))?;
        // As many bytes read and written by a copy.
        let (from, mut to) = (vec![1u64; bytes as usize / 16], vec![0; bytes as usize / 16]);
        let copy = median(51, || {
            black_box(&mut to).copy_from_slice(black_box(&from));
            Ok(())
        })?;
        println!(
            "level {level}: product {:.2} ns an entry, {:.1} GB/s; a copy of as many bytes {:.1} GB/s; ratio {:.2}",
            product / nnz as f64 * 1e9,
            bytes / product / 1e9,
            bytes / copy / 1e9,
            copy / product,
        );
        let path = std::env::temp_dir().join(format!("precondor-bench-{}.mtx", std::process::id()));
        matrix_market::write(&path, a.own(), "")?;
        let read = median(5, || matrix_market::read(&path).map(drop))?;
        let _ = std::fs::remove_file(&path);
        println!("level {level}: {nnz} entries read from a Matrix Market file in {read:.3} s");
    }
    Ok(())
}
