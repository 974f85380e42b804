//! Smoothed aggregation that keeps given vectors: those that A takes to nearly zero, as rigid bodies.
//!
//! The unknowns of a node stay together. Node I is coupled to J by ‖A_IJ‖ (Frobenius); strong couplings and
//! aggregates are those of the matrix with these numbers off its diagonal. The vectors B, cut to the rows of an
//! aggregate, are made orthonormal: what they span are the aggregate's unknowns, at most as many as there are
//! vectors, and the coefficients are the vectors of the next level, so that T Bc = B. P = (I − ω D⁻¹ A) T with
//! ω = (4/3)/Σⱼ|aᵢⱼ/aᵢᵢ| row by row: four thirds over a bound of the largest eigenvalue. P is not shortened.
//!
//! Cost: some k² operations a row for k vectors, and k times the entries of P that aggregation without them has.
//! References: P. Vaněk, J. Mandel, M. Brezina, Computing 56 (1996), §4–5; A. Baker, T. Kolev, U. Yang, *Improving
//! algebraic multigrid interpolation operators for linear elasticity problems*, Numer. Linear Algebra Appl. 17
//! (2010) (rigid body modes).
use crate::aggregates::{self, ALONE};
use crate::interpolation::Prolongation;
use crate::number::Number;
use crate::rows::{Order, Rows};
use crate::strength;
use precondor_sdk::core::system::Aux;
use precondor_sdk::prelude::*;

/// Vectors to keep, and which node each row belongs to.
#[derive(Clone)]
pub(crate) struct Modes {
    /// How many vectors.
    width: usize,
    /// Their entries, row after row.
    values: Vec<f64>,
    /// The node of each row; the rows of a node need not stand together.
    node: Vec<u32>,
    nodes: usize,
}

/// Where vectors to keep come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", rename_all = "kebab-case")]
#[schemars(crate = "precondor_sdk::schemars")]
pub enum NearNullSpace {
    /// Those that come with the system, if they are more than the constants of each unknown of a node.
    Auto,
    /// The constants of each unknown of a node, whatever comes with the system.
    Constant,
    /// Rigid body modes, made from the coordinates that come with the system.
    RigidBody,
}

/// A column with less than this part of its length left is spanned by those before it.
const SPANNED: f64 = 1e-8;

impl Modes {
    /// Vectors of a rank's rows, `block` of which make a node; none where the constants are all there is.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where coordinates are asked for that do not come with the system, or do not fit
    /// the unknowns of a node.
    pub fn of(
        system: &System,
        wish: NearNullSpace,
        block: usize,
        order: Option<&Order>,
    ) -> Result<Option<Self>> {
        let aux = match wish {
            NearNullSpace::Constant => return Ok(None),
            NearNullSpace::RigidBody => rigid(system, block)?,
            NearNullSpace::Auto => match system.near_null_space() {
                Some(aux) if aux.width > block => aux.clone(),
                _ => return Ok(None),
            },
        };
        let n = system.a().n_own();
        let old = |i: usize| order.map_or(i, |order| order.old[i] as usize);
        let row = |i: usize| &aux.values[old(i) * aux.width..(old(i) + 1) * aux.width];
        Ok(Some(Modes {
            width: aux.width,
            values: (0..n).flat_map(|i| row(i).iter().copied()).collect(),
            node: (0..n).map(|i| (old(i) / block) as u32).collect(),
            nodes: n.div_ceil(block),
        }))
    }

    pub fn width(&self) -> usize {
        self.width
    }
    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }
    fn rows_of_nodes(&self) -> Vec<Vec<u32>> {
        let mut rows = vec![Vec::new(); self.nodes];
        self.node.iter().enumerate().for_each(|(i, &node)| rows[node as usize].push(i as u32));
        rows
    }
}

/// Rigid body modes from the coordinates: translations, then rotations.
fn rigid(system: &System, block: usize) -> Result<Aux> {
    let refuse = |why: String| {
        Err(Error::Unsupported(format!("parameter 'near_null_space': rigid body modes need {why}")))
    };
    let Some(places) = system.coordinates() else {
        return refuse("coordinates, which do not come with this system".into());
    };
    let d = places.width;
    if !(2..=3).contains(&d) || block != d {
        return refuse(format!(
            "as many unknowns per node as coordinates, 2 or 3: there are {block} and {d}"
        ));
    }
    let n = system.a().n_own();
    let centre: Vec<f64> = (0..d)
        .map(|k| places.values.iter().skip(k).step_by(d).sum::<f64>() / n.max(1) as f64)
        .collect();
    let width = if d == 2 { 3 } else { 6 };
    let mut values = Vec::with_capacity(n * width);
    for i in 0..n {
        let x: Vec<f64> = (0..d).map(|k| places.values[i * d + k] - centre[k]).collect();
        let own = i % d;
        values.extend((0..d).map(|k| f64::from(u8::from(k == own))));
        for a in 0..d {
            for b in a + 1..d {
                values.push(match own {
                    _ if own == a => -x[b],
                    _ if own == b => x[a],
                    _ => 0.0,
                });
            }
        }
    }
    Ok(Aux { width, values: values.into() })
}

/// The aggregates of nodes, as `old` has them or anew.
pub(crate) fn aggregates<V: Number>(
    a: &Rows<'_, V>,
    modes: &Modes,
    theta: f64,
) -> (Vec<u32>, usize) {
    aggregates::greedy(&strength::aggregation(&condensed(a, modes), theta, None))
}

