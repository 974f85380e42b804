//! Times on a cluster, reckoned: tables, pictures and the raw numbers.
use super::reckon::{Curve, Point, Scaling, Shown};
use precondor::report::format::{bytes, number, seconds};
use precondor::report::plot::{self, Points};
use precondor::report::{self as form, Cell, Column, Figure, Row, Section, Table};

/// What heads every form of it.
fn about(scaling: &Scaling) -> String {
    let cluster = &scaling.cluster;
    format!(
        "A model, no measurement: {} unknowns on {}, {} a message, {}/s and {} flop/s a rank. Messages, bytes \
         and flops are those of formulas that counters of real runs are compared with; iterations are carried on \
         from the grids of the comparison. Setup is not in it.",
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
         that were counted."
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

/// Numbers of ranks that tables show: the ends and every fourth between.
fn shown(curve: &Curve) -> Vec<&Point> {
    let last = curve.points.len().saturating_sub(1);
    let few = curve.points.iter().enumerate();
    few.filter(|(k, _)| k % 4 == 0 || *k == last).map(|(_, point)| point).collect()
}

/// A section of the report.
pub fn section(scaling: &Scaling) -> Section {
    let section = Section {
        id: "scaling".into(),
        title: format!("Reckoned for {} unknowns", scaling.n),
        ..Section::default()
    };
    if scaling.curves.is_empty() {
        let nothing = format!("No times are reckoned for {}.", scaling.cluster.name);
        let notes = [nothing].into_iter().chain(left_out(scaling)).collect();
        return Section { notes, ..section };
    }
    Section {
        notes: [about(scaling)].into_iter().chain(limits(scaling)).collect(),
        tables: vec![times(scaling), sent(scaling)],
        figures: figures(scaling),
        ..section
    }
}

/// A row for each curve, a column for some numbers of ranks.
fn over_ranks(
    scaling: &Scaling,
    first: Column,
    cells: impl Fn(&Curve) -> (Cell, Vec<Cell>),
) -> Table {
    let ranks = scaling.curves.first().map(shown).unwrap_or_default();
    let column = |point: &Point| {
        let ranks = point.ranks.to_string();
        Column::new(&format!("ranks_{ranks}"), &ranks, "ranks").marked()
    };
    let row = |(k, curve): (usize, &Curve)| {
        let (first, rest) = cells(curve);
        Row {
            label: curve.label.clone(),
            group: curve.group.clone(),
            colour: Some(k),
            cells: [first].into_iter().chain(rest).collect(),
            ..Row::default()
        }
    };
    Table {
        columns: [first].into_iter().chain(ranks.into_iter().map(column)).collect(),
        rows: scaling.curves.iter().enumerate().map(row).collect(),
        ..Table::default()
    }
}

fn times(scaling: &Scaling) -> Table {
    let column = Column::new("iterations", "iterations", "");
    let table = over_ranks(scaling, column, |curve| {
        let seconds = shown(curve).into_iter().map(|point| Cell::Seconds(point.seconds.gathered));
        (Cell::Number(curve.iterations), seconds.collect())
    });
    let title = "Time to solution by ranks".into();
    Table { id: "seconds".into(), title, readings: scaling.reading(), ..table }
}

fn sent(scaling: &Scaling) -> Table {
    let column = Column::new("growth", "growth", "iterations, power of the nodes a side");
    let table = over_ranks(scaling, column, |curve| {
        let sent = shown(curve).into_iter().map(|point| Cell::Sent(point.bytes, point.messages));
        (Cell::Number(curve.growth), sent.collect())
    });
    let title = "Bytes and messages of a rank in an iteration, the most of any".into();
    Table { id: "sent".into(), title, ..table }
}

fn figures(scaling: &Scaling) -> Vec<Figure> {
    let pictures: [(&str, Shown); 2] = [
        ("the reductions that there are: every rank gets the numbers of all", |p| {
            p.seconds.gathered
        }),
        ("reductions that add on the way", |p| p.seconds.summed),
    ];
    let figure = |(what, seconds): (&str, Shown)| {
        let curves = scaling.curves.iter().enumerate().map(|(k, curve)| Points {
            label: &curve.label,
            colour: k,
            points: curve.points.iter().map(|p| (p.ranks as f64, seconds(p))).collect(),
        });
        let axes = ["ranks", "seconds for the solve"];
        let svg = plot::logarithmic(&curves.collect::<Vec<_>>(), axes)?;
        let caption = format!("Reckoned, not measured: time to solution over ranks, with {what}.");
        Some(Figure { svg, caption, half: false })
    };
    pictures.into_iter().filter_map(figure).collect()
}

/// `scaling.csv`: all numbers of ranks.
pub fn csv(scaling: &Scaling) -> String {
    let keys = [
        "n",
        "iterations",
        "ranks",
        "seconds_gathered",
        "seconds_summed",
        "messages_iteration",
        "bytes_iteration",
        "reductions_iteration",
        "flops_iteration",
    ];
    let row = |curve: &Curve, point: &Point| Row {
        label: curve.label.clone(),
        group: curve.group.clone(),
        cells: vec![
            Cell::Count(scaling.n),
            Cell::Number(curve.iterations),
            Cell::Count(point.ranks),
            Cell::Seconds(point.seconds.gathered),
            Cell::Seconds(point.seconds.summed),
            Cell::Number(point.messages),
            Cell::Bytes(point.bytes),
            Cell::Number(point.reductions),
            Cell::Number(point.flops),
        ],
        ..Row::default()
    };
    let rows = scaling.curves.iter().flat_map(|c| c.points.iter().map(move |p| row(c, p)));
    form::csv::table(&Table {
        columns: keys.map(|key| Column::new(key, key, "")).into(),
        rows: rows.collect(),
        ..Table::default()
    })
}
