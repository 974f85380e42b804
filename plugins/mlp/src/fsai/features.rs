//! What an entry of FSAI's factor looks like to the network.
//!
//! With N = D^(−½) A D^(−½) − I, which no scaling of the unknowns changes, and g FSAI's row for it, the
//! entry in row i and column j < i is described by [`FEATURES`] numbers:
//!
//! | of | numbers |
//! |---|---|
//! | the edge | nᵢⱼ, (N²)ᵢⱼ, (N³)ᵢⱼ, (\|N\|²)ᵢⱼ; Σ nᵢₖnₖⱼ over k < i and over k < j; gᵢⱼ/gᵢᵢ |
//! | node i | Σ\|n\|, Σn², Σ max(n, 0), max\|n\|; (N³)ᵢᵢ; Σ nᵢₖ Σnₖ², Σ\|nᵢₖ\| Σ\|nₖ\|; Σ\|n\|, Σn² and (LNLᵀ)ᵢᵢ to the left of the diagonal; gᵢᵢ, Σ\|gᵢⱼ\|/gᵢᵢ |
//! | node j | Σ\|n\|, Σn², Σ max(n, 0), max\|n\|; Σ\|n\| to the left |
//!
//! Sums run over neighbours, so a renumbering that keeps the order of near nodes changes nothing but
//! the order of summation. Only rows next to row i and the columns of its pattern are needed: one
//! exchange of rows. Sums are formed in the order of global columns, the same on any number of ranks.

use precondor_sdk::core::kernel::reach::Reach;

/// Numbers that describe an entry.
pub const FEATURES: usize = 24;

/// Sums over a row of N.
#[derive(Clone, Copy, Default)]
struct Node {
    sum: f64,
    square: f64,
    positive: f64,
    largest: f64,
    lower: f64,
}

/// The rows of D^(−½) A D^(−½) around own rows, with what is known of their nodes.
pub struct Surroundings<'a> {
    reach: &'a Reach<'a>,
    /// By local number; zero for rows that are not there.
    nodes: Vec<Node>,
}

/// What a row is described in; all zero between rows.
pub struct Description {
    /// Row i of N, of N², of |N|², and of the product of N's lower part with N, by local number.
    row: Vec<f64>,
    square: Vec<f64>,
    absolute: Vec<f64>,
    lower: Vec<f64>,
    neighbours: Vec<(u32, f64)>,
    touched: Vec<u32>,
}

impl Description {
    /// For rows with so many local numbers.
    pub fn new(n_columns: usize) -> Self {
        let zero = || vec![0.0; n_columns];
        Description {
            row: zero(),
            square: zero(),
            absolute: zero(),
            lower: zero(),
            neighbours: Vec::new(),
            touched: Vec::new(),
        }
    }

    fn clear(&mut self) {
        for c in self.touched.drain(..).chain(self.neighbours.drain(..).map(|n| n.0)) {
            for array in [&mut self.row, &mut self.square, &mut self.absolute, &mut self.lower] {
                array[c as usize] = 0.0;
            }
        }
    }
}

impl<'a> Surroundings<'a> {
    /// Of the rows in `reach`.
    pub fn new(reach: &'a Reach<'a>) -> Self {
        let node = |j: u32| {
            let mut node = Node::default();
            reach.visit(j, |c, v| {
                if c != j {
                    node.sum += v.abs();
                    node.square += v * v;
                    node.positive += v.max(0.0);
                    node.largest = node.largest.max(v.abs());
                    node.lower += if c < j { v.abs() } else { 0.0 };
                }
            });
            node
        };
        let nodes = (0..reach.numbering().len() as u32).map(node).collect();
        Surroundings { reach, nodes }
    }

    /// Local numbers in use.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The rows.
    pub fn reach(&self) -> &'a Reach<'a> {
        self.reach
    }

    /// Calls `put` with the features of the entries of own row `i` in the columns `pattern` but the
    /// last, which is i; `g` is FSAI's row.
    pub fn describe(
        &self,
        i: usize,
        pattern: &[u32],
        g: &[f64],
        work: &mut Description,
        mut put: impl FnMut(&[f64; FEATURES]),
    ) {
        let me = self.reach.numbering().of_own(i);
        let (columns, diagonal) = (&pattern[..pattern.len() - 1], g[g.len() - 1]);
        let Description { row, square, absolute, lower, neighbours, touched } = work;
        self.reach.visit(me, |c, v| {
            if c != me {
                row[c as usize] = v;
                neighbours.push((c, v));
            }
        });
        let (mut coupled, mut coupled_abs) = (0.0, 0.0);
        for &(k, v) in neighbours.iter() {
            let node = &self.nodes[k as usize];
            coupled += v * node.square;
            coupled_abs += v.abs() * node.sum;
            self.reach.visit(k, |c, u| {
                if c != k {
                    touched.push(c);
                    square[c as usize] += v * u;
                    absolute[c as usize] += (v * u).abs();
                    lower[c as usize] += if k < me { v * u } else { 0.0 };
                }
            });
        }
        let (mut cube, mut left_square, mut left_cube) = (0.0, 0.0, 0.0);
        for &(k, v) in neighbours.iter() {
            cube += square[k as usize] * v;
            if k < me {
                left_square += v * v;
                left_cube += lower[k as usize] * v;
            }
        }
        let node = &self.nodes[me as usize];
        let row_sum = g[..columns.len()].iter().map(|g| g.abs()).sum::<f64>() / diagonal;
        for (&j, &g) in columns.iter().zip(g) {
            let other = &self.nodes[j as usize];
            let (mut edge_cube, mut left) = (0.0, 0.0);
            self.reach.visit(j, |c, v| {
                if c != j {
                    edge_cube += square[c as usize] * v;
                    left += if c < j { row[c as usize] * v } else { 0.0 };
                }
            });
            let j = j as usize;
            put(&[
                row[j],
                square[j],
                edge_cube,
                absolute[j],
                lower[j],
                left,
                g / diagonal,
                node.sum,
                node.square,
                node.positive,
                node.largest,
                cube,
                coupled,
                coupled_abs,
                node.lower,
                left_square,
                left_cube,
                diagonal,
                row_sum,
                other.sum,
                other.square,
                other.positive,
                other.largest,
                other.lower,
            ]);
        }
        work.clear();
    }
}
