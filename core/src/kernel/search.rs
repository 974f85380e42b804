//! The search of one row of a pattern, in time that does not depend on how long rows of A are.
//!
//! Rows within reach are met step by step. Where that is more than [`ROOM`] times what the row may keep,
//! or where it has to lose some, it is searched again with the strength of every pair ([`Bound`]), and
//! after each step only the strongest are walked on from.
use super::pattern::{Bound, Part};
use super::reach::Reach;

/// So many times the entries that a row may keep are met before strengths are looked at.
const ROOM: usize = 4;

/// What all rows share.
pub(super) struct Search<'a> {
    near: &'a Reach<'a>,
    power: usize,
    part: Part,
    max_row: usize,
    /// √|aⱼⱼ| by local number; none where no row can be cut.
    roots: Vec<f64>,
}

/// What rows are searched in.
pub(super) struct SearchRoom {
    /// All false between rows.
    marked: Vec<bool>,
    /// Strength by local number; [`UNMET`] between rows.
    strength: Vec<f64>,
    /// The step that met the column, where one did.
    step_of: Vec<u32>,
    met: Vec<u32>,
    order: Vec<(f64, u32)>,
}

/// No strength: the column was not met.
const UNMET: f64 = -1.0;

impl<'a> Search<'a> {
    pub fn new(near: &'a Reach<'a>, power: usize, part: Part, bound: &Bound) -> Self {
        let roots = match power > 1 || bound.exceeded {
            true => bound.roots(near),
            false => Vec::new(),
        };
        Search { near, power, part, max_row: bound.max_row, roots }
    }

    pub fn work(&self) -> SearchRoom {
        let n = self.roots.len();
        SearchRoom {
            marked: vec![false; n],
            strength: vec![UNMET; n],
            step_of: vec![0; n],
            met: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Appends the columns of own row `i`, in increasing order; whether it was longer.
    pub fn row(&self, i: usize, work: &mut SearchRoom, out: &mut Vec<u32>) -> bool {
        let me = self.near.numbering().of_own(i);
        let (first, long) = (out.len(), self.near.len(me) > self.max_row);
        let complete = match self.power {
            0 => {
                out.push(me);
                true
            }
            _ if long && self.part == Part::Full => false,
            1 => {
                self.neighbours(i, out);
                true
            }
            _ if long => false,
            _ => self.steps(me, work, out),
        };
        // A row of A that has as many entries as it may, none on the diagonal, gains that one.
        if complete && (out.len() - first <= self.max_row || self.power == 1 && !long) {
            return false;
        }
        out.truncate(first);
        self.strongest(me, work);
        let kept = |c: &&u32| self.part == Part::Full || **c <= me;
        let SearchRoom { strength, met, order, .. } = work;
        order.clear();
        order.extend(met.iter().filter(kept).map(|&c| (strength[c as usize], c)));
        for c in met.drain(..) {
            strength[c as usize] = UNMET;
        }
        let cut = keep(order, self.max_row);
        out.extend(order.iter().map(|&(_, c)| c));
        out[first..].sort_unstable();
        cut
    }

    /// Own row `i` itself and its neighbours: already in order.
    fn neighbours(&self, i: usize, out: &mut Vec<u32>) {
        let (near, part) = (self.near, self.part);
        let (me, first) = (near.numbering().of_own(i), near.numbering().of_own(0));
        if let Some(cols) = near.own_cols(i)
            && let Ok(diagonal) = cols.binary_search(&(i as u32))
        {
            let kept = if part == Part::Full { cols } else { &cols[..=diagonal] };
            out.extend(kept.iter().map(|c| first + c));
            return;
        }
        let mut met = false;
        near.visit(me, |c, _| {
            if c >= me && !met {
                met = true;
                out.push(me);
            }
            if c != me && (part == Part::Full || c < me) {
                out.push(c);
            }
        });
        if !met {
            out.push(me);
        }
    }

    /// What row `me`, itself not long, reaches in the steps of the power; false where that is too
    /// much.
    fn steps(&self, me: u32, work: &mut SearchRoom, out: &mut Vec<u32>) -> bool {
        let (first, marked) = (out.len(), &mut work.marked);
        out.push(me);
        marked[me as usize] = true;
        let (mut done, mut complete) = (first, true);
        'search: for _ in 0..self.power {
            let end = out.len();
            for k in done..end {
                if self.near.len(out[k]) > self.max_row {
                    continue;
                }
                self.near.visit(out[k], |c, _| {
                    if !std::mem::replace(&mut marked[c as usize], true) {
                        out.push(c);
                    }
                });
                if out.len() - first > ROOM * self.max_row {
                    complete = false;
                    break 'search;
                }
            }
            done = end;
        }
        for &c in &out[first..] {
            marked[c as usize] = false;
        }
        if self.part == Part::Lower {
            let mut kept = first;
            for k in first..out.len() {
                if out[k] <= me {
                    out[kept] = out[k];
                    kept += 1;
                }
            }
            out.truncate(kept);
        }
        out[first..].sort_unstable();
        complete
    }

    /// Meets what row `me` reaches, walking on from the strongest of each step only, with the largest
    /// strength over the shortest paths. A long row reaches its own entries alone.
    fn strongest(&self, me: u32, work: &mut SearchRoom) {
        let SearchRoom { strength, step_of, met, order, .. } = work;
        let long = |j: u32| self.near.len(j) > self.max_row;
        strength[me as usize] = f64::INFINITY;
        met.push(me);
        let mut from = vec![me];
        for step in 0..self.power as u32 {
            let before = met.len();
            for &r in &from {
                if long(r) && r != me {
                    continue;
                }
                let so_far = if r == me { 1.0 } else { strength[r as usize] };
                let root = self.roots[r as usize];
                self.near.visit(r, |c, value| {
                    let s = so_far * (value.abs() / root / self.roots[c as usize]);
                    // What is not a number has no strength.
                    let s = if s.is_finite() { s } else { 0.0 };
                    let known = &mut strength[c as usize];
                    if *known == UNMET {
                        (*known, step_of[c as usize]) = (s, step);
                        met.push(c);
                    } else if step_of[c as usize] == step && *known < s {
                        *known = s;
                    }
                });
            }
            if long(me) {
                break;
            }
            order.clear();
            order.extend(met[before..].iter().map(|&c| (strength[c as usize], c)));
            keep(order, self.max_row);
            from.clear();
            from.extend(order.iter().map(|&(_, c)| c));
        }
    }
}

/// Keeps the `count` strongest of a row, of equals those with the smaller column; whether there were
/// more.
fn keep(order: &mut Vec<(f64, u32)>, count: usize) -> bool {
    let more = order.len() > count;
    if more {
        order.select_nth_unstable_by(count, |x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        order.truncate(count);
    }
    more
}
