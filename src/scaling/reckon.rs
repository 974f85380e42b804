//! Times on the cluster of a configuration, from the predictions: a model, no measurement.
//!
//! Iterations are those that were counted, carried on to the larger grid by the power of the nodes a side
//! that the two largest grids of the comparison show (never below 0: methods whose counts fall are taken as
//! constant). They are those of the number of ranks that ran: methods that depend on it (blocks within
//! ranks) need more on more ranks, and the model does not know how many. Setup is not in it.
use super::cluster::{Cluster, Seconds};
use super::grid::{Layout, Stencil};
use super::{Rank, schedule, work};
use precondor_core::config::SolverConfig;
use serde::Serialize;
use serde_json::Value;

/// A row of the comparison.
pub struct Subject<'a> {
    /// What tables call it.
    pub label: &'a str,
    /// Rows of one group have a winner of their own.
    pub group: &'a str,
    /// How it is solved.
    pub solver: &'a SolverConfig,
    /// The method.
    pub name: &'a str,
    /// Its parameters.
    pub parameters: &'a Value,
    /// Nodes a side and iterations, for each grid on which all solves converged.
    pub counts: Vec<(u64, f64)>,
}

/// All rows on one cluster.
#[derive(Serialize)]
pub struct Scaling {
    /// The machine.
    pub cluster: Cluster,
    /// Unknowns of the grid that is reckoned with.
    pub n: u64,
    /// One for each row that formulas cover.
    pub curves: Vec<Curve>,
    /// Rows that are left out, and why.
    pub left_out: Vec<(String, &'static str)>,
}

/// A row over the number of ranks.
#[derive(Serialize)]
pub struct Curve {
    /// What tables call it.
    pub label: String,
    /// Its group.
    pub group: String,
    /// Iterations that are reckoned with.
    pub iterations: f64,
    /// The power of the nodes a side that they grow with.
    pub growth: f64,
    /// For each number of ranks.
    pub points: Vec<Point>,
}

/// A row on a number of ranks; the most of any rank, for a mean iteration.
#[derive(Clone, Copy, Serialize)]
pub struct Point {
    /// Ranks.
    pub ranks: u64,
    /// The whole solve.
    pub seconds: Seconds,
    /// Messages that a rank sends.
    pub messages: f64,
    /// Bytes in them.
    pub bytes: f64,
    /// Reductions.
    pub reductions: f64,
    /// Flops.
    pub flops: f64,
}

/// Iterations on a grid of `m` nodes a side, and the power that they grow with.
fn carried_on(counts: &[(u64, f64)], m: u64) -> Option<(f64, f64)> {
    let mut counts = counts.to_vec();
    counts.sort_by_key(|&(side, _)| side);
    let &(last, iterations) = counts.last()?;
    let before = counts.iter().rev().find(|&&(side, count)| side < last && count > 0.0);
    let growth = before.map_or(0.0, |&(side, count)| {
        ((iterations / count).ln() / (last as f64 / side as f64).ln()).max(0.0)
    });
    Some((iterations * (m as f64 / last as f64).powf(growth), growth))
}

/// Reckons for all rows and all numbers of ranks.
pub fn reckon(cluster: Cluster, subjects: &[Subject<'_>]) -> Scaling {
    let m = cluster.m();
    let mut left_out = Vec::new();
    let mut chosen = Vec::new();
    for subject in subjects {
        let tiny = Layout { m: 3, p: 1 };
        if work::application(tiny, subject.name, subject.parameters).is_none() {
            left_out.push((subject.label.to_owned(), "no formula"));
        } else if let Some((iterations, growth)) = carried_on(&subject.counts, m) {
            chosen.push((subject, iterations, growth));
        } else {
            left_out.push((subject.label.to_owned(), "did not converge on any grid"));
        }
    }
    let mut curves: Vec<Curve> = chosen
        .iter()
        .map(|&(subject, iterations, growth)| Curve {
            label: subject.label.to_owned(),
            group: subject.group.to_owned(),
            iterations,
            growth,
            points: Vec::new(),
        })
        .collect();
    for p in cluster.ranks() {
        let layout = Layout { m, p };
        let product = work::product(layout, &Stencil::seven());
        // Several rows may share a method.
        let mut done: Vec<(&str, &Value, Vec<Rank>)> = Vec::new();
        for ((subject, iterations, _), curve) in chosen.iter().zip(&mut curves) {
            let known = |(name, parameters, _): &&(&str, &Value, Vec<Rank>)| {
                *name == subject.name && *parameters == subject.parameters
            };
            if done.iter().find(known).is_none() {
                let made = work::application(layout, subject.name, subject.parameters);
                done.push((subject.name, subject.parameters, made.unwrap_or_default()));
            }
            if let Some((.., application)) = done.iter().find(known) {
                let work = (product.as_slice(), application.as_slice());
                curve.points.push(point(&cluster, layout, subject, *iterations, work));
            }
        }
    }
    Scaling { n: m * m, cluster, curves, left_out }
}

fn point(
    cluster: &Cluster,
    layout: Layout,
    subject: &Subject<'_>,
    iterations: f64,
    (product, application): (&[Rank], &[Rank]),
) -> Point {
    let whole = (iterations.round() as u64).max(1);
    let demand = schedule::of(subject.solver, layout.n(), whole);
    let ranks: Vec<Rank> = (0..layout.p as usize)
        .zip(product.iter().zip(application))
        .map(|(rank, (&product, &application))| {
            let rows = layout.rows(rank as u64);
            demand.on(layout.p, rows.end - rows.start, product, application)
        })
        .collect();
    let most = |of: fn(&Rank) -> u64| ranks.iter().map(of).max().unwrap_or(0) as f64 / whole as f64;
    Point {
        ranks: layout.p,
        seconds: cluster.seconds(&ranks),
        messages: most(|rank| rank.traffic.messages()),
        bytes: most(|rank| rank.traffic.exchange.bytes + rank.traffic.all_to_all.bytes),
        reductions: most(|rank| rank.traffic.gather.calls),
        flops: most(|rank| rank.flops),
    }
}

impl Scaling {
    /// What the curves say: who is fastest from how many ranks on, and where each curve is lowest.
    pub fn reading(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let kinds: [(&str, fn(&Point) -> f64); 2] = [
            ("with the reductions that there are", |point| point.seconds.gathered),
            ("with reductions that add on the way", |point| point.seconds.summed),
        ];
        for (what, seconds) in kinds {
            let mut turns: Vec<(u64, &str)> = Vec::new();
            let ranks = self.curves.first().map_or(0, |curve| curve.points.len());
            for k in 0..ranks {
                let time = |curve: &&Curve| seconds(&curve.points[k]);
                let best = self.curves.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
                let Some(best) = best else { continue };
                if turns.last().is_none_or(|(_, label)| *label != best.label) {
                    turns.push((best.points[k].ranks, &best.label));
                }
            }
            let words = turns.iter().map(|(ranks, label)| match ranks {
                1 => format!("{label} on one rank"),
                _ => format!("{label} from {ranks} on"),
            });
            let words: Vec<String> = words.collect();
            if !words.is_empty() {
                sentences.push(format!("Fastest {what}: {}.", words.join(", ")));
            }
        }
        let lowest = self.curves.iter().filter_map(|curve| {
            let time = |point: &&Point| point.seconds.gathered;
            let best = curve.points.iter().min_by(|a, b| time(a).total_cmp(&time(b)))?;
            let seconds = crate::report::format::seconds(best.seconds.gathered);
            Some(format!("{} {seconds} on {}", curve.label, best.ranks))
        });
        let lowest: Vec<String> = lowest.collect();
        if !lowest.is_empty() {
            sentences.push(format!("Shortest times of each: {}.", lowest.join(", ")));
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use precondor_core::config::SolverKind;

    #[test]
    fn iterations_are_carried_on_by_the_power_they_show() {
        // Doubling with the grid; constant; falling; a single grid.
        let (count, growth) = carried_on(&[(31, 20.0), (62, 40.0)], 124).unwrap();
        assert!((count - 80.0).abs() < 1e-9 && (growth - 1.0).abs() < 1e-12);
        assert_eq!(carried_on(&[(62, 7.0), (31, 7.0)], 1000), Some((7.0, 0.0)));
        assert_eq!(carried_on(&[(31, 8.0), (62, 7.0)], 1000), Some((7.0, 0.0)));
        assert_eq!(carried_on(&[(31, 9.0)], 1000), Some((9.0, 0.0)));
        assert_eq!(carried_on(&[], 1000), None);
    }

    #[test]
    fn more_ranks_help_until_messages_cost_more_than_flops() {
        let solver = SolverConfig { method: SolverKind::Cg, ..SolverConfig::default() };
        let none = serde_json::json!({});
        let subject = |name, counts| Subject {
            label: name,
            group: "all",
            solver: &solver,
            name,
            parameters: &none,
            counts,
        };
        let cluster = Cluster { level: 9, ranks: 5000, ..Cluster::default() };
        let subjects = [
            subject("fsai", vec![(127, 100.0), (255, 200.8)]),
            subject("unknown", vec![(127, 100.0)]),
            subject("jacobi", vec![]),
            subject("sine", vec![(255, 10.0)]),
        ];
        let scaling = reckon(cluster, &subjects);
        assert_eq!(scaling.n, 511 * 511);
        assert_eq!(
            scaling.left_out,
            [
                ("unknown".to_owned(), "no formula"),
                ("jacobi".to_owned(), "did not converge on any grid")
            ]
        );
        let [fsai, sine] = scaling.curves.as_slice() else { panic!("two curves") };
        assert!((fsai.iterations - 402.4).abs() < 1.0 && sine.iterations == 10.0);
        for curve in [fsai, sine] {
            let times: Vec<f64> = curve.points.iter().map(|p| p.seconds.summed).collect();
            let best = times.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(best < times[0] / 10.0 && best < *times.last().unwrap());
            assert!(curve.points.iter().all(|p| p.seconds.summed <= p.seconds.gathered));
            // Flops: 14 for the product, 12 for vectors and, for FSAI, twice 8 for four entries.
            assert_eq!(curve.points[0].messages, 0.0);
        }
        let flops = fsai.points[0].flops / (511.0 * 511.0);
        assert!((41.5..42.0).contains(&flops), "{flops}");
        // The transpose talks to every other rank twice.
        assert_eq!(sine.points[4].ranks, 16);
        assert!(sine.points[4].messages >= 2.0 * 15.0 + 2.0);
        assert!(scaling.reading()[0].contains("sine on one rank"), "{:?}", scaling.reading());
    }
}
