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

/// Cells a side of [`magnitudes`] at most.
const FINE: usize = 120;
/// Shades of [`magnitudes`], from the largest entries down: a factor of √10 each.
const SHADES: usize = 6;

/// How large the entries of a matrix are: a cell is the fainter the smaller its largest entry is, down
/// to 10⁻³ of the largest of all; smaller ones are still drawn, those that are zero are not. Takes its
/// colours from the page.
pub fn magnitudes(
    rows: usize,
    cols: usize,
    entry: impl Fn(usize, usize) -> f64,
    title: &str,
) -> String {
    let block = rows.max(cols).div_ceil(FINE).max(1);
    let (down, across) = (rows.div_ceil(block), cols.div_ceil(block));
    let mut cells = vec![0.0f64; down * across];
    for i in 0..rows {
        for j in 0..cols {
            let cell = &mut cells[i / block * across + j / block];
            *cell = cell.max(entry(i, j).abs());
        }
    }
    let most = cells.iter().copied().fold(0.0, f64::max);
    let shade = |value: f64| {
        (value > 0.0).then(|| ((-2.0 * (value / most).log10()) as usize).min(SHADES - 1))
    };
    let mut paths = vec![String::new(); SHADES];
    for y in 0..down {
        let row = &cells[y * across..(y + 1) * across];
        let mut x = 0;
        while x < across {
            let here = shade(row[x]);
            let run = row[x..].iter().take_while(|value| shade(**value) == here).count();
            if let Some(here) = here {
                // Writing to a string cannot fail.
                let _ = write!(paths[here], "M{x} {y}h{run}v1h-{run}z");
            }
            x += run;
        }
    }
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-1 -1 {} {}\" role=\"img\">\n\
         <title>{}</title>\n\
         <rect x=\"-.5\" y=\"-.5\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"var(--line)\"/>\n\
         <g fill=\"var(--accent)\">\n",
        across + 2,
        down + 2,
        super::page::esc(title),
        across + 1,
        down + 1
    );
    for (k, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let ink = 1.0 - 0.85 * k as f64 / (SHADES - 1) as f64;
        let _ = writeln!(out, "<path opacity=\"{ink:.2}\" d=\"{path}\"/>");
    }
    out += "</g>\n</svg>";
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

    #[test]
    fn magnitudes_are_shades_and_zeros_stay_empty() {
        let values = [[1.0, 0.0, 1e-1], [0.0, -1.0, 0.0], [1e-9, 0.0, 1.0]];
        let picture = magnitudes(3, 3, |i, j| values[i][j], "<M>");
        // Three shades: the diagonal in one path, a tenth in another, the smallest in the last.
        assert_eq!(picture.matches("<path ").count(), 3);
        assert!(
            picture.contains("opacity=\"1.00\" d=\"M0 0h1v1h-1zM1 1h1v1h-1zM2 2h1v1h-1z\""),
            "{picture}"
        );
        assert!(picture.contains("opacity=\"0.15\" d=\"M0 2h1v1h-1z\""), "{picture}");
        assert!(picture.contains("&lt;M&gt;"));
    }
}
