//! A comparison as a document: a section for each case, with what its solves took and what ranks sent.
use super::{Case, Comparison, End, Pairing, Tally, reading, spread, stop, suite, totals};
use crate::files;
use precondor::report::plot::{self, Curve, Points};
use precondor::report::{Cell, Column, Document, Figure, Iterations, Row, Section, Table};
use precondor_core::comm::count::Traffic;
use serde_json::{Map, Value, json};

/// The document.
pub fn document(comparison: &Comparison) -> Document {
    let mut words = vec!["precondor".into(), "compare".into(), comparison.config.clone()];
    words.extend(comparison.overrides.iter().flat_map(|flag| ["--set".into(), flag.clone()]));
    let cases = comparison.cases.iter().enumerate().map(|(k, _)| section(comparison, k));
    let suite = suite::sections(comparison);
    let several = (comparison.cases.len() > 1 && suite.is_empty()).then(|| overview(comparison));
    let mut files = vec![
        ("results.csv", "every solve".to_owned()),
        (
            "history.csv",
            "the stopping measure of the first system of each case, iteration by iteration".into(),
        ),
    ];
    if !suite.is_empty() {
        files.push(("suite.csv", "the table over the suite".into()));
        files.push(("profile.csv", "the performance profiles".into()));
    }
    if totals::file(comparison).is_some() {
        files.push(("sequences.csv", "what each sequence took in all".into()));
    }
    if comparison.tallies().any(|tally| tally.sent().is_some()) {
        files.push(("traffic.csv", "what the ranks sent".into()));
    }
    Document {
        title: comparison.title.clone(),
        command: files::command(&words),
        provenance: comparison.provenance.clone(),
        notes: comparison.rules(),
        readings: reading::growth(comparison).into_iter().collect(),
        sections: suite
            .into_iter()
            .chain(several)
            .chain(cases)
            .chain([methods(comparison)])
            .collect(),
        configuration: Some(comparison.configuration()),
        files,
        data: fields(json!({
            "config": comparison.config,
            "overrides": comparison.overrides,
            "oversubscribed": comparison.oversubscribed,
            "complete": comparison.incomplete.is_none(),
            "incomplete": comparison.incomplete,
        })),
    }
}

/// The fields of an object.
pub fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The row of a method; none of its cells yet.
pub fn row(method: &Pairing, colour: usize) -> Row {
    let (label, group) = (method.label.clone(), method.group.clone());
    Row { label, group, colour: Some(colour), ..Row::default() }
}

fn counted(tally: &Tally) -> Cell {
    if tally.total() == 0 {
        return Cell::None;
    }
    let (solved, systems) = (tally.solved(), tally.total());
    Cell::Iterations(Iterations { solved, systems, ..Iterations::default() })
}

fn ended(tally: &Tally) -> Cell {
    Cell::Outcome(tally.outcome(), tally.all_converged())
}

/// Iterations of all methods on all cases.
fn overview(comparison: &Comparison) -> Section {
    let column = |(k, case): (usize, &Case)| {
        Column::new(&format!("case_{k}"), &case.label, &format!("n = {}", case.n)).marked()
    };
    let line = |(k, method): (usize, &Pairing)| Row {
        cells: [Cell::Text(method.solver.name().into())]
            .into_iter()
            .chain(comparison.tallies.iter().map(|case| counted(&case[k])))
            .collect(),
        ..row(method, k)
    };
    let columns = comparison.cases.iter().enumerate().map(column);
    let table = Table {
        id: "iterations".into(),
        columns: [Column::new("method", "solver", "")].into_iter().chain(columns).collect(),
        rows: comparison.methods.iter().enumerate().map(line).collect(),
        ..Table::default()
    };
    Section {
        id: "iterations".into(),
        title: "Iterations".into(),
        tables: vec![table],
        on_pages_only: true,
        ..Section::default()
    }
}

