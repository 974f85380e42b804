//! A block with its rows and columns in another order, and scaled: P R A S Q, whose factors are kept.
use precondor_sdk::core::kernel::matching::Matching;
use precondor_sdk::core::kernel::ordering::Ordering;
use precondor_sdk::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Which row and which column of the block stand at each place, and the factors they are multiplied by.
pub struct Rearranged {
    rows: Vec<u32>,
    cols: Vec<u32>,
    /// R and S, by places; none where nothing is scaled.
    scales: Option<(Vec<f64>, Vec<f64>)>,
    work: Mutex<Vec<f64>>,
}

impl Rearranged {
    fn new(rows: Vec<u32>, cols: Vec<u32>, scales: Option<(Vec<f64>, Vec<f64>)>) -> Self {
        let work = Mutex::new(vec![0.0; rows.len()]);
        Rearranged { rows, cols, scales, work }
    }

    /// The numbers as they are.
    pub fn identity(n: usize) -> Self {
        Self::new((0..n as u32).collect(), (0..n as u32).collect(), None)
    }

    /// Rows and columns of `a` in this order; `None` where it is the one they have.
    pub fn ordered(a: CsrView<'_>, ordering: Ordering) -> Result<Option<Self>> {
        Ok(ordering.rows(a)?.map(|order| Self::new(order.clone(), order, None)))
    }

    /// `a` with its matched entries on the diagonal, scaled, and then in this order.
    pub fn matched(a: CsrView<'_>, matching: Matching, ordering: Ordering) -> Result<Self> {
        let Matching { col_of, row_scale, col_scale } = matching;
        let n = col_of.len();
        let scales = Some((row_scale, col_of.iter().map(|&j| col_scale[j as usize]).collect()));
        let matched = Self::new((0..n as u32).collect(), col_of, scales);
        Ok(match ordering.rows(matched.matrix(a)?.view())? {
            None => matched,
            Some(order) => {
                let pick = |of: &[f64]| order.iter().map(|&k| of[k as usize]).collect();
                let scales = matched.scales.as_ref().map(|(r, s)| (pick(r), pick(s)));
                let cols = order.iter().map(|&k| matched.cols[k as usize]).collect();
                Self::new(order, cols, scales)
            }
        })
    }

    /// With the columns exchanged once more: column k is the one that was at `places[k]`.
    #[must_use]
    pub fn with_columns(mut self, places: &[u32]) -> Self {
        self.cols = places.iter().map(|&k| self.cols[k as usize]).collect();
        if let Some((_, scale)) = &mut self.scales {
            *scale = places.iter().map(|&k| scale[k as usize]).collect();
        }
        self
    }

    /// The block's row at a place.
    pub fn row(&self, place: u64) -> Option<u32> {
        self.rows.get(usize::try_from(place).ok()?).copied()
    }

    /// Whether rows and columns stand as they do in `other`.
    pub fn same_places(&self, other: &Self) -> bool {
        (&self.rows, &self.cols) == (&other.rows, &other.cols)
    }

    /// P R A S Q.
    pub fn matrix(&self, a: CsrView<'_>) -> Result<Csr> {
        let n = self.rows.len();
        let mut place_of = vec![0u32; n];
        for (place, &col) in self.cols.iter().enumerate() {
            place_of[col as usize] = place as u32;
        }
        let mut row_ptr = Vec::with_capacity(n + 1);
        let (mut cols, mut values) = (Vec::with_capacity(a.nnz()), Vec::with_capacity(a.nnz()));
        let mut row: Vec<(u32, f64)> = Vec::new();
        row_ptr.push(0);
        for (place, &i) in self.rows.iter().enumerate() {
            row.clear();
            row.extend(a.row(i as usize).map(|(j, value)| (place_of[j], value)));
            row.sort_unstable_by_key(|entry| entry.0);
            for &(col, value) in &row {
                cols.push(col);
                values.push(match &self.scales {
                    Some((r, s)) => r[place] * value * s[col as usize],
                    None => value,
                });
            }
            // No more entries than those of `a`, whose offsets fit.
            row_ptr.push(cols.len() as u32);
        }
        Csr::new(n, row_ptr, cols, values)
    }

    /// z = S Q F P R r, where F overwrites what it is given.
    pub fn apply(&self, r: &[f64], z: &mut [f64], factors: impl FnOnce(&mut [f64])) {
        let scales = self.scales.as_ref().map(|(r, s)| (&r[..], &s[..]));
        self.run(
            (&self.rows, scales.map(|s| s.0)),
            (&self.cols, scales.map(|s| s.1)),
            r,
            z,
            factors,
        );
    }

    /// z = R Pᵀ F Qᵀ S r.
    pub fn apply_transposed(&self, r: &[f64], z: &mut [f64], factors: impl FnOnce(&mut [f64])) {
        let scales = self.scales.as_ref().map(|(r, s)| (&r[..], &s[..]));
        self.run(
            (&self.cols, scales.map(|s| s.1)),
            (&self.rows, scales.map(|s| s.0)),
            r,
            z,
            factors,
        );
    }

    fn run(
        &self,
        (from, before): (&[u32], Option<&[f64]>),
        (to, after): (&[u32], Option<&[f64]>),
        r: &[f64],
        z: &mut [f64],
        factors: impl FnOnce(&mut [f64]),
    ) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        for (w, &i) in work.iter_mut().zip(from) {
            *w = r[i as usize];
        }
        if let Some(before) = before {
            work.iter_mut().zip(before).for_each(|(w, scale)| *w *= scale);
        }
        factors(&mut work);
        if let Some(after) = after {
            work.iter_mut().zip(after).for_each(|(w, scale)| *w *= scale);
        }
        for (w, &j) in work.iter().zip(to) {
            z[j as usize] = *w;
        }
    }

    pub fn bytes(&self) -> usize {
        let scales = if self.scales.is_some() { 16 } else { 0 };
        (4 + 4 + 8 + scales) * self.rows.len()
    }
}