/// P that keeps the vectors, and the vectors of the next level.
pub(crate) fn prolongation<V: Number>(
    a: &Rows<'_, V>,
    modes: &Modes,
    of_nodes: &[u32],
    count: usize,
) -> (Prolongation, Modes) {
    let k = modes.width;
    let mut rows = vec![Vec::new(); count];
    for (node, of) in modes.rows_of_nodes().iter().enumerate() {
        if of_nodes[node] != ALONE {
            rows[of_nodes[node] as usize].extend_from_slice(of);
        }
    }
    // T by rows: the first unknown of the row's aggregate, and its entries there.
    let mut first = vec![u32::MAX; a.len()];
    let mut tentative = vec![0.0f64; a.len() * k];
    let mut widths = vec![0usize; a.len()];
    let mut next = Modes { width: k, values: vec![], node: vec![], nodes: count };
    for (aggregate, rows) in rows.iter().enumerate() {
        let start = next.node.len();
        let kept = orthonormal(modes, rows, &mut tentative, &mut next.values);
        next.node.extend(std::iter::repeat_n(aggregate as u32, kept));
        for &i in rows {
            (first[i as usize], widths[i as usize]) = (start as u32, kept);
        }
    }
    let n_coarse = next.node.len();
    let mut p = Prolongation::new(a.len(), n_coarse, 2 * k * a.len());
    let mut sums = vec![0.0; n_coarse];
    let mut met: Vec<u32> = Vec::new();
    for i in 0..a.len() {
        if first[i] == u32::MAX {
            p.end_row();
            continue;
        }
        let d = a.diagonal[i].double();
        let size: f64 = a.row(i).map(|(_, v)| v.double().abs() / d).sum();
        let omega = (4.0 / 3.0) / size;
        let mut add = |j: usize, factor: f64| {
            for c in 0..widths[j] {
                let col = first[j] + c as u32;
                if !met.contains(&col) {
                    met.push(col);
                }
                sums[col as usize] += factor * tentative[j * k + c];
            }
        };
        add(i, 1.0);
        for (j, v) in a.row(i).filter(|e| first[e.0 as usize] != u32::MAX) {
            add(j as usize, -omega * v.double() / d);
        }
        for &col in &met {
            p.put(col, std::mem::take(&mut sums[col as usize]) as f32);
        }
        met.clear();
        p.end_row();
    }
    (p, next)
}

/// Makes the vectors on these rows orthonormal (modified Gram–Schmidt, twice), leaving out what others span:
/// Q goes to `tentative`, R, row after row of the kept ones, behind `coefficients`. Returns how many were kept.
fn orthonormal(
    modes: &Modes,
    rows: &[u32],
    tentative: &mut [f64],
    coefficients: &mut Vec<f64>,
) -> usize {
    let k = modes.width;
    let mut kept: Vec<Vec<f64>> = Vec::new();
    let mut of: Vec<Vec<f64>> = Vec::new();
    for mode in 0..k {
        let mut column: Vec<f64> = rows.iter().map(|&i| modes.row(i as usize)[mode]).collect();
        let norm = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>().sqrt();
        let before = norm(&column);
        for _ in 0..2 {
            for (q, of) in kept.iter().zip(&mut of) {
                let along: f64 = q.iter().zip(&column).map(|(q, c)| q * c).sum();
                of[mode] += along;
                column.iter_mut().zip(q).for_each(|(c, q)| *c -= along * q);
            }
        }
        let left = norm(&column);
        if left > SPANNED * before && kept.len() < rows.len() {
            column.iter_mut().for_each(|c| *c /= left);
            let mut row = vec![0.0; k];
            row[mode] = left;
            kept.push(column);
            of.push(row);
        }
    }
    for (c, q) in kept.iter().enumerate() {
        rows.iter().zip(q).for_each(|(&i, q)| tentative[i as usize * k + c] = *q);
    }
    coefficients.extend(of.into_iter().flatten());
    kept.len()
}

/// The matrix of nodes: −‖A_IJ‖ off the diagonal, rows that add up to zero.
fn condensed<V: Number>(a: &Rows<'_, V>, modes: &Modes) -> Rows<'static, f64> {
    let n = modes.nodes;
    let (mut start, mut middle) = (vec![0u32], Vec::with_capacity(n));
    let (mut cols, mut values, mut diagonal) = (Vec::new(), Vec::new(), Vec::with_capacity(n));
    let mut squares = vec![0.0f64; n];
    let mut met: Vec<u32> = Vec::new();
    for (node, rows) in modes.rows_of_nodes().iter().enumerate() {
        for &i in rows {
            for (j, v) in a.row(i as usize) {
                let other = modes.node[j as usize];
                if squares[other as usize] == 0.0 {
                    met.push(other);
                }
                // A smallest number marks what was met.
                squares[other as usize] += (v.double() * v.double()).max(f64::MIN_POSITIVE);
            }
        }
        met.sort_unstable();
        let mut sum = 0.0;
        let mut at = None;
        for &other in &met {
            let size = std::mem::take(&mut squares[other as usize]).sqrt();
            if other as usize == node {
                at = Some(cols.len());
                cols.push(other);
                values.push(0.0);
            } else {
                cols.push(other);
                values.push(-size);
                sum += size;
            }
        }
        let at = at.unwrap_or_else(|| {
            cols.push(node as u32);
            values.push(0.0);
            cols.len() - 1
        });
        values[at] = sum;
        middle.push(at as u32);
        diagonal.push(sum);
        start.push(cols.len() as u32);
        met.clear();
    }
    Rows { start: start.into(), middle, cols: cols.into(), values: values.into(), diagonal }
}
