//! What can be said about a matrix before solving with it.
use super::{Csr, Definite, DistCsr, NullSpaces, Spectrum};
use crate::Result;
use crate::kernel::lanczos;
use crate::kernel::matching::{self, Unmatched};
use serde::Serialize;
use std::fmt;

/// Row sums this much above the diagonal, relatively, still count as dominated: rounding.
const ROUNDING: f64 = 1e-12;

/// Counts and properties of a matrix. Rows and columns are counted from 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Stored entries, zeros included.
    pub entries: usize,
    /// Bytes in memory.
    pub bytes: usize,
    /// Fewest entries of a row.
    pub row_min: usize,
    /// Entries a row, on average.
    pub row_mean: f64,
    /// Most entries of a row.
    pub row_max: usize,
    /// What only a square matrix has.
    pub square: Option<Square>,
    /// The ends of the spectrum; `None` unless the matrix is symmetric and has rows.
    pub spectrum: Option<Spectrum>,
}

/// Properties of a square matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Square {
    /// Largest i − j of an entry (i, j).
    pub lower_bandwidth: usize,
    /// Largest j − i of an entry (i, j).
    pub upper_bandwidth: usize,
    /// Whether (j, i) is stored wherever (i, j) is.
    pub pattern_symmetric: bool,
    /// Whether aᵢⱼ = aⱼᵢ up to rounding.
    pub symmetric: bool,
    /// An entry that differs from the one across the diagonal.
    pub unequal: Option<Unequal>,
    /// Whether all diagonal entries are positive.
    pub positive_diagonal: bool,
    /// Diagonal entries that are zero or not stored.
    pub zero_diagonals: usize,
    /// The first row with such an entry.
    pub first_zero_diagonal: Option<usize>,
    /// Why the matrix is singular, where its pattern or sums of its rows or columns show that.
    pub singular: Option<String>,
    /// Rows with |aᵢᵢ| ≥ Σ |aᵢⱼ| over j ≠ i, up to rounding.
    pub dominant_rows: usize,
}

/// An entry and the one across the diagonal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Unequal {
    /// Row.
    pub row: usize,
    /// Column.
    pub col: usize,
    /// Entry (row, col).
    pub value: f64,
    /// Entry (col, row).
    pub across: f64,
}

impl Statistics {
    /// Looks at `a`; `options` say how far to go for the spectrum of a symmetric matrix.
    ///
    /// # Errors
    /// [`crate::Error::Data`] for a symmetric matrix with values that are not finite.
    pub fn of(a: &Csr, options: &lanczos::Options) -> Result<Self> {
        let lengths = || a.view().row_ptr.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
        let square = (a.n_rows() == a.n_cols()).then(|| Square::of(a)).transpose()?;
        let symmetric = square.as_ref().is_some_and(|s| s.symmetric && a.n_rows() > 0);
        let spectrum = symmetric.then(|| Spectrum::of(a, options)).transpose()?;
        Ok(Statistics {
            rows: a.n_rows(),
            cols: a.n_cols(),
            entries: a.nnz(),
            bytes: a.bytes(),
            row_min: lengths().min().unwrap_or(0),
            row_mean: a.nnz() as f64 / a.n_rows().max(1) as f64,
            row_max: lengths().max().unwrap_or(0),
            square,
            spectrum,
        })
    }
}

