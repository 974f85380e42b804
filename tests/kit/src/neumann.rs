//! Files of a singular system and of a regular one near to it.
use std::collections::BTreeMap;

/// The five-point Laplacian of a grid of m × m nodes whose rows add up to `shift`.
fn entries(m: usize, shift: f64) -> BTreeMap<(usize, usize), f64> {
    let n = m * m;
    let mut sums: BTreeMap<(usize, usize), f64> = (0..n).map(|i| ((i, i), shift)).collect();
    let across = (0..m).flat_map(|j| (1..m).map(move |i| (j * m + i - 1, j * m + i)));
    let up = (1..m).flat_map(|j| (0..m).map(move |i| ((j - 1) * m + i, j * m + i)));
    for (i, j) in across.chain(up) {
        for (i, j, v) in [(i, i, 1.0), (j, j, 1.0), (i, j, -1.0), (j, i, -1.0)] {
            *sums.entry((i, j)).or_default() += v;
        }
    }
    sums
}

/// These rows of it as a part in hypre's IJ format.
pub fn part(m: usize, shift: f64, rows: std::ops::Range<usize>) -> String {
    let ends = format!("{} {}", rows.start, rows.end - 1);
    let mine = entries(m, shift).into_iter().filter(|((i, _), _)| rows.contains(i));
    let lines = mine.map(|((i, j), v)| format!("{i} {j} {v:.14e}\n"));
    format!("{ends} {ends}\n{}", lines.collect::<String>())
}

/// It as Matrix Market.
pub fn laplacian(m: usize, shift: f64) -> String {
    let (n, sums) = (m * m, entries(m, shift));
    let head = "%%MatrixMarket matrix coordinate real general";
    let lines = sums.iter().map(|((i, j), v)| format!("{} {} {v:?}\n", i + 1, j + 1));
    format!("{head}\n{n} {n} {}\n{}", sums.len(), lines.collect::<String>())
}

/// A right-hand side of n entries, part of which is outside of the range.
pub fn rhs(n: usize) -> String {
    let lines = (0..n).map(|i| format!("{:?}\n", 0.2 + (0.7 * i as f64).sin()));
    format!("%%MatrixMarket matrix array real general\n{n} 1\n{}", lines.collect::<String>())
}

/// n entries of one: a constant.
pub fn ones(n: usize) -> String {
    format!("%%MatrixMarket matrix array real general\n{n} 1\n{}", "1\n".repeat(n))
}
