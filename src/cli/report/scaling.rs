//! Times on a cluster, reckoned: tables, pictures and the raw numbers.
use super::format::{bytes, number, seconds};
use super::page::esc;
use super::plot::{self, Points};
use crate::scaling::reckon::{Curve, Point, Scaling, Shown};
use std::fmt::Write as _;

/// What heads every form of it.
fn about(scaling: &Scaling) -> String {
    let cluster = &scaling.cluster;
    format!(
        "A model, no measurement: {} unknowns on {}, {} a message, {}/s and {} flop/s a rank. Messages, bytes \
         and flops are those of the formulas that the counters of this run were compared with; iterations \
         are carried on from the grids above. Setup is not in it.",
        scaling.n,
        cluster.name,
        seconds(cluster.latency),
        bytes(cluster.bandwidth),
        number(cluster.flop_rate)
    )
}

/// What is to be known of the limits of the model.
fn limits(scaling: &Scaling) -> Vec<String> {
    let m = scaling.cluster.m();
    let mut notes = vec![
        format!(
            "The solve with A0 shares out whole rows of the grid: from {m} ranks on, more of them do not make \
             its transforms faster. Blocks of rows shorter than a row of the grid ({m} nodes) send to ever \
             more neighbours."
        ),
        "Methods within ranks (ic, ilu, schwarz) need more iterations on more ranks; the model takes those \
         of this run."
            .to_owned(),
    ];
    notes.extend(left_out(scaling));
    notes
}

/// Rows that are not reckoned, a sentence for each reason.
fn left_out(scaling: &Scaling) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (label, why) in &scaling.left_out {
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, labels)) => labels.push(label),
            None => reasons.push((why, vec![label])),
        }
    }
    let sentence =
        |(why, labels): (&str, Vec<&str>)| format!("Left out, {why}: {}.", labels.join("; "));
    reasons.into_iter().map(sentence).collect()
}

/// Where no row is reckoned: why.
fn nothing(scaling: &Scaling) -> Option<String> {
    let name = &scaling.cluster.name;
    let sentence = || format!("No times are reckoned for {name}. {}", left_out(scaling).join(" "));
    scaling.curves.is_empty().then(sentence)
}

/// Numbers of ranks that tables show: the ends and every fourth between.
fn shown(curve: &Curve) -> Vec<&Point> {
    let last = curve.points.len().saturating_sub(1);
    let few = curve.points.iter().enumerate();
    few.filter(|(k, _)| k % 4 == 0 || *k == last).map(|(_, point)| point).collect()
}

/// For the terminal.
pub fn text(scaling: &Scaling) -> String {
    if let Some(why) = nothing(scaling) {
        return format!("\n{why}\n");
    }
    // Writing to a string cannot fail.
    let mut out = format!("\n{}\n\n", about(scaling));
    let label = scaling.curves.iter().map(|c| c.label.chars().count()).max().unwrap_or(0);
    if let Some(first) = scaling.curves.first() {
        let heads = shown(first).into_iter().map(|point| format!("{:>12}", point.ranks));
        let _ = write!(out, "  {:<label$}  {:>10}", "seconds by ranks", "iterations");
        heads.for_each(|head| out.push_str(&head));
        out.push('\n');
    }
    for curve in &scaling.curves {
        let _ = write!(out, "  {:<label$}  {:>10}", curve.label, number(curve.iterations));
        for point in shown(curve) {
            let _ = write!(out, "{:>12}", seconds(point.seconds.gathered));
        }
        out.push('\n');
    }
    out.push('\n');
    for sentence in scaling.reading().into_iter().chain(limits(scaling)) {
        let _ = writeln!(out, "{sentence}");
    }
    out
}

/// A section of the page.
pub fn section(scaling: &Scaling) -> String {
    if let Some(why) = nothing(scaling) {
        return format!("<section>\n<p class=\"about\">{}</p>\n</section>\n", esc(&why));
    }
    let mut out = format!(
        "<section>\n<h2>Reckoned for {} unknowns</h2>\n<p class=\"about\">{}</p>\n",
        scaling.n,
        esc(&about(scaling))
    );
    for sentence in scaling.reading() {
        let _ = writeln!(out, "<p class=\"reading\">{}</p>", esc(&sentence));
    }
    let pictures: [(&str, Shown); 2] = [
        ("the reductions that there are: every rank gets the numbers of all", |p| {
            p.seconds.gathered
        }),
        ("reductions that add on the way", |p| p.seconds.summed),
    ];
    for (what, seconds) in pictures {
        let mut groups: Vec<&str> = scaling.curves.iter().map(|c| c.group.as_str()).collect();
        groups.dedup();
        let curves: Vec<Points<'_>> = scaling
            .curves
            .iter()
            .enumerate()
            .map(|(k, curve)| Points {
                label: &curve.label,
                colour: k,
                dashed: groups.first() != Some(&curve.group.as_str()),
                points: curve.points.iter().map(|p| (p.ranks as f64, seconds(p))).collect(),
            })
            .collect();
        if let Some(svg) = plot::logarithmic(&curves, ["ranks", "seconds for the solve"]) {
            let _ = writeln!(
                out,
                "<figure>\n{svg}\n<figcaption>Reckoned, not measured: time to solution over ranks, with {what}; \
                 dashed: other groups than the first.</figcaption>\n</figure>"
            );
        }
    }
    out.push_str(
        "<div class=\"scroll\"><table>\n<thead><tr><th>method</th><th class=\"n\">iterations</th>",
    );
    if let Some(first) = scaling.curves.first() {
        for point in shown(first) {
            let _ = write!(out, "<th class=\"n\">{}<small>ranks</small></th>", point.ranks);
        }
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for curve in &scaling.curves {
        let _ = write!(
            out,
            "<tr><th class=\"row\">{}</th><td class=\"n\">{}</td>",
            esc(&curve.label),
            number(curve.iterations)
        );
        for point in shown(curve) {
            let _ = write!(
                out,
                "<td class=\"n\">{}<small>{} in {}</small></td>",
                seconds(point.seconds.gathered),
                bytes(point.bytes),
                number(point.messages)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n<ul class=\"rules\">\n");
    out.push_str(
        "<li>Small: bytes and messages that a rank sends in an iteration, the most of any.</li>\n",
    );
    for note in limits(scaling) {
        let _ = writeln!(out, "<li>{}</li>", esc(&note));
    }
    out.push_str(
        "<li>All numbers: <a href=\"scaling.csv\">scaling.csv</a>.</li>\n</ul>\n</section>\n",
    );
    out
}

/// `scaling.csv`.
pub fn csv(scaling: &Scaling) -> String {
    let mut out = String::from(
        "label,group,n,iterations,ranks,seconds_gathered,seconds_summed,messages_iteration,\
         bytes_iteration,reductions_iteration,flops_iteration\n",
    );
    for curve in &scaling.curves {
        for point in &curve.points {
            let _ = writeln!(
                out,
                "{},{},{},{},{},{:e},{:e},{},{},{},{}",
                super::csv::field(&curve.label),
                super::csv::field(&curve.group),
                scaling.n,
                curve.iterations,
                point.ranks,
                point.seconds.gathered,
                point.seconds.summed,
                point.messages,
                point.bytes,
                point.reductions,
                point.flops
            );
        }
    }
    out
}