impl Square {
    fn of(a: &Csr) -> Result<Self> {
        let view = a.view();
        let rows = 0..a.n_rows();
        let diagonal: Vec<f64> = rows.clone().map(|i| view.get(i, i)).collect();
        let reach = |i: usize| {
            let cols = view.row_cols(i);
            let ends = |j: Option<&u32>| j.map_or(i, |&j| j as usize);
            (i.saturating_sub(ends(cols.first())), ends(cols.last()).saturating_sub(i))
        };
        let dominant = |&i: &usize| {
            let off = view.row(i).filter(|&(j, _)| j != i).map(|(_, v)| v.abs()).sum::<f64>();
            diagonal[i].abs() >= off * (1.0 - ROUNDING)
        };
        let transpose = a.transpose();
        let across = transpose.view();
        let solo = DistCsr::solo(a.clone())?;
        let unequal = solo.first_unsymmetric()?;
        let singular = match matching::product(view) {
            Err(Unmatched::Singular { rank, .. }) => Some(format!(
                "the pattern allows a rank of at most {rank}, whatever the values are"
            )),
            _ => NullSpaces::find(&solo)?.map(|null| format!("its null space is {}", null.name())),
        };
        Ok(Square {
            lower_bandwidth: rows.clone().map(|i| reach(i).0).max().unwrap_or(0),
            upper_bandwidth: rows.clone().map(|i| reach(i).1).max().unwrap_or(0),
            pattern_symmetric: view.row_ptr == across.row_ptr && view.cols == across.cols,
            symmetric: unequal.is_none(),
            unequal: unequal.map(|u| Unequal {
                row: u.row as usize,
                col: u.col as usize,
                value: u.entry,
                across: u.mirror,
            }),
            positive_diagonal: diagonal.iter().all(|&d| d > 0.0),
            zero_diagonals: diagonal.iter().filter(|&&d| d == 0.0).count(),
            first_zero_diagonal: diagonal.iter().position(|&d| d == 0.0),
            singular,
            dominant_rows: rows.filter(dominant).count(),
        })
    }
}

