//! Which unknowns are kept on the next level: the first pass of Ruge and Stüben.
//!
//! The unknown that most undecided ones depend on strongly becomes coarse (C), those become fine (F),
//! and every undecided neighbour of theirs gains importance; and so on. What nobody depends on in the
//! end is fine where it can be interpolated, coarse else. A row without strong couplings is fine: the
//! smoother solves it. Importance is kept in buckets, so the cost is linear in the strong couplings.
//!
//! Reference: J. Ruge, K. Stüben, *Algebraic multigrid*, in *Multigrid Methods*, SIAM 1987, §4.6.1.
use crate::strength::Strong;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Undecided,
    Fine,
    Coarse,
}

/// An unknown in its bucket's list.
#[derive(Clone, Copy)]
struct Node {
    next: u32,
    previous: u32,
    importance: u32,
    state: State,
}

struct Buckets {
    heads: Vec<u32>,
    nodes: Vec<Node>,
}

impl Buckets {
    fn unlink(&mut self, i: u32) {
        let Node { next, previous, importance, .. } = self.nodes[i as usize];
        match previous {
            NONE => self.heads[importance as usize] = next,
            p => self.nodes[p as usize].next = next,
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
    }
    fn link(&mut self, i: u32, importance: u32) {
        let importance = importance.min(self.heads.len() as u32 - 1);
        let head = std::mem::replace(&mut self.heads[importance as usize], i);
        if head != NONE {
            self.nodes[head as usize].previous = i;
        }
        let node = &mut self.nodes[i as usize];
        (node.next, node.previous, node.importance) = (head, NONE, importance);
    }
    fn is_undecided(&self, i: u32) -> bool {
        self.nodes[i as usize].state == State::Undecided
    }
}

/// Whether each unknown is coarse.
pub(crate) fn first_pass(strong: &Strong) -> Vec<bool> {
    let n = strong.weak.len();
    let (start, rows) = transposed(n, strong);
    let dependent = |i: usize| &rows[start[i] as usize..start[i + 1] as usize];
    let most = (0..n).map(|i| dependent(i).len()).max().unwrap_or(0);
    let undecided = Node { next: NONE, previous: NONE, importance: 0, state: State::Undecided };
    let mut of = Buckets { heads: vec![NONE; 2 * most + 2], nodes: vec![undecided; n] };
    for i in (0..n).rev() {
        match dependent(i).len() {
            0 if strong.is_alone(i) => of.nodes[i].state = State::Fine,
            importance => of.link(i as u32, importance as u32),
        }
    }
    let mut importance = most;
    while importance > 0 {
        let i = of.heads[importance];
        if i == NONE {
            importance -= 1;
            continue;
        }
        of.unlink(i);
        of.nodes[i as usize].state = State::Coarse;
        for &j in dependent(i as usize) {
            if !of.is_undecided(j) {
                continue;
            }
            of.nodes[j as usize].state = State::Fine;
            of.unlink(j);
            for &k in strong.row(j as usize) {
                if of.is_undecided(k) {
                    of.unlink(k);
                    of.link(k, of.nodes[k as usize].importance + 1);
                    importance = importance.max(of.nodes[k as usize].importance as usize);
                }
            }
        }
        for &k in strong.row(i as usize) {
            if of.is_undecided(k) && of.nodes[k as usize].importance > 0 {
                of.unlink(k);
                of.link(k, of.nodes[k as usize].importance - 1);
            }
        }
    }
    decide_the_rest(strong, &of.nodes)
}

/// Unknowns that nobody depends on any more: coarse unless they can be interpolated, from a strong coarse
/// neighbour or from one of a strong fine neighbour.
fn decide_the_rest(strong: &Strong, nodes: &[Node]) -> Vec<bool> {
    let mut coarse: Vec<bool> = nodes.iter().map(|node| node.state == State::Coarse).collect();
    for (i, node) in nodes.iter().enumerate() {
        if node.state == State::Undecided && !strong.is_alone(i) {
            let fine = |j: &u32| nodes[*j as usize].state == State::Fine;
            let near = |row: &[u32]| row.iter().any(|&k| coarse[k as usize]);
            let beyond =
                || strong.row(i).iter().filter(|j| fine(j)).any(|&j| near(strong.row(j as usize)));
            coarse[i] = !near(strong.row(i)) && !beyond();
        }
    }
    coarse
}

/// For each unknown those that depend on it strongly.
fn transposed(n: usize, strong: &Strong) -> (Vec<u32>, Vec<u32>) {
    let mut start = vec![0u32; n + 2];
    for &j in &strong.cols {
        start[j as usize + 2] += 1;
    }
    for i in 2..n + 2 {
        start[i] += start[i - 1];
    }
    let mut rows = vec![0; strong.cols.len()];
    for i in 0..n {
        for &j in strong.row(i) {
            let at = &mut start[j as usize + 1];
            rows[*at as usize] = i as u32;
            *at += 1;
        }
    }
    start.truncate(n + 1);
    (start, rows)
}