/// One case: what its solves took, what the ranks sent, curves.
fn section(comparison: &Comparison, k: usize) -> Section {
    let case = &comparison.cases[k];
    let (title, about) = match case.n {
        // It could not be made.
        0 => (case.label.clone(), format!("{} ({})", case.counted(), case.description)),
        n => (
            format!("{}: {n} unknowns", case.label),
            format!("{} entries, {} ({})", case.nnz, case.counted(), case.description),
        ),
    };
    let sent = sent(comparison, k);
    Section {
        id: format!("case_{k}"),
        title,
        notes: vec![about],
        tables: [solves(comparison, k)]
            .into_iter()
            .chain(totals::table(comparison, k))
            .chain(sent)
            .collect(),
        figures: convergence(comparison, k),
        data: fields(json!(case)),
        ..Section::default()
    }
}

/// What the solves of a case took.
fn solves(comparison: &Comparison, case: usize) -> Table {
    let groups = comparison.groups();
    let reading = |(group, rows): &(&str, std::ops::Range<usize>)| {
        let text = reading::of_group(comparison, case, rows.clone());
        if groups.len() > 1 { format!("{group}: {text}") } else { text }
    };
    let tallies = comparison.methods.iter().zip(&comparison.tallies[case]).enumerate();
    let fast: Vec<usize> =
        groups.iter().flat_map(|(_, rows)| told_apart(comparison, case, rows)).collect();
    Table {
        id: "solves".into(),
        title: String::new(),
        columns: precondor::report::columns_of_solves(),
        rows: tallies.map(|(k, (method, tally))| solved(method, tally, k, &fast)).collect(),
        readings: groups.iter().map(reading).collect(),
    }
}

/// Rows whose times are the shortest of their group, where the spread tells them from others there.
fn told_apart(comparison: &Comparison, case: usize, rows: &std::ops::Range<usize>) -> Vec<usize> {
    let tallies = &comparison.tallies[case];
    let good: Vec<usize> = rows.clone().filter(|&row| tallies[row].all_converged()).collect();
    let fastest = spread::fastest(tallies, &good).and_then(|fastest| fastest.equal);
    fastest.filter(|equal| equal.len() < good.len()).unwrap_or_default()
}

fn solved(method: &Pairing, tally: &Tally, k: usize, fast: &[usize]) -> Row {
    let seconds = |of: Option<f64>| Cell::of(of, Cell::Seconds);
    let cells = vec![
        Cell::Text(method.solver.name().into()),
        counted(tally),
        ended(tally),
        Cell::of(tally.worst(), Cell::Number),
        Cell::of(tally.median(|n| n.nnz_ratio), Cell::Number),
        Cell::of(tally.median(|n| n.bytes), Cell::Bytes),
        seconds(tally.median(|n| Some(n.setup))),
        seconds(tally.median(|n| Some(n.solve))),
        Cell::of(tally.seconds(), |seconds| Cell::Timed {
            seconds,
            spread: tally.spread(),
            best: fast.contains(&k),
        }),
    ];
    let (mut remarks, mut asides) = (Vec::from_iter(tally.fallback()), tally.remarks());
    if tally.any_failed() {
        remarks.append(&mut asides);
    }
    let made = tally.totals().made;
    let data = fields(json!({
        "solver": method.solver,
        "preconditioner": method.preconditioner,
        "parameters": method.given,
        "converged": tally.all_converged(),
        // Systems whose preconditioner was set up, refreshed, and left as it was.
        "setups": made.setups,
        "refreshes": made.refreshes,
        "kept": made.kept,
        // One for each system, in order; `error` where it failed. Of very many the first ones; how many are not here.
        "systems": tally.first.iter().map(system).collect::<Vec<_>>(),
        "systems_left_out": tally.total() - tally.first.len() as u64,
    }));
    Row { cells, remarks, asides, data, ..row(method, k) }
}

/// A system as JSON has it.
fn system(end: &End) -> Value {
    match end {
        Ok(entry) => json!(entry),
        Err(failure) => json!(failure),
    }
}