/// What `precondor matrix` prints: one fact a line.
impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |is: bool| if is { "yes" } else { "no" };
        let mut line = |name: &str, text: String| writeln!(f, "{name:<18} {text}");
        line("size", format!("{} × {}", self.rows, self.cols))?;
        line("entries", format!("{} in {:.1} MB", self.entries, self.bytes as f64 / 1e6))?;
        let (least, most) = (self.row_min, self.row_max);
        line("entries a row", format!("{least} to {most}, {:.2} on average", self.row_mean))?;
        let Some(s) = &self.square else { return Ok(()) };
        line("bandwidth", format!("{} below, {} above", s.lower_bandwidth, s.upper_bandwidth))?;
        line("symmetric pattern", yes(s.pattern_symmetric).into())?;
        let where_not = s.unequal.map_or(String::new(), |u| {
            format!(": ({}, {}) is {:e}, across is {:e}", u.row, u.col, u.value, u.across)
        });
        line("symmetric", format!("{}{where_not}", yes(s.symmetric)))?;
        let first = s.first_zero_diagonal.map_or(String::new(), |row| {
            format!(", {} zero, the first in row {row}", s.zero_diagonals)
        });
        line("positive diagonal", format!("{}{first}", yes(s.positive_diagonal)))?;
        line("diagonally dominant", format!("{} of {} rows", s.dominant_rows, self.rows))?;
        if let Some(why) = &s.singular {
            line("singular", format!("yes: {why}"))?;
        }
        let Some(spectrum) = &self.spectrum else { return Ok(()) };
        line("eigenvalues", spectrum.to_string())?;
        let definite = match spectrum.definite {
            Definite::Yes => "yes",
            Definite::No | Definite::Singular => "no",
            Definite::Unknown => {
                "not known: no witness was found, and a factorisation takes too long"
            }
        };
        let because = if spectrum.reason.is_empty() { "" } else { ": " };
        line("positive definite", format!("{definite}{because}{}", spectrum.reason))?;
        match spectrum.condition() {
            None => Ok(()),
            Some((kappa, true)) => line("condition", format!("{kappa:.4e}")),
            Some((kappa, false)) => line("condition", format!("{kappa:.4e} (estimate)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n_rows: usize, n_cols: usize, entries: &[(usize, usize, f64)]) -> Statistics {
        let a = Csr::from_triplets(n_rows, n_cols, entries.iter().copied()).expect("valid");
        Statistics::of(&a, &lanczos::Options::default()).expect("finite")
    }

    #[test]
    fn a_symmetric_matrix_is_described() {
        // Eigenvalues 2 ± √2 and 2 of the second difference.
        let n = 3;
        let mut entries: Vec<_> = (0..n).map(|i| (i, i, 2.0)).collect();
        entries.extend((1..n).flat_map(|i| [(i, i - 1, -1.0), (i - 1, i, -1.0)]));
        let s = of(n, n, &entries);
        assert_eq!((s.rows, s.cols, s.entries, s.bytes), (3, 3, 7, 100));
        assert_eq!((s.row_min, s.row_max), (2, 3));
        assert!((s.row_mean - 7.0 / 3.0).abs() < 1e-15);
        let square = s.square.as_ref().expect("square");
        assert!(square.pattern_symmetric && square.symmetric && square.unequal.is_none());
        assert_eq!((square.lower_bandwidth, square.upper_bandwidth), (1, 1));
        assert_eq!((square.dominant_rows, square.zero_diagonals), (3, 0));
        assert!(square.positive_diagonal);
        let (kappa, proved) = s.spectrum.as_ref().and_then(Spectrum::condition).expect("definite");
        assert!(proved);
        assert!((kappa - (2.0 + 2f64.sqrt()) / (2.0 - 2f64.sqrt())).abs() < 1e-12);
        let text = s.to_string();
        for part in
            ["3 × 3", "2 to 3, 2.33 on average", "3 of 3 rows", "5.8284e0", "yes: its Cholesky"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = serde_json::to_value(&s).expect("plain data");
        assert_eq!(json["square"]["dominant_rows"], 3);
        assert_eq!(json["spectrum"]["converged"], true);
    }

    #[test]
    fn what_is_wrong_with_a_matrix_is_told() {
        let s = of(4, 4, &[(0, 0, 1.0), (0, 3, 2.0), (1, 1, -1.0), (3, 3, 0.0), (2, 2, 1.0)]);
        assert!(s.spectrum.is_none());
        let square = s.square.clone().expect("square");
        assert!(!square.pattern_symmetric && !square.symmetric && !square.positive_diagonal);
        assert_eq!((square.lower_bandwidth, square.upper_bandwidth), (0, 3));
        let u = square.unequal.expect("unsymmetric");
        assert_eq!((u.row, u.col, u.value, u.across), (0, 3, 2.0, 0.0));
        assert_eq!((square.zero_diagonals, square.first_zero_diagonal), (1, Some(3)));
        assert_eq!(square.dominant_rows, 3, "row 0 is not");
        let text = s.to_string();
        for part in ["no: (0, 3) is 2e0, across is 0e0", "no, 1 zero, the first in row 3"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(square.singular.is_some_and(|why| why.contains("a rank of at most 3")));
        // Equal values on an unsymmetric pattern; symmetric but indefinite; not square.
        let s = of(2, 2, &[(0, 0, 1.0), (1, 1, -1.0), (0, 1, 0.0)]);
        let square = s.square.as_ref().expect("square");
        assert!(!square.pattern_symmetric && square.symmetric && square.singular.is_none());
        assert!(s.to_string().contains("positive definite  no: a(1, 1) = -1e0"), "{s}");
        let s = of(3, 3, &[(0, 1, 2.0), (1, 0, 3.0), (2, 1, 1.0)]);
        assert!(
            s.to_string().contains("singular           yes: the pattern allows a rank of"),
            "{s}"
        );
        let s = of(2, 2, &[(0, 0, 1.0), (0, 1, -1.0), (1, 0, -3.0), (1, 1, 3.0)]);
        assert!(s.to_string().contains("singular           yes: its null space is "), "{s}");
        let s = of(2, 5, &[(1, 4, 1.0)]);
        assert!(s.square.is_none() && s.spectrum.is_none());
        assert_eq!((s.row_min, s.row_max, s.cols), (0, 1, 5));
        let s = of(0, 0, &[]);
        assert!(s.square.is_some() && s.spectrum.is_none());
        assert_eq!(s.row_mean, 0.0);
    }
}
