//! Times on the cluster of a configuration, from the predictions: a model, no measurement.
//!
//! Iterations are those that were counted on the largest grid, carried on to a larger one by a power of the
//! nodes a side: the slope of the least squares line through the logarithms of all counts, never below 0.
//! Rows that did not converge on the largest grid, or on one grid only, are left out. Counts are those of the
//! number of ranks that ran: methods that depend on it (blocks within ranks) need more on more ranks, and the
//! model does not know how many. Setup is not in it.
use super::cluster::{Cluster, Seconds};
use super::{schedule, work};
use precondor_core::comm::predict::{self, Layout, Rank, Stencil};
use precondor_core::config::SolverConfig;
use serde::Serialize;
use serde_json::Value;

/// A row of the comparison.
pub struct Subject {
    /// What tables call it.
    pub label: String,
    /// Rows of one group have a winner of their own.
    pub group: String,
    /// How it is solved.
    pub solver: SolverConfig,
    /// The method.
    pub name: String,
    /// Its parameters.
    pub parameters: Value,
    /// Nodes a side and iterations for each grid; none where a solve did not converge.
    pub counts: Vec<(u64, Option<f64>)>,
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

/// A number that a picture shows of a point.
pub type Shown = fn(&Point) -> f64;

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

/// Iterations on a grid of `m` nodes a side, and the power that they grow with; or why that is not known.
fn carried_on(counts: &[(u64, Option<f64>)], m: u64) -> Result<(f64, f64), &'static str> {
    let largest = counts.iter().max_by_key(|(side, _)| *side);
    let &(last, Some(iterations)) = largest.ok_or("no grid that formulas cover")? else {
        return Err("did not converge on the largest grid");
    };
    if last == m {
        return Ok((iterations, 0.0));
    }
    let solved = counts.iter().filter_map(|&(side, count)| Some((side, count?)));
    let points: Vec<[f64; 2]> =
        solved.map(|(side, count)| [(side as f64).ln(), count.max(1.0).ln()]).collect();
    let mean = |k: usize| points.iter().map(|p| p[k]).sum::<f64>() / points.len() as f64;
    let [x, y] = [mean(0), mean(1)];
    let square: f64 = points.iter().map(|p| (p[0] - x).powi(2)).sum();
    if square == 0.0 {
        return Err("solved on one grid only: how its iterations grow is not known");
    }
    let slope = points.iter().map(|p| (p[0] - x) * (p[1] - y)).sum::<f64>() / square;
    let growth = slope.max(0.0);
    Ok((iterations * (m as f64 / last as f64).powf(growth), growth))
}

/// Reckons for all rows and all numbers of ranks.
pub fn reckon(cluster: Cluster, subjects: &[Subject]) -> Scaling {
    let m = cluster.m();
    let mut left_out = Vec::new();
    let mut chosen = Vec::new();
    for subject in subjects {
        let tiny = Layout { m: 3, p: 1 };
        if work::application(tiny, &subject.name, &subject.parameters).is_none() {
            left_out.push((subject.label.to_owned(), "no formula"));
        } else {
            match carried_on(&subject.counts, m) {
                Ok((iterations, growth)) => chosen.push((subject, iterations, growth)),
                Err(why) => left_out.push((subject.label.to_owned(), why)),
            }
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
        let product = predict::product(layout, &Stencil::seven());
        // Several rows may share a method.
        let mut done: Vec<(&str, &Value, Vec<Rank>)> = Vec::new();
        for ((subject, iterations, _), curve) in chosen.iter().zip(&mut curves) {
            let known = |(name, parameters, _): &&(&str, &Value, Vec<Rank>)| {
                *name == subject.name && **parameters == subject.parameters
            };
            if done.iter().find(known).is_none() {
                let made = work::application(layout, &subject.name, &subject.parameters);
                done.push((&subject.name, &subject.parameters, made.unwrap_or_default()));
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
    subject: &Subject,
    iterations: f64,
    (product, application): (&[Rank], &[Rank]),
) -> Point {
    let whole = (iterations.round() as u64).max(1);
    let demand = schedule::of(&subject.solver, layout.n(), whole);
    let ranks: Vec<Rank> = (0..layout.p as usize)
        .zip(product.iter().zip(application))
        .map(|(rank, (&product, &application))| {
            demand.on(layout.p, layout.count(rank as u64), product, application)
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
        let kinds: [(&str, Shown); 2] = [
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
            let seconds = precondor::report::format::seconds(best.seconds.gathered);
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
        let of = |counts: &[(u64, f64)], m| {
            let counts: Vec<_> = counts.iter().map(|&(side, count)| (side, Some(count))).collect();
            carried_on(&counts, m)
        };
        // Doubling with the grid, exactly and but for one count; constant; falling.
        let (count, growth) = of(&[(31, 20.0), (62, 40.0), (124, 80.0)], 248).unwrap();
        assert!((count - 160.0).abs() < 1e-9 && (growth - 1.0).abs() < 1e-12);
        let (_, rough) = of(&[(31, 22.0), (62, 40.0), (124, 80.0)], 248).unwrap();
        assert!((0.9..1.0).contains(&rough), "{rough}");
        assert_eq!(of(&[(62, 7.0), (31, 7.0)], 1000), Ok((7.0, 0.0)));
        assert_eq!(of(&[(31, 8.0), (62, 7.0)], 1000), Ok((7.0, 0.0)));
        // The grid itself needs no growth.
        assert_eq!(of(&[(31, 9.0)], 31), Ok((9.0, 0.0)));
        assert!(of(&[(31, 9.0)], 1000).unwrap_err().contains("one grid only"));
        let failed = carried_on(&[(31, Some(9.0)), (62, None)], 1000);
        assert_eq!(failed, Err("did not converge on the largest grid"));
        assert_eq!(of(&[], 1000), Err("no grid that formulas cover"));
    }

    #[test]
    fn more_ranks_help_until_messages_cost_more_than_flops() {
        let solver = SolverConfig { method: SolverKind::Cg, ..SolverConfig::default() };
        let subject = |name: &str, counts| Subject {
            label: name.into(),
            group: "all".into(),
            solver: solver.clone(),
            name: name.into(),
            parameters: serde_json::json!({}),
            counts,
        };
        let cluster = Cluster { level: 9, ranks: 5000, ..Cluster::default() };
        let subjects = [
            subject("fsai", vec![(127, Some(100.0)), (255, Some(200.8))]),
            subject("unknown", vec![(127, Some(100.0))]),
            subject("jacobi", vec![(127, Some(300.0)), (255, None)]),
            subject("fast-poisson", vec![(127, Some(10.0)), (255, Some(10.0))]),
        ];
        let scaling = reckon(cluster, &subjects);
        assert_eq!(scaling.n, 511 * 511);
        assert_eq!(
            scaling.left_out,
            [
                ("unknown".to_owned(), "no formula"),
                ("jacobi".to_owned(), "did not converge on the largest grid")
            ]
        );
        let [fsai, fast] = scaling.curves.as_slice() else { panic!("two curves") };
        assert!((fsai.iterations - 402.4).abs() < 1.0 && fast.iterations == 10.0);
        for curve in [fsai, fast] {
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
        assert_eq!(fast.points[4].ranks, 16);
        assert!(fast.points[4].messages >= 2.0 * 15.0 + 2.0);
        assert!(
            scaling.reading()[0].contains("fast-poisson on one rank"),
            "{:?}",
            scaling.reading()
        );
    }
}
