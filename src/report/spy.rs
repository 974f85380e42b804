//! Where the entries of a matrix are, as a picture.
use precondor_core::matrix::Csr;
use std::fmt::Write as _;

/// Cells a side of the picture at most; a larger matrix is drawn in blocks.
const CELLS: usize = 256;
/// Side of the picture in pixels.
const SIDE: f64 = 640.0;

/// The pattern as SVG: a cell is the darker the more of its places are stored.
pub fn svg(a: &Csr) -> String {
    let (rows, cols) = (a.n_rows().max(1), a.n_cols().max(1));
    let block = rows.max(cols).div_ceil(CELLS);
    let (down, across) = (rows.div_ceil(block), cols.div_ceil(block));
    let mut counts = vec![0u32; down * across];
    let view = a.view();
    for i in 0..a.n_rows() {
        for &j in view.row_cols(i) {
            counts[i / block * across + j as usize / block] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let cell = SIDE / down.max(across) as f64;
    let (width, height) = (cell * across as f64, cell * down as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\">\n\
         <title>{} × {}, {} entries</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\" stroke=\"#888\"/>\n\
         <g transform=\"scale({cell})\" fill=\"#1f4e8c\">\n",
        width,
        height,
        width.ceil(),
        height.ceil(),
        a.n_rows(),
        a.n_cols(),
        a.nnz()
    );
    for (k, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (x, y) = (k % across, k / across);
        // Never so pale that a single entry of a block is lost.
        let ink = 0.25 + 0.75 * f64::from(count) / f64::from(most);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\" opacity=\"{ink:.2}\"/>"
        );
    }
    out += "</g>\n</svg>\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_in_a_cell_and_large_matrices_in_blocks() {
        let a = Csr::from_triplets(3, 2, vec![(0, 0, 1.0), (2, 1, 1.0)]).unwrap();
        let picture = svg(&a);
        assert_eq!(picture.matches("<rect x=").count(), 2);
        assert!(picture.contains("x=\"1\" y=\"2\""), "{picture}");
        let n = 10_000;
        let diagonal = Csr::from_triplets(n, n, (0..n).map(|i| (i, i, 1.0))).unwrap();
        let cells = svg(&diagonal).matches("<rect x=").count();
        assert!((200..=CELLS).contains(&cells), "{cells}");
    }
}