/// What the ranks sent and held, where there are several: the most of any. The first system speaks for all: its
/// plans are those of every one on the same grid.
fn sent(comparison: &Comparison, case: usize) -> Option<Table> {
    let tallies = comparison.methods.iter().zip(&comparison.tallies[case]).enumerate();
    let line = |(k, (method, tally)): (usize, (&Pairing, &Tally))| {
        let (count, sent) = tally.sent()?;
        let flow = |t: &Traffic| Cell::Sent(t.bytes() as f64, t.messages() as f64);
        let each = |total: u64| total as f64 / count.max(1) as f64;
        let iterations = &sent.iterations.max;
        let cells = vec![
            flow(&sent.setup.max),
            flow(&sent.application.max),
            Cell::Sent(each(iterations.bytes()), each(iterations.messages())),
            Cell::Number(each(iterations.gather.calls)),
            Cell::Bytes(sent.solve.max.bytes() as f64),
            Cell::Bytes(sent.preconditioner_bytes.max as f64),
            Cell::of(sent.peak_bytes, |peak| Cell::Bytes(peak as f64)),
        ];
        Some(Row { cells, ..row(method, k) })
    };
    let rows: Vec<Row> = tallies.filter_map(line).collect();
    (!rows.is_empty()).then(|| Table {
        id: "sent".into(),
        title: "What ranks sent and held".into(),
        columns: vec![
            Column::new("setup", "setup", ""),
            Column::new("application", "application", ""),
            Column::new("iteration", "iteration", ""),
            Column::new("reductions", "reductions", "an iteration"),
            Column::new("solve", "solve", ""),
            Column::new("preconditioner_bytes", "M", ""),
            Column::new("peak_bytes", "peak", ""),
        ],
        rows,
        readings: vec![
            "Per rank, the most of any: bytes and messages sent in setup, in one application of M and in a mean \
             iteration, bytes sent in the whole solve, memory of M, and the most memory of a process."
                .into(),
        ],
    })
}

/// Convergence curves, a picture for each measure that runs stop by.
fn convergence(comparison: &Comparison, case: usize) -> Vec<Figure> {
    let (info, tallies) = (&comparison.cases[case], &comparison.tallies[case]);
    let mut measures: Vec<&str> = Vec::new();
    for method in &comparison.methods {
        if !measures.contains(&method.solver.measure()) {
            measures.push(method.solver.measure());
        }
    }
    let figure = |measure: &str| {
        let axis = match measure {
            "relative residual" => "relative residual ‖b − Ax‖ / ‖b‖",
            "error" => "error ‖x − x*‖",
            other => other,
        };
        let methods = comparison.methods.iter().enumerate();
        let shown = methods.filter(|(_, method)| method.solver.measure() == measure);
        let curve = |(k, method): (usize, &'_ Pairing)| (k, method.label.clone());
        let named: Vec<(usize, String)> = shown.map(curve).collect();
        let curves = named.iter().map(|(k, label)| Curve {
            label,
            colour: *k,
            history: &tallies[*k].course.history,
        });
        let which = if info.systems > 1 { " of the first system" } else { "" };
        let told =
            |what: &str| format!("{what}{which}, {}; both axes are logarithmic.", info.label);
        let by_iteration = plot::convergence(&curves.collect::<Vec<_>>(), axis);
        let over_time = named.iter().map(|(k, label)| Points {
            label,
            colour: *k,
            points: plot::thinned(tallies[*k].course.over_time()),
        });
        let over_time: Vec<Points> = over_time.collect();
        let over_time = plot::logarithmic(&over_time, ["seconds, setup included", axis]);
        let pair =
            [(by_iteration, told("Convergence")), (over_time, told("Convergence over time"))];
        let both = pair
            .into_iter()
            .filter_map(|(svg, caption)| Some(Figure { svg: svg?, caption, half: true }));
        both.collect::<Vec<_>>()
    };
    measures.into_iter().flat_map(figure).collect()
}

/// What stands behind each label.
fn methods(comparison: &Comparison) -> Section {
    let line = |(k, method): (usize, &Pairing)| {
        let given = match method.parameters.as_str() {
            "" => "defaults",
            given => given,
        };
        let texts = [&method.preconditioner, given, &method.solver.title(), &stop(&method.solver)];
        Row { cells: texts.map(|text| Cell::Text(text.into())).into(), ..row(method, k) }
    };
    let heads = ["preconditioner", "parameters given", "solver", "stops at"];
    let table = Table {
        id: "methods".into(),
        columns: heads.map(|head| Column::new(head, head, "")).into(),
        rows: comparison.methods.iter().enumerate().map(line).collect(),
        ..Table::default()
    };
    Section {
        id: "methods".into(),
        title: "Methods".into(),
        tables: vec![table],
        on_pages_only: true,
        ..Section::default()
    }
}
